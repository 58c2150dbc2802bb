//! Delivery of pictures to the receiver.

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::extract::{ExtractError, Picture};

/// Sender of pictures, for threads that may block.
#[derive(Clone, Copy)]
pub(crate) struct PictureSender<'a> {
    pub(crate) sender: &'a mpsc::Sender<Picture>,
    pub(crate) cancel: &'a CancellationToken,
}

impl PictureSender<'_> {
    /// Sends a picture. Also fails on cancellation: a receiver may stop reading without closing the channel, and
    /// a decoder must not wait for such a receiver.
    pub(crate) fn send(&self, picture: Picture) -> Result<(), ExtractError> {
        Handle::current().block_on(async {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(ExtractError::Cancelled),
                sent = self.sender.send(picture) => sent.map_err(|_| ExtractError::Cancelled),
            }
        })
    }
}
