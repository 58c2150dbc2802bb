//! A call of a pipeline: the source, the local copy, and access to decoder and limits.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::error::Error;
use super::input::{Counted, LocalFile};
use super::space::additional_bytes;
use crate::compress::{Compressor, VideoTarget};
use crate::extract::{ExtractError, FrameExtractor, PictureEncoder, Scan};
use crate::limits::Limits;
use crate::source::Source;
use crate::video::VideoInfo;

/// One call of a pipeline.
pub(super) struct Session<'a> {
    pub(super) context: &'a Context,
    pub(super) source: Arc<Counted>,
    pub(super) file: LocalFile,
}

impl<'a> Session<'a> {
    pub(super) fn new(context: &'a Context, source: impl Source + 'static) -> Self {
        let source = Counted::new(Arc::new(source), &context.cancel);
        let file = LocalFile::new(Arc::clone(&source), &context.scratch, &context.cancel);
        Self {
            context,
            source,
            file,
        }
    }

    /// Reserves space in the scratch folder for compressed videos too.
    pub(super) fn with_space_for<'t>(mut self, targets: impl IntoIterator<Item = &'t VideoTarget>) -> Self {
        self.file = self
            .file
            .with_additional_space(additional_bytes(self.source.len(), targets));
        self
    }

    pub(super) fn extractor(&self) -> &'a dyn FrameExtractor {
        self.context.extractor.as_ref()
    }

    pub(super) fn compressor(&self) -> Result<&'a dyn Compressor, Error> {
        self.context.compressor.as_deref().ok_or(Error::NoCompressor)
    }

    pub(super) fn encoder(&self) -> Result<&'a dyn PictureEncoder, Error> {
        self.context.encoder.as_deref().ok_or(Error::NoEncoder)
    }

    pub(super) fn limits(&self) -> &'a Limits {
        &self.context.limits
    }

    pub(super) fn cancel(&self) -> &'a CancellationToken {
        &self.context.cancel
    }

    /// Returns the source as a file that a decoder can open.
    pub(super) async fn path(&self) -> Result<PathBuf, Error> {
        self.file.path().await
    }

    /// Returns the source, or its local copy.
    pub(super) async fn local_source(&self) -> Result<Arc<dyn Source>, Error> {
        Ok(match self.source.local_path().is_some() {
            true => self.source.clone(),
            false => Arc::new(self.file.open().await?),
        })
    }

    /// Decodes the whole video to find its frames.
    pub(super) async fn scan(&self, video: &VideoInfo) -> Result<Scan, Error> {
        let path = self.path().await?;
        let scan = self.extractor().scan(&path, video, self.limits(), self.cancel());
        Ok(scan.await?)
    }

    /// Applies the timeout, and reports an interrupted read as a cancellation.
    pub(super) async fn bounded<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match tokio::time::timeout(self.limits().wall_time, work).await {
            Err(_) => Err(Error::LimitExceeded(
                "the maximum processing time is exceeded".to_owned(),
            )),
            Ok(Err(Error::Source(_) | Error::Extract(ExtractError::SourceFailed(_))))
                if self.cancel().is_cancelled() =>
            {
                Err(ExtractError::Cancelled.into())
            }
            Ok(outcome) => outcome,
        }
    }
}
