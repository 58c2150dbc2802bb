//! Panics as log lines.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

/// Logs panics instead of printing them. The process and its threads treat a panic as before.
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        // Disabled unless RUST_BACKTRACE asks for backtraces, since it takes time.
        let backtrace = Backtrace::capture();
        let backtrace = match backtrace.status() {
            BacktraceStatus::Captured => Some(backtrace.to_string()),
            _ => None,
        };
        tracing::error!(
            error.r#type = "panic",
            error.message = payload(panic),
            panic.location = location,
            panic.thread = thread.name(),
            panic.backtrace = backtrace,
            "panicked"
        );
    }));
}

fn payload<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    panic.payload_as_str().unwrap_or("a value that is no text")
}
