//! Implements a decoder and a store with public items alone, without ffmpeg: a "video" is the number of its
//! frames as text, and each picture is a test pattern. `cargo run --example custom_backends`

use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use bytes::Bytes;
use image::{GrayImage, ImageFormat, Luma};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use videoframes_core::archive::ZipObject;
use videoframes_core::extract::{
    Decoded, ExtractError, ExtractReport, ExtractRequest, FrameExtractor, Input, Picture, PictureFormat,
    PictureOptions, Scan,
};
use videoframes_core::limits::Limits;
use videoframes_core::pipeline::Request;
use videoframes_core::source::MemorySource;
use videoframes_core::storage::{
    MemoryStorage, ObjectEntry, ObjectInfo, ObjectKey, ObjectVersion, Opened, PutOptions, Sink, Storage,
    StorageError,
};
use videoframes_core::units::TimeBase;
use videoframes_core::video::{Described, PacketList, StreamChoice, Timeline, VideoInfo};
use videoframes_core::{ErrorKind, Pipeline};

const SIDE: u32 = 64;
static SECONDS: LazyLock<TimeBase> =
    LazyLock::new(|| TimeBase::new(1, 1).expect("both numbers are positive"));

/// Decoder of "videos" with one frame a second.
struct Patterns;

impl Patterns {
    fn timeline(input: &Path) -> Result<Timeline, ExtractError> {
        let text = std::fs::read_to_string(input).map_err(ExtractError::SourceFailed)?;
        let frames = text
            .trim()
            .parse::<i64>()
            .ok()
            .map(|frames| (0..frames).collect());
        frames
            .and_then(|pts| Timeline::new(*SECONDS, pts, Some(1)))
            .ok_or_else(|| ExtractError::NotAVideo("not a number of frames".to_owned()))
    }
}

#[async_trait]
impl FrameExtractor for Patterns {
    async fn version(&self) -> Result<String, ExtractError> {
        Ok("patterns 1".to_owned())
    }

    async fn describe(
        &self,
        input: &Path,
        _: Option<StreamChoice>,
        _: &Limits,
        _: &CancellationToken,
    ) -> Result<Described, ExtractError> {
        Self::timeline(input)?;
        let video = VideoInfo::new("text", "pattern", (SIDE, SIDE), *SECONDS);
        Ok(Described::new(video, Vec::new()))
    }

    async fn packets(
        &self,
        input: &Path,
        stream: Option<StreamChoice>,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<PacketList, ExtractError> {
        let described = self.describe(input, stream, limits, cancel).await?;
        Ok(PacketList::new(described, Some(Self::timeline(input)?)))
    }

    async fn scan(
        &self,
        input: &Path,
        _: &VideoInfo,
        _: &Limits,
        _: &CancellationToken,
    ) -> Result<Scan, ExtractError> {
        Self::timeline(input).map(Scan::new)
    }

    async fn extract(
        &self,
        _: &Input,
        request: ExtractRequest,
        pictures: mpsc::Sender<Picture>,
        _: &CancellationToken,
    ) -> Result<Decoded<ExtractReport>, ExtractError> {
        for frame in request.frames {
            let mut png = Cursor::new(Vec::new());
            GrayImage::from_fn(SIDE, SIDE, |x, y| Luma([(frame as u32 * 32 + x * y) as u8]))
                .write_to(&mut png, ImageFormat::Png)
                .map_err(|error| ExtractError::DecoderFailed(error.to_string()))?;
            // The caller has dropped the receiver.
            let picture = Picture::new(frame, png.into_inner().into(), SIDE, SIDE);
            pictures
                .send(picture)
                .await
                .map_err(|_| ExtractError::Cancelled)?;
        }
        Ok(Decoded::Complete(ExtractReport::new("patterns 1")))
    }
}

/// Store that counts the written objects.
#[derive(Default)]
struct Counting {
    inner: MemoryStorage,
    written: AtomicUsize,
}

#[async_trait]
impl Storage for Counting {
    async fn head(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<ObjectInfo, StorageError> {
        self.inner.head(key, version).await
    }

    async fn open(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<Opened, StorageError> {
        self.inner.open(key, version).await
    }

    async fn create(&self, key: &ObjectKey, options: &PutOptions) -> Result<Box<dyn Sink>, StorageError> {
        self.written.fetch_add(1, Ordering::Relaxed);
        self.inner.create(key, options).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        self.inner.delete(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        max: usize,
    ) -> Result<Vec<ObjectEntry>, StorageError> {
        self.inner.list(prefix, after, max).await
    }

    async fn import(&self, key: &ObjectKey, path: &Path, options: &PutOptions) -> Result<(), StorageError> {
        self.inner.import(key, path, options).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let storage = Arc::new(Counting::default());
    let pipeline = Pipeline::new(Patterns).limits(Limits::default().frames(100));
    let request = Request::default().picture(PictureOptions::default().format(PictureFormat::Png));
    for (name, video) in [("five", "5"), ("thousand", "1000"), ("text", "not a number")] {
        let source = MemorySource::new(name, Bytes::from_static(video.as_bytes()));
        let target = ZipObject::new(storage.clone(), name.parse()?, PutOptions::default());
        match pipeline.extract(source, &request, &target).await {
            Ok(summary) => println!("{name}: {} pictures", summary.manifest.frames.len()),
            Err(error) => match error.kind() {
                ErrorKind::NotAVideo => println!("{name}: skipped, since {error}"),
                ErrorKind::LimitExceeded => println!("{name}: too long for this service"),
                _ => return Err(error.into()),
            },
        }
    }
    println!("{} object written", storage.written.load(Ordering::Relaxed));
    Ok(())
}

#[test]
fn the_example_runs_without_a_decoder_on_the_machine() {
    main().expect("one video is valid, and the errors of the others have expected kinds");
}
