//! The trait of encoders of composed pictures.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{ExtractError, PictureFormat, Quality};
use crate::limits::Limits;

/// Request for one encoded picture.
#[derive(Clone)]
#[non_exhaustive]
pub struct EncodeRequest {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Red, green and blue of each pixel, row by row.
    pub pixels: Bytes,
    /// Format of the picture: not [`PictureFormat::Raw`] or [`PictureFormat::Npy`].
    pub format: PictureFormat,
    /// Quality of a lossy format.
    pub quality: Quality,
    /// Limits of the encoder.
    pub limits: Limits,
}

impl fmt::Debug for EncodeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodeRequest")
            .field("width", &self.width)
            .field("height", &self.height)
            .field("format", &self.format)
            .field("quality", &self.quality)
            .finish_non_exhaustive()
    }
}

impl EncodeRequest {
    /// Returns a request for a JPEG within the default limits.
    #[must_use]
    pub fn new(width: u32, height: u32, pixels: Bytes) -> Self {
        Self {
            width,
            height,
            pixels,
            format: PictureFormat::default(),
            quality: Quality::default(),
            limits: Limits::default(),
        }
    }
}

/// Request for encoded pictures of one size.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct EncodeStream {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Format of the pictures: not [`PictureFormat::Raw`] or [`PictureFormat::Npy`].
    pub format: PictureFormat,
    /// Quality of a lossy format.
    pub quality: Quality,
    /// Limits of the encoder.
    pub limits: Limits,
}

impl EncodeStream {
    /// Returns a request for JPEGs within the default limits.
    #[must_use]
    pub fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            format: PictureFormat::default(),
            quality: Quality::default(),
            limits: Limits::default(),
        }
    }
}

/// Encoder of pictures that are composed of frames.
///
/// Callers may rely on the formats, the quality and the colours of [`FrameExtractor::extract`](super::FrameExtractor::extract),
/// and on the same bytes for the same request. No process outlives a call that has returned or was dropped.
///
/// Implementers never block a runtime thread. All methods are idempotent and cancel-safe.
#[async_trait]
pub trait PictureEncoder: Send + Sync + 'static {
    /// Fails with [`ExtractError::Unsupported`] if pictures of this format cannot be encoded.
    async fn check(&self, format: PictureFormat, cancel: &CancellationToken) -> Result<(), ExtractError>;

    /// Encodes one picture.
    ///
    /// # Errors
    /// Those of [`PictureEncoder::check`], errors of the encoder, and exceeded limits.
    async fn encode(&self, request: EncodeRequest, cancel: &CancellationToken)
    -> Result<Bytes, ExtractError>;

    /// Encodes pictures with one encoder, in order, until `pixels` is closed. Ends early if `pictures` is closed.
    ///
    /// Each part of `pixels` is one picture: red, green and blue of each pixel, row by row. A picture may leave after
    /// later pixels arrived.
    ///
    /// # Errors
    /// Those of [`PictureEncoder::encode`].
    async fn encode_stream(
        &self,
        request: EncodeStream,
        pixels: mpsc::Receiver<Bytes>,
        pictures: mpsc::Sender<Bytes>,
        cancel: &CancellationToken,
    ) -> Result<(), ExtractError>;
}

#[async_trait]
impl<E: PictureEncoder + ?Sized> PictureEncoder for Arc<E> {
    async fn check(&self, format: PictureFormat, cancel: &CancellationToken) -> Result<(), ExtractError> {
        self.as_ref().check(format, cancel).await
    }

    async fn encode(
        &self,
        request: EncodeRequest,
        cancel: &CancellationToken,
    ) -> Result<Bytes, ExtractError> {
        self.as_ref().encode(request, cancel).await
    }

    async fn encode_stream(
        &self,
        request: EncodeStream,
        pixels: mpsc::Receiver<Bytes>,
        pictures: mpsc::Sender<Bytes>,
        cancel: &CancellationToken,
    ) -> Result<(), ExtractError> {
        self.as_ref()
            .encode_stream(request, pixels, pictures, cancel)
            .await
    }
}
