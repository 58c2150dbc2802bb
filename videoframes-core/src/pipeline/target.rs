//! Targets of the pictures of an extraction: an archive, or a stream of frames.

use std::sync::Arc;

use super::error::Error;
use crate::archive::manifest::PickedInfo;
use crate::extract::Picture;
use crate::select::Pick;
use crate::video::{Timeline, VideoInfo};

/// The presented frames of a video and the picks among them.
#[derive(Debug, Clone)]
pub(super) struct Selected {
    pub(super) timeline: Arc<Timeline>,
    pub(super) picks: Arc<[Pick]>,
    /// Whether the indices into the timeline are the frame numbers.
    pub(super) has_frame_numbers: bool,
    /// Reasons of the picks, if an examination chose them.
    pub(super) reasons: Option<Arc<[PickedInfo]>>,
}

/// Target of the pictures of an extraction.
pub(super) trait PictureTarget: Sync {
    type Writer: PictureWriter;

    /// Returns whether a pass can follow a pass that wrote pictures.
    fn can_restart(&self) -> bool;

    /// Returns whether pictures leave the target before the extraction is complete. Such a target must receive no
    /// damaged picture, and may stop after any picture.
    fn is_immediate(&self) -> bool;

    /// Starts a pass.
    fn start(
        &self,
        video: &VideoInfo,
        selected: Selected,
    ) -> impl Future<Output = Result<Self::Writer, Error>> + Send;
}

/// Writer of the pictures of one pass.
pub(super) trait PictureWriter: Send {
    /// Writes a picture once for every pick of its frame. Pictures arrive in order.
    fn add(&mut self, picture: Picture) -> impl Future<Output = Result<(), Error>> + Send;

    /// Returns whether no picture has been written yet.
    fn is_untouched(&self) -> bool;

    /// Removes the written pictures, if possible.
    fn abort(self) -> impl Future<Output = ()> + Send;
}
