//! Uncompressed frames on stdout, one after the other.

use bytes::Bytes;
use videoframes_core::Error;
use videoframes_core::archive::ArchiveError;
use videoframes_core::extract::{ExtractError, PictureFormat, Surprise};
use videoframes_core::pipeline::{FrameStream, FramesRequest, Pipeline, Request};
use videoframes_core::source::Source;
use videoframes_core::storage::Sink;

use crate::extract::Extracted;
use crate::stdout::StdoutSink;

/// Writes the frames of `request` to stdout: raw frames without a header, or one NumPy array of all frames.
pub(crate) async fn write(
    pipeline: &Pipeline,
    source: impl Source + 'static,
    request: Request,
) -> Result<Extracted, Error> {
    let (source_bytes, format) = (source.len(), request.picture.format);
    let mut frames = pipeline.frames(source, &FramesRequest::from(request)).await?;
    let mut stdout = Box::new(StdoutSink);
    let (mut bytes, mut written, mut announced) = (0, 0, None);
    loop {
        let frame = frames.next().await.transpose()?;
        // The number of frames is known once the first frame is verified.
        if format == PictureFormat::Npy && announced.is_none() {
            let ((width, height), total) = (frames.size(), frames.total());
            let header = frames.pixels().npy_header(width, height, Some(total));
            bytes += write_part(&mut stdout, header.into()).await?;
            announced = Some(total);
        }
        let Some(frame) = frame else { break };
        bytes += write_part(&mut stdout, frame.data).await?;
        written += 1;
    }
    if let Some(announced) = announced.filter(|&announced| announced != written) {
        return Err(Error::Inconsistent(Surprise::TimelineMismatch(format!(
            "{written} frames decoded, the header says {announced}"
        ))));
    }
    stdout.finish().await.map_err(ArchiveError::from)?;
    extracted(&frames, written, bytes, source_bytes)
}

async fn write_part(stdout: &mut StdoutSink, part: Bytes) -> Result<u64, Error> {
    let size = part.len() as u64;
    stdout.write(part).await.map_err(ArchiveError::from)?;
    Ok(size)
}

/// Returns the result of a stream that ended.
fn extracted(
    frames: &FrameStream,
    written: usize,
    bytes: u64,
    source_bytes: u64,
) -> Result<Extracted, Error> {
    // A stream without an error has a summary.
    let summary = frames.summary().ok_or(ExtractError::Cancelled)?;
    Ok(Extracted {
        frames: written,
        bytes,
        warnings: summary.warnings.clone(),
        damage: summary.damage.clone(),
        work: summary.work.clone(),
        source_bytes,
        duration_s: None,
    })
}
