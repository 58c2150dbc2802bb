//! One frame a second of a local video and a smaller version of it, out of one decode; and the smaller
//! version alone: `cargo run --example compress_local -- video.mp4`.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use videoframes_core::archive::ZipFile;
use videoframes_core::compress::{CompressOptions, VideoTarget};
use videoframes_core::ffmpeg::{FfmpegCompressor, FfmpegExtractor};
use videoframes_core::pipeline::{
    CompressJob, Rendition, RenditionOutcome, Renditions, Request, compress, run_with_renditions,
};
use videoframes_core::source::FileSource;
use videoframes_core::storage::IfExists;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: compress_local VIDEO")?;
    let source = Arc::new(FileSource::open(path)?);
    let extractor = FfmpegExtractor::default();
    let compressor = FfmpegCompressor::new(&extractor);
    let cancel = CancellationToken::new();
    let file = |name: &str| VideoTarget::File {
        path: name.into(),
        if_exists: IfExists::Replace,
    };
    let low = CompressOptions {
        max_height: Some(360),
        ..CompressOptions::default()
    };

    let wanted = [Rendition {
        options: low,
        optional: false,
        target: file("beside.mp4"),
    }];
    let renditions = Renditions {
        compressor: &compressor,
        wanted: &wanted,
        progress: &|_| {},
    };
    let frames = ZipFile {
        path: "frames.zip".into(),
        if_exists: IfExists::Replace,
    };
    let request = Request::default();
    let summary = run_with_renditions(
        source.clone(),
        &request,
        renditions,
        &extractor,
        &frames,
        &|_| {},
        &cancel,
    )
    .await?;
    println!("frames.zip: {} pictures", summary.manifest.frames.len());
    for outcome in summary.renditions {
        match outcome {
            RenditionOutcome::Made(video) => println!("beside.mp4: {} bytes", video.bytes),
            RenditionOutcome::Failed(why) => println!("beside.mp4: {why}"),
        }
    }

    let job = CompressJob {
        options: low,
        measure: true,
        ..CompressJob::default()
    };
    let alone = compress(
        source,
        &job,
        &extractor,
        &compressor,
        &file("alone.mp4"),
        &|_| {},
        &cancel,
    )
    .await?;
    println!(
        "alone.mp4: {} bytes of {}, SSIM {:?}",
        alone.bytes, alone.source_bytes, alone.ssim
    );
    Ok(())
}
