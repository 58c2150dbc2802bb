//! The trait of decoders.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Decoded, ExtractError, ExtractReport, ExtractRequest, Input, Picture, Scan};
use crate::limits::Limits;
use crate::video::{Described, PacketList, StreamChoice, VideoInfo};

/// Decoder of videos.
///
/// Callers may rely on the following. No process, thread that uses the CPU, or temporary file outlives a
/// call that has returned or was dropped. Hostile input makes a decoder open no other file. Pictures come in
/// the order of their frames, and each is exactly the frame that the timeline names.
///
/// Implementers never deliver a picture before they know that it is right, and never block a
/// runtime thread. All methods are idempotent and cancel-safe.
#[async_trait]
pub trait FrameExtractor: Send + Sync + 'static {
    /// Returns name and version of the decoder, for manifests of extractions that decode nothing.
    async fn version(&self) -> Result<String, ExtractError>;

    /// Reads the container's description of its video streams, without decoding. Without a choice of
    /// `stream`, describes the stream that a player shows.
    ///
    /// # Errors
    /// [`ExtractError::NotAVideo`], [`ExtractError::NoVideoStream`], [`ExtractError::NoSuchStream`],
    /// [`ExtractError::Damaged`].
    async fn describe(
        &self,
        input: &Path,
        stream: Option<StreamChoice>,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Described, ExtractError>;

    /// Reads the container's description of its video streams and lists the packets of one, without decoding more
    /// than the beginning. [`FrameExtractor::extract`] checks every frame. Without a choice of `stream`, lists
    /// the packets of the stream that a player shows.
    ///
    /// # Errors
    /// Those of [`FrameExtractor::describe`]; [`ExtractError::LimitExceeded`] for more frames than can be kept.
    async fn packets(
        &self,
        input: &Path,
        stream: Option<StreamChoice>,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<PacketList, ExtractError>;

    /// Decodes the whole video to find its frames.
    ///
    /// # Errors
    /// [`ExtractError::Damaged`] where no frame decodes.
    async fn scan(
        &self,
        input: &Path,
        video: &VideoInfo,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Scan, ExtractError>;

    /// Sends the pictures of `request.frames`, in order. Dropping the receiver ends the call with
    /// [`ExtractError::Cancelled`].
    ///
    /// Returns a [`Surprise`](super::Surprise) as soon as a decoded frame is not the frame of the timeline, or
    /// the samples of a plan do not decode as planned. Pictures that were sent before are right.
    /// With [`ExtractRequest::stop_at_damage`], the call may end before the last picture, with damage in its report.
    ///
    /// # Errors
    /// Errors of the decoder, of the source of planned samples, and exceeded limits.
    async fn extract(
        &self,
        input: &Input,
        request: ExtractRequest,
        pictures: mpsc::Sender<Picture>,
        cancel: &CancellationToken,
    ) -> Result<Decoded<ExtractReport>, ExtractError>;
}

#[async_trait]
impl<E: FrameExtractor + ?Sized> FrameExtractor for Arc<E> {
    async fn version(&self) -> Result<String, ExtractError> {
        self.as_ref().version().await
    }

    async fn describe(
        &self,
        input: &Path,
        stream: Option<StreamChoice>,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Described, ExtractError> {
        self.as_ref().describe(input, stream, limits, cancel).await
    }

    async fn packets(
        &self,
        input: &Path,
        stream: Option<StreamChoice>,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<PacketList, ExtractError> {
        self.as_ref().packets(input, stream, limits, cancel).await
    }

    async fn scan(
        &self,
        input: &Path,
        video: &VideoInfo,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Scan, ExtractError> {
        self.as_ref().scan(input, video, limits, cancel).await
    }

    async fn extract(
        &self,
        input: &Input,
        request: ExtractRequest,
        pictures: mpsc::Sender<Picture>,
        cancel: &CancellationToken,
    ) -> Result<Decoded<ExtractReport>, ExtractError> {
        self.as_ref().extract(input, request, pictures, cancel).await
    }
}
