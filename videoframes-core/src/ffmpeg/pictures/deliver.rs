//! Pictures on their way to the receiver.

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::extract::{ExtractError, Picture};

/// Sends a picture from a thread that may block. Fails on cancellation too: a receiver may stop reading
/// without closing the channel, and a decoder must not wait for such a receiver.
pub(super) fn deliver(
    pictures: &mpsc::Sender<Picture>,
    picture: Picture,
    cancel: &CancellationToken,
) -> Result<(), ExtractError> {
    Handle::current().block_on(async {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ExtractError::Cancelled),
            sent = pictures.send(picture) => sent.map_err(|_| ExtractError::Cancelled),
        }
    })
}
