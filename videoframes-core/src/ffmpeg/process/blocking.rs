//! Blocking work outside the threads of the runtime.

use tokio_util::sync::CancellationToken;

use crate::extract::ExtractError;

/// Runs `work` on a thread for blocking work. Dropping the future cancels `work`, which kills its child
/// processes.
pub(crate) async fn blocking<T: Send + 'static, E: From<ExtractError> + Send + 'static>(
    cancel: &CancellationToken,
    work: impl FnOnce(&CancellationToken) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let token = cancel.child_token();
    let _guard = token.clone().drop_guard();
    // Log lines of the work belong to the job of the caller.
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(|| work(&token)))
        .await
        .map_err(|e| E::from(ExtractError::DecoderFailed(e.to_string())))?
}
