//! Extracts one frame per second of a local video: `cargo run --example extract_local -- video.mp4`.

use videoframes_core::archive::ZipFile;
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::pipeline::Request;
use videoframes_core::source::FileSource;
use videoframes_core::storage::IfExists;
use videoframes_core::{ErrorKind, Pipeline};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: extract_local VIDEO")?;
    let target = ZipFile::new("frames.zip").if_exists(IfExists::Replace);
    let pipeline = Pipeline::new(FfmpegExtractor::default());
    let summary = match pipeline
        .extract(FileSource::open(path)?, &Request::default(), &target)
        .await
    {
        Ok(summary) => summary,
        Err(error) if error.kind() == ErrorKind::DecoderMissing => return Err("install ffmpeg first".into()),
        Err(error) => return Err(error.into()),
    };
    for frame in &summary.manifest.frames {
        println!(
            "{}: requested {} s, displayed from {} s",
            frame.file, frame.target, frame.timestamp_s
        );
    }
    Ok(())
}
