//! The ffmpeg that is installed on the machine, as a child process: found, started, watched over and
//! read. What is asked of it is said by those who use it: [`crate::extract::ffmpeg`] and
//! [`crate::compress::ffmpeg`].

use tokio_util::sync::CancellationToken;

use crate::extract::ExtractError;

pub(crate) mod args;
pub(crate) mod child;
mod damage;
pub(crate) mod decode;
pub(crate) mod filters;
pub(crate) mod limit;
mod log;
pub(crate) mod memory;
pub(crate) mod probe;
pub(crate) mod program;
pub(crate) mod registry;
pub(crate) mod room;
pub(crate) mod spawn;
mod split;

/// Does `work` on a thread that may block. A dropped future cancels it, which kills its children.
pub(crate) async fn blocking<T: Send + 'static, E: From<ExtractError> + Send + 'static>(
    cancel: &CancellationToken,
    work: impl FnOnce(&CancellationToken) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let token = cancel.child_token();
    let _guard = token.clone().drop_guard();
    tokio::task::spawn_blocking(move || work(&token))
        .await
        .map_err(|e| E::from(ExtractError::DecoderFailed(e.to_string())))?
}
