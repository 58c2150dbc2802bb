//! One frame a second of a local video: `cargo run --example extract_local -- video.mp4`.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use videoframes_core::archive::ZipFile;
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::pipeline::{Request, run};
use videoframes_core::source::FileSource;
use videoframes_core::storage::IfExists;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: extract_local VIDEO")?;
    let source = Arc::new(FileSource::open(path)?);
    let target = ZipFile {
        path: "frames.zip".into(),
        if_exists: IfExists::Replace,
    };
    let extractor = FfmpegExtractor::default();
    let summary = run(
        source,
        &Request::default(),
        &extractor,
        &target,
        &|_| {},
        &CancellationToken::new(),
    )
    .await?;
    for frame in &summary.manifest.frames {
        println!(
            "{}: asked for {} s, shown from {} s",
            frame.file, frame.target, frame.timestamp_s
        );
    }
    Ok(())
}
