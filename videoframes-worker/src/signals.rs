//! Signals as a wish to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit;

/// A token that the first signal cancels; the second ends the program at once, and what it was doing
/// comes back when its lease ends.
pub(crate) fn cancelled_by_signals() -> io::Result<CancellationToken> {
    let cancel = CancellationToken::new();
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let token = cancel.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
            }
            if token.is_cancelled() {
                std::process::exit(i32::from(exit::CANCELLED));
            }
            token.cancel();
        }
    });
    Ok(cancel)
}
