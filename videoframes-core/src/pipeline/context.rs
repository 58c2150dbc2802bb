//! Decoder, limits and callbacks that all calls of a pipeline share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::scratch::Scratch;
use super::summary::Progress;
use crate::compress::{CompressProgress, Compressor};
use crate::extract::{FrameExtractor, PictureEncoder};
use crate::limits::Limits;

/// Decoder, limits and callbacks that all calls of a pipeline share.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) extractor: Arc<dyn FrameExtractor>,
    pub(super) encoder: Option<Arc<dyn PictureEncoder>>,
    pub(super) compressor: Option<Arc<dyn Compressor>>,
    pub(super) limits: Limits,
    pub(super) scratch: Scratch,
    pub(super) cancel: CancellationToken,
    pub(super) on_progress: Arc<dyn Fn(Progress) + Send + Sync>,
    pub(super) on_compress_progress: Arc<dyn Fn(CompressProgress) + Send + Sync>,
}
