//! Encoding of composed pictures: pixels on stdin, a picture on stdout.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::args;
use super::capable::check_encoder;
use super::extractor::FfmpegExtractor;
use crate::extract::{EncodeRequest, ExtractError, PictureEncoder, PictureFormat, PixelFormat};
use crate::ffmpeg::process::blocking::blocking;
use crate::ffmpeg::process::child::Stdin;
use crate::ffmpeg::process::decode::{Decode, DecodeCommand, Event};
use crate::ffmpeg::process::memory::Workload;
use crate::ffmpeg::process::programs::Programs;
use crate::ffmpeg::process::split::Framing;

#[async_trait]
impl PictureEncoder for FfmpegExtractor {
    async fn check(&self, format: PictureFormat, cancel: &CancellationToken) -> Result<(), ExtractError> {
        if format.is_uncompressed() {
            let text = format!("{} is not an encoded format", format.extension());
            return Err(ExtractError::Unsupported(text));
        }
        check_encoder(&self.programs, format, cancel).await
    }

    async fn encode(
        &self,
        request: EncodeRequest,
        cancel: &CancellationToken,
    ) -> Result<Bytes, ExtractError> {
        self.check(request.format, cancel).await?;
        let programs = std::sync::Arc::clone(&self.programs);
        blocking(cancel, move |cancel| {
            encode(&programs, request, cancel).map_err(|error| programs.explain(error, cancel))
        })
        .await
    }
}

/// Encodes a picture. Blocks its thread.
fn encode(
    programs: &Programs,
    request: EncodeRequest,
    cancel: &CancellationToken,
) -> Result<Bytes, ExtractError> {
    let failed = |why: &str| ExtractError::DecoderFailed(format!("failed to encode a picture: {why}"));
    let EncodeRequest { width, height, .. } = request;
    if request.pixels.len() != PixelFormat::Rgb24.picture_bytes(width, height) {
        return Err(failed("the number of pixels differs from its size"));
    }
    let memory = Workload::picture(width, height).memory(&request.limits);
    let (sender, parts) = mpsc::channel(1);
    let command = DecodeCommand {
        stdin: Stdin::Parts(parts),
        pictures: Framing::encoded(request.format),
        ..DecodeCommand::new(args::encode(&request))
    };
    // The channel has capacity for the picture.
    let _ = sender.try_send(request.pixels);
    drop(sender);
    let program = programs.ffmpeg.with_memory(memory);
    let mut encoder = Decode::start(&program, command, request.limits.stall, cancel)?;
    let mut picture = None;
    while let Some(event) = encoder.next()? {
        if let Event::Picture { bytes, .. } = event {
            picture = Some(bytes);
        }
    }
    picture.ok_or_else(|| failed("ffmpeg wrote no picture"))
}
