//! A decoder without ffmpeg: each picture is a text.

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use videoframes_core::extract::{
    Decoded, ExtractError, ExtractReport, ExtractRequest, FrameExtractor, Input, Picture, Scan,
};
use videoframes_core::limits::Limits;
use videoframes_core::units::TimeBase;
use videoframes_core::video::{Described, PacketList, StreamChoice, Timeline, VideoInfo};

use crate::faults::Op;
use crate::life::Life;
use crate::plan::BROKEN;

/// Number of frames of every video, one a second.
const FRAMES: i64 = 4;
const SIDE: u32 = 16;

/// The decoder of a worker.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedExtractor {
    pub(crate) life: Life,
}

fn failed() -> ExtractError {
    ExtractError::DecoderFailed("simulated fault".to_owned())
}

fn video() -> Option<(VideoInfo, Timeline)> {
    let seconds = TimeBase::new(1, 1)?;
    let timeline = Timeline::new(seconds, (0..FRAMES).collect(), Some(1))?;
    Some((
        VideoInfo::new("simulation", "text", (SIDE, SIDE), seconds),
        timeline,
    ))
}

fn timeline() -> Result<(VideoInfo, Timeline), ExtractError> {
    video().ok_or_else(failed)
}

#[async_trait]
impl FrameExtractor for SimulatedExtractor {
    async fn version(&self) -> Result<String, ExtractError> {
        Ok("simulation".to_owned())
    }

    async fn describe(
        &self,
        input: &Path,
        _: Option<StreamChoice>,
        _: &Limits,
        _: &CancellationToken,
    ) -> Result<Described, ExtractError> {
        if input == Path::new(BROKEN) {
            return Err(ExtractError::NotAVideo("simulated text".to_owned()));
        }
        let describe = || Ok(Described::new(timeline()?.0, Vec::new()));
        self.life.call(Op::Describe, "", failed, describe).await
    }

    async fn packets(
        &self,
        input: &Path,
        stream: Option<StreamChoice>,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<PacketList, ExtractError> {
        let described = self.describe(input, stream, limits, cancel).await?;
        Ok(PacketList::new(described, Some(timeline()?.1)))
    }

    async fn scan(
        &self,
        _: &Path,
        _: &VideoInfo,
        _: &Limits,
        _: &CancellationToken,
    ) -> Result<Scan, ExtractError> {
        timeline().map(|(_, timeline)| Scan::new(timeline))
    }

    async fn extract(
        &self,
        _: &Input,
        request: ExtractRequest,
        pictures: mpsc::Sender<Picture>,
        cancel: &CancellationToken,
    ) -> Result<Decoded<ExtractReport>, ExtractError> {
        for frame in request.frames {
            let decode = self.life.call(Op::Decode, "", failed, || Ok(()));
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(ExtractError::Cancelled),
                decoded = decode => decoded?,
            }
            let bytes = Bytes::from(format!("simulated picture {frame}"));
            let picture = Picture::new(frame, bytes, SIDE, SIDE);
            let sent = pictures.send(picture).await;
            sent.map_err(|_| ExtractError::Cancelled)?;
        }
        Ok(Decoded::Complete(ExtractReport::new("simulation")))
    }
}
