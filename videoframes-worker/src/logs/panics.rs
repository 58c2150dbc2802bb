//! Panics as log lines.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;

/// Logs panics instead of printing them. The effect of a panic on threads and process is unchanged.
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        // Backtraces are slow: they are captured only if RUST_BACKTRACE is set.
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
            "thread panicked"
        );
    }));
}

fn payload<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    panic.payload_as_str().unwrap_or("non-string panic payload")
}
