//! Signals as a wish to stop, without leaving anything behind.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::{self, Failure};

/// How long the first signal has time to clean up before a second one ends the program at once. A
/// terminal that closes may send two in one go.
const PATIENCE: Duration = Duration::from_secs(2);

/// A token that the first signal cancels.
pub(crate) fn cancelled_by_signals() -> Result<CancellationToken, Failure> {
    let cancel = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let mut signals = signal(kind).map_err(|e| Failure::internal(&e))?;
        let cancel = cancel.clone();
        tokio::spawn(async move {
            let mut first: Option<Instant> = None;
            while signals.recv().await.is_some() {
                if first.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    std::process::exit(i32::from(exit::CANCELLED));
                }
                cancel.cancel();
            }
        });
    }
    // Under `nohup` a hang-up is ignored from the start, and stays so.
    if !is_ignored(Signal::HUP) {
        let mut signals = signal(SignalKind::hangup()).map_err(|e| Failure::internal(&e))?;
        let cancel = cancel.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                cancel.cancel();
            }
        });
    }
    // A file that reaches the limit on file sizes is a write error, not the end.
    let limit = SignalKind::from_raw(Signal::XFSZ.as_raw());
    let mut signals = signal(limit).map_err(|e| Failure::internal(&e))?;
    tokio::spawn(async move { while signals.recv().await.is_some() {} });
    Ok(cancel)
}

/// Whether the signal was ignored when this program was started, where the system tells.
fn is_ignored(which: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (which.as_raw() - 1) & 1 == 1)
}
