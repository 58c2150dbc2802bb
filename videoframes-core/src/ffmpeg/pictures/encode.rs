//! Encoding of composed pictures: pixels on stdin, pictures on stdout.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::args;
use super::capable::check_encoder;
use super::extractor::FfmpegExtractor;
use crate::extract::{EncodeRequest, EncodeStream, ExtractError, PictureEncoder, PictureFormat, PixelFormat};
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

    async fn encode_stream(
        &self,
        request: EncodeStream,
        pixels: mpsc::Receiver<Bytes>,
        pictures: mpsc::Sender<Bytes>,
        cancel: &CancellationToken,
    ) -> Result<(), ExtractError> {
        self.check(request.format, cancel).await?;
        let programs = std::sync::Arc::clone(&self.programs);
        blocking(cancel, move |cancel| {
            let take = |bytes| send(&pictures, bytes, cancel);
            run(&programs, &request, pixels, cancel, take).map_err(|error| programs.explain(error, cancel))
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
    let EncodeRequest { width, height, .. } = request;
    if request.pixels.len() != PixelFormat::Rgb24.picture_bytes(width, height) {
        return Err(failed("the number of pixels differs from its size"));
    }
    let mut stream = EncodeStream::new(width, height);
    stream.format = request.format;
    stream.quality = request.quality;
    stream.limits = request.limits;
    let (sender, pixels) = mpsc::channel(1);
    // The channel has capacity for the picture.
    let _ = sender.try_send(request.pixels);
    drop(sender);
    let mut picture = None;
    run(programs, &stream, pixels, cancel, |bytes| {
        picture = Some(bytes);
        Ok(true)
    })?;
    picture.ok_or_else(|| failed("ffmpeg wrote no picture"))
}

/// Encodes pictures until `take` returns `false`. Blocks its thread.
fn run(
    programs: &Programs,
    stream: &EncodeStream,
    pixels: mpsc::Receiver<Bytes>,
    cancel: &CancellationToken,
    mut take: impl FnMut(Bytes) -> Result<bool, ExtractError>,
) -> Result<(), ExtractError> {
    let memory = Workload::picture(stream.width, stream.height).memory(&stream.limits);
    let command = DecodeCommand {
        stdin: Stdin::Parts(pixels),
        pictures: Framing::encoded(stream.format),
        ..DecodeCommand::new(args::encode(stream))
    };
    let program = programs.ffmpeg.with_memory(memory).with_cpu_of(&stream.limits);
    let mut encoder = Decode::start(&program, command, stream.limits.stall, cancel)?;
    while let Some(event) = encoder.next()? {
        if let Event::Picture { bytes, .. } = event
            && !take(bytes)?
        {
            break;
        }
    }
    Ok(())
}

/// Sends a picture. Returns `false` for a closed channel. Fails on cancellation, since a receiver may stop reading without
/// closing the channel.
fn send(
    pictures: &mpsc::Sender<Bytes>,
    picture: Bytes,
    cancel: &CancellationToken,
) -> Result<bool, ExtractError> {
    Handle::current().block_on(async {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ExtractError::Cancelled),
            sent = pictures.send(picture) => Ok(sent.is_ok()),
        }
    })
}

fn failed(why: &str) -> ExtractError {
    ExtractError::DecoderFailed(format!("failed to encode a picture: {why}"))
}
