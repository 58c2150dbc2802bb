//! One pass: decodes and writes concurrently.

use tokio::sync::mpsc;

use super::burn_in::Burner;
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

/// Decodes `input`, draws into the frames if requested, and writes the pictures as they arrive.
pub(super) async fn perform<W: PictureWriter>(
    session: &Session<'_>,
    input: &Input,
    job: ExtractRequest,
    (mut writer, combined, burner): (W, &Option<SharedDecode>, Option<Burner>),
) -> Written<W> {
    let (sender, mut receiver) = mpsc::channel(1);
    let (sender, burning) = match burner {
        None => (sender, None),
        Some(burner) => {
            let (frames, decoded) = mpsc::channel(1);
            (frames, Some((burner, decoded, sender)))
        }
    };
    let decoding = async {
        match combined {
            Some(shared) => decode_combined(session, shared, job, sender).await,
            None => decode(session, input, job, sender).await,
        }
    };
    let burning = async {
        match burning {
            Some((burner, decoded, encoded)) => burner.burn(session, decoded, encoded).await,
            None => Ok(()),
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
    let (decoded, burned, written) = tokio::join!(decoding, burning, writing);
    let outcome = match (written.and(burned), decoded) {
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
