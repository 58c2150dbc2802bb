//! The trait of compressors.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    CombinedReport, CombinedRequest, CompressError, CompressProgress, CompressReport, CompressRequest,
};
use crate::extract::{Decoded, Picture};
use crate::video::Timeline;

/// Encoder of videos.
///
/// Callers may rely on the following. The output presents every presented frame of the source, and no other,
/// at the same time. No process outlives a call that has returned or was dropped. Hostile input makes an encoder
/// open no other file. Callers may not rely on the output of a failed call, and remove it.
///
/// Implementers verify the output before they report success, and never block a runtime thread. All methods are
/// idempotent and cancel-safe.
#[async_trait]
pub trait Compressor: Send + Sync + 'static {
    /// Compresses `input`. Returns [`Surprise::Interlaced`](crate::extract::Surprise::Interlaced) where an
    /// unexpected interlaced frame comes.
    ///
    /// # Errors
    /// Errors of the decoder and the encoder, exceeded limits, and an output that differs from its source.
    async fn compress(
        &self,
        input: &Path,
        request: &CompressRequest,
        progress: &watch::Sender<CompressProgress>,
        cancel: &CancellationToken,
    ) -> Result<Decoded<CompressReport>, CompressError>;

    /// Sends pictures like [`FrameExtractor::extract`](crate::extract::FrameExtractor::extract), and compresses
    /// the same decoded frames.
    ///
    /// # Errors
    /// Errors of either; an error ends both.
    async fn extract_and_compress(
        &self,
        input: &Path,
        request: CombinedRequest,
        pictures: mpsc::Sender<Picture>,
        cancel: &CancellationToken,
    ) -> Result<Decoded<CombinedReport>, CompressError>;

    /// Copies the streams of `input` into the output without encoding. `timeline` has the frames of the input that
    /// decode; `request.timeline` is the timeline of the container, which stores the end of the last frame.
    ///
    /// # Errors
    /// Returns [`CompressError::NotHeld`] where the container does not support a stream, and
    /// [`CompressError::Differs`] where the output would present other frames.
    async fn remux(
        &self,
        input: &Path,
        request: &CompressRequest,
        timeline: &Timeline,
        cancel: &CancellationToken,
    ) -> Result<CompressReport, CompressError>;

    /// Returns the structural similarity (SSIM) of the output of `request` and its source, from 0 to 1. The similarity
    /// is the mean over all planes and frames (Wang et al., 2004, as ffmpeg computes it). The source is compared as
    /// it was encoded: in the size of the output and after all filters.
    ///
    /// # Errors
    /// Errors of the decoder.
    async fn similarity(
        &self,
        input: &Path,
        request: &CompressRequest,
        cancel: &CancellationToken,
    ) -> Result<f64, CompressError>;
}

#[async_trait]
impl<C: Compressor + ?Sized> Compressor for Arc<C> {
    async fn compress(
        &self,
        input: &Path,
        request: &CompressRequest,
        progress: &watch::Sender<CompressProgress>,
        cancel: &CancellationToken,
    ) -> Result<Decoded<CompressReport>, CompressError> {
        self.as_ref().compress(input, request, progress, cancel).await
    }

    async fn extract_and_compress(
        &self,
        input: &Path,
        request: CombinedRequest,
        pictures: mpsc::Sender<Picture>,
        cancel: &CancellationToken,
    ) -> Result<Decoded<CombinedReport>, CompressError> {
        self.as_ref()
            .extract_and_compress(input, request, pictures, cancel)
            .await
    }

    async fn remux(
        &self,
        input: &Path,
        request: &CompressRequest,
        timeline: &Timeline,
        cancel: &CancellationToken,
    ) -> Result<CompressReport, CompressError> {
        self.as_ref().remux(input, request, timeline, cancel).await
    }

    async fn similarity(
        &self,
        input: &Path,
        request: &CompressRequest,
        cancel: &CancellationToken,
    ) -> Result<f64, CompressError> {
        self.as_ref().similarity(input, request, cancel).await
    }
}
