//! One pass: decodes and writes concurrently.

use tokio::sync::mpsc;

use super::error::Error;
use super::facts::Finding;
use super::renditions::SharedDecode;
use super::session::Session;
use super::target::PictureWriter;
use crate::compress::{CombinedReport, CombinedRequest, CompressReport};
use crate::extract::{Decoded, ExtractReport, ExtractRequest, Input, Picture};

/// Result of a pass that delivered all pictures.
pub(super) struct Performed {
    pub(super) pictures: ExtractReport,
    /// Reports on the shared renditions.
    pub(super) videos: Vec<CompressReport>,
}

/// Outcome of a pass, and the writer with the pictures received so far.
pub(super) struct Written<W> {
    pub(super) writer: W,
    pub(super) outcome: Result<Performed, Finding>,
}

/// Decodes `input` and writes the pictures as they arrive.
pub(super) async fn perform<W: PictureWriter>(
    session: &Session<'_>,
    input: &Input,
    job: ExtractRequest,
    (mut writer, combined): (W, &Option<SharedDecode>),
) -> Written<W> {
    let (sender, mut receiver) = mpsc::channel(1);
    let decoding = async {
        match combined {
            Some(shared) => decode_combined(session, shared, job, sender).await,
            None => decode(session, input, job, sender).await,
        }
    };
    let writing = async {
        while let Some(picture) = receiver.recv().await {
            if let Err(error) = writer.add(picture).await {
                // A closed channel ends the decode.
                receiver.close();
                return Err(error);
            }
        }
        Ok(())
    };
    let (decoded, written) = tokio::join!(decoding, writing);
    let outcome = match (written, decoded) {
        (Err(error), _) | (Ok(()), Err(error)) => Err(Finding::Failed(error)),
        (Ok(()), Ok(Decoded::Surprise(surprise))) => Err(Finding::Surprise(surprise)),
        (Ok(()), Ok(Decoded::Complete(performed))) => Ok(performed),
    };
    Written { writer, outcome }
}

/// Decodes for pictures. Starts no decoder without frames.
async fn decode(
    session: &Session<'_>,
    input: &Input,
    job: ExtractRequest,
    pictures: mpsc::Sender<Picture>,
) -> Result<Decoded<Performed>, Error> {
    let extractor = session.extractor();
    let decoded = match job.frames.is_empty() {
        true => Decoded::Complete(ExtractReport {
            decoder: extractor.version().await?,
            ..ExtractReport::default()
        }),
        false => extractor.extract(input, job, pictures, session.cancel()).await?,
    };
    Ok(match decoded {
        Decoded::Complete(pictures) => Decoded::Complete(Performed {
            pictures,
            videos: Vec::new(),
        }),
        Decoded::Surprise(surprise) => Decoded::Surprise(surprise),
    })
}

/// Decodes for pictures and renditions.
async fn decode_combined(
    session: &Session<'_>,
    shared: &SharedDecode,
    pictures: ExtractRequest,
    sender: mpsc::Sender<Picture>,
) -> Result<Decoded<Performed>, Error> {
    let request = CombinedRequest {
        pictures,
        videos: shared.requests(),
    };
    let path = session.path().await?;
    let decoding = session
        .compressor()?
        .extract_and_compress(&path, request, sender, session.cancel());
    Ok(match decoding.await? {
        Decoded::Complete(CombinedReport { pictures, videos }) => {
            Decoded::Complete(Performed { pictures, videos })
        }
        Decoded::Surprise(surprise) => Decoded::Surprise(surprise),
    })
}
