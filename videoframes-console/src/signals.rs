//! Cancellation by signals.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::CANCELLED;

/// Returns a token that is cancelled by the first SIGINT, SIGTERM or SIGHUP.
///
/// A second SIGINT or SIGTERM ends the program at once, unless the signal arrives within `patience` of the
/// first: a closing terminal may send two. A SIGHUP ignored at startup, as under `nohup`, stays ignored.
///
/// # Errors
/// Fails if a signal handler cannot be installed.
pub fn cancelled_by_signals(patience: Duration) -> io::Result<CancellationToken> {
    let cancel = CancellationToken::new();
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let token = cancel.clone();
    tokio::spawn(async move {
        let mut first: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
            }
            if first.is_some_and(|first| first.elapsed() >= patience) {
                std::process::exit(i32::from(CANCELLED));
            }
            first.get_or_insert_with(Instant::now);
            token.cancel();
        }
    });
    if !is_ignored(Signal::HUP) {
        let mut signals = signal(SignalKind::hangup())?;
        let cancel = cancel.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                cancel.cancel();
            }
        });
    }
    // A file that reaches the limit on file sizes must cause a write error, not end the process.
    let mut signals = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?;
    tokio::spawn(async move { while signals.recv().await.is_some() {} });
    Ok(cancel)
}

/// Returns whether the signal was ignored at startup; `false` on systems without `/proc`.
fn is_ignored(which: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (which.as_raw() - 1) & 1 == 1)
}
