//! Times in pictures, with encoders that break their contract.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use videoframes_core::archive::ZipFile;
use videoframes_core::extract::{
    BurnIn, EncodeRequest, EncodeStream, ExtractError, PictureEncoder, PictureFormat, PictureOptions,
};
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::pipeline::{Pipeline, Request};
use videoframes_core::select::Selection;
use videoframes_core::source::FileSource;

/// Number of frames of the video.
const FRAMES: usize = 6;

/// An encoder that returns this number of pictures for each frame.
struct Counting([usize; FRAMES]);

#[async_trait]
impl PictureEncoder for Counting {
    async fn check(&self, _: PictureFormat, _: &CancellationToken) -> Result<(), ExtractError> {
        Ok(())
    }

    async fn encode(&self, request: EncodeRequest, _: &CancellationToken) -> Result<Bytes, ExtractError> {
        Ok(request.pixels)
    }

    async fn encode_stream(
        &self,
        _: EncodeStream,
        mut pixels: mpsc::Receiver<Bytes>,
        pictures: mpsc::Sender<Bytes>,
        _: &CancellationToken,
    ) -> Result<(), ExtractError> {
        for count in self.0 {
            let Some(picture) = pixels.recv().await else { break };
            for _ in 0..count {
                if pictures.send(picture.clone()).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

async fn extract(encoder: Counting) -> Result<usize, String> {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("video.mp4");
    let source = format!("testsrc2=s=160x90:r=10:d=0.{FRAMES}");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", &source])
        .arg(&video)
        .status();
    assert!(made.unwrap().success());
    let request = Request::new(Selection::All).picture(PictureOptions::default().burn_in(BurnIn::Time));
    let source = Arc::new(FileSource::open(&video).unwrap());
    let archive = folder.path().join("frames.zip");
    let pipeline = Pipeline::new(FfmpegExtractor::default()).encoder(encoder);
    let extracted = pipeline.extract(source, &request, &ZipFile::new(&archive)).await;
    assert_eq!(archive.exists(), extracted.is_ok(), "no archive is left");
    match extracted {
        Ok(summary) => Ok(summary.manifest.frames.len()),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn an_encoder_that_loses_or_adds_a_picture_is_an_error() {
    assert_eq!(extract(Counting([1; FRAMES])).await, Ok(FRAMES));
    for (counts, why) in [
        ([1, 1, 0, 1, 1, 1], "too few"),
        ([1, 1, 1, 1, 1, 0], "too few"),
        ([1, 2, 1, 1, 1, 1], "too many"),
        ([1, 1, 1, 1, 1, 2], "too many"),
    ] {
        let error = extract(Counting(counts)).await.unwrap_err();
        assert!(error.contains(why), "{counts:?}: {error}");
    }
}
