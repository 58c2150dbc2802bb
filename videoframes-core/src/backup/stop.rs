//! Cancellation before the last step, which is always completed.

use tokio_util::sync::CancellationToken;

use super::BackupError;

/// Runs `work` until it ends, or until `stop` is cancelled, even at the last moment.
pub(super) async fn unless_cancelled<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, BackupError>>,
) -> Result<T, BackupError> {
    let done = tokio::select! {
        done = work => done?,
        () = stop.cancelled() => return Err(BackupError::Cancelled),
    };
    match stop.is_cancelled() {
        true => Err(BackupError::Cancelled),
        false => Ok(done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_with_the_cancellation() {
        let stop = CancellationToken::new();
        let done = unless_cancelled(&stop, async { Ok(7) }).await;
        assert!(matches!(done, Ok(7)), "{done:?}");
        let during = unless_cancelled(&stop, async {
            stop.cancel();
            Ok(7)
        });
        let during = during.await;
        assert!(matches!(during, Err(BackupError::Cancelled)), "{during:?}");
        let before = unless_cancelled(&stop, std::future::pending::<Result<(), _>>()).await;
        assert!(matches!(before, Err(BackupError::Cancelled)), "{before:?}");
    }
}
