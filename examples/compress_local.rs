//! Extracts one frame per second of a local video and compresses the video, in one decode; then compresses
//! the video alone: `cargo run --example compress_local -- video.mp4`.

use std::sync::Arc;

use videoframes_core::archive::ZipFile;
use videoframes_core::compress::{CompressOptions, VideoTarget};
use videoframes_core::ffmpeg::{FfmpegCompressor, FfmpegExtractor};
use videoframes_core::pipeline::{
    AdditionalOutputs, CompressJob, Pipeline, Rendition, RenditionOutcome, Request,
};
use videoframes_core::source::FileSource;
use videoframes_core::storage::IfExists;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: compress_local VIDEO")?;
    let source = Arc::new(FileSource::open(path)?);
    let extractor = FfmpegExtractor::default();
    let pipeline = Pipeline::new(extractor.clone()).compressor(FfmpegCompressor::new(&extractor));
    let file = |name: &str| VideoTarget::File {
        path: name.into(),
        if_exists: IfExists::Replace,
    };
    let low = CompressOptions::default().max_height(360);

    let wanted = AdditionalOutputs::default().renditions([Rendition::new(low, file("beside.mp4"))]);
    let frames = ZipFile::new("frames.zip").if_exists(IfExists::Replace);
    let summary = pipeline
        .extract_with_outputs(source.clone(), &Request::default(), &wanted, &frames)
        .await?;
    println!("frames.zip: {} pictures", summary.manifest.frames.len());
    for outcome in summary.renditions {
        match outcome {
            RenditionOutcome::Made(video) => println!("beside.mp4: {} bytes", video.bytes),
            RenditionOutcome::Failed(why) => println!("beside.mp4: {why}"),
        }
    }

    let job = CompressJob::new(low).measured();
    let alone = pipeline.compress(source, &job, &file("alone.mp4")).await?;
    println!(
        "alone.mp4: {} bytes of {}, SSIM {:?}",
        alone.bytes, alone.source_bytes, alone.ssim
    );
    Ok(())
}
