//! Streams of decoded frames: restarts, damage, limits and resources.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use videoframes_core::extract::{
    Decoded, ExtractReport, Picture, PictureFormat, PixelFormat, Scan, Surprise,
};
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::limits::Limits;
use videoframes_core::pipeline::{Frame, FrameStream, FramesRequest, OnDamage, Pipeline};
use videoframes_core::plan::Strategy;
use videoframes_core::select::Selection;
use videoframes_core::source::{FileSource, MemorySource, Source, Verifier};
use videoframes_core::testing::MockFrameExtractor;
use videoframes_core::units::{Rational, TimeBase};
use videoframes_core::video::{Described, PacketList, Timeline, VideoInfo};
use videoframes_core::{Error, ErrorKind};

/// The pictures and the end of one pass.
type Passed = (Vec<(usize, u8)>, Decoded<ExtractReport>);

fn timeline(pts: &[i64]) -> Timeline {
    Timeline::new(TimeBase::new(1, 10).unwrap(), pts.to_vec(), Some(1)).unwrap()
}

/// Returns an extractor for a video with the packets 0 to 4 and the real frames `scanned`, which performs `passes`.
fn extractor(scanned: &'static [i64], passes: Vec<Passed>) -> MockFrameExtractor {
    let mut mock = MockFrameExtractor::new();
    mock.expect_version().returning(|| Ok("mock 1".to_owned()));
    mock.expect_packets().returning(|_, _, _, _| {
        let time_base = TimeBase::new(1, 10).unwrap();
        let video = VideoInfo::new("avi", "mpeg4", (4, 2), time_base);
        Ok(PacketList::new(
            Described::new(video, Vec::new()),
            Some(timeline(&[0, 1, 2, 3, 4])),
        ))
    });
    mock.expect_scan()
        .returning(|_, _, _, _| Ok(Scan::new(timeline(scanned))));
    let passes = Mutex::new(passes.into_iter());
    mock.expect_extract().returning(move |_, request, pictures, _| {
        assert_eq!(request.picture.format, PictureFormat::Raw);
        let (frames, end) = passes.lock().unwrap().next().unwrap();
        // The receiver runs in this task, so the pictures have to be sent from another thread.
        std::thread::spawn(move || {
            for (frame, value) in frames {
                let bytes = Bytes::from(vec![value; 24]);
                if pictures.blocking_send(Picture::new(frame, bytes, 4, 2)).is_err() {
                    return;
                }
            }
        });
        Ok(end)
    });
    mock
}

fn complete() -> Decoded<ExtractReport> {
    Decoded::Complete(ExtractReport::new("mock 1"))
}

fn mismatch() -> Decoded<ExtractReport> {
    Decoded::Surprise(Surprise::TimelineMismatch("other frames".to_owned()))
}

fn all() -> FramesRequest {
    FramesRequest::new(Selection::All)
}

async fn open(mock: MockFrameExtractor, request: &FramesRequest) -> Result<FrameStream, Error> {
    let source = MemorySource::new("v.avi", &b"bytes"[..]);
    Pipeline::new(mock).frames(source, request).await
}

/// Returns the frames and the error that follows them.
async fn received(mut stream: FrameStream) -> (Vec<(usize, u8)>, Result<FrameStream, Error>) {
    let mut frames = Vec::new();
    while let Some(frame) = stream.next().await {
        match frame {
            Ok(frame) => frames.push((frame.frame, frame.data[0])),
            Err(error) => {
                assert!(stream.next().await.is_none() && stream.summary().is_none());
                return (frames, Err(error));
            }
        }
    }
    assert!(stream.next().await.is_none());
    (frames, Ok(stream))
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_have_their_place_time_and_pixels() {
    let at = [0, 2].map(|tenths| Rational::new(tenths * 2 + 1, 20));
    let selection = Selection::Fps(videoframes_core::units::FrameRate::new(Rational::new(20, 1)).unwrap());
    let frames: Vec<(usize, u8)> = (0..5).map(|frame| (frame, frame as u8)).collect();
    let mut stream = open(
        extractor(&[], vec![(frames, complete())]),
        &FramesRequest::new(selection),
    )
    .await
    .unwrap();
    assert_eq!((stream.total(), stream.size()), (10, (4, 2)));
    assert_eq!(stream.pixels(), PixelFormat::Rgb24);
    let mut received: Vec<Frame> = Vec::new();
    while let Some(frame) = stream.next().await {
        received.push(frame.unwrap());
    }
    let frame = &received[5];
    assert_eq!((frame.index, frame.frame, frame.pts), (5, 2, 2));
    assert_eq!((frame.target, frame.timestamp), (at[1], Rational::new(1, 5)));
    assert!(frame.repeated && !received[4].repeated);
    assert_eq!((&frame.shape()[..], frame.data.len()), (&[2, 4, 3][..], 24));
    let summary = stream.summary().unwrap();
    assert_eq!((summary.frames, summary.damage.as_deref()), (10, None));
    assert!(
        summary.warnings[0].contains("repeat the frame"),
        "{:?}",
        summary.warnings
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_skips_the_frames_that_were_delivered() {
    let first = vec![(0, 10), (1, 11)];
    let second = vec![(0, 10), (1, 11), (2, 12)];
    let mock = extractor(&[0, 1, 3], vec![(first, mismatch()), (second, complete())]);
    let (frames, outcome) = received(open(mock, &all()).await.unwrap()).await;
    assert_eq!(frames, [(0, 10), (1, 11), (2, 12)]);
    assert_eq!(outcome.unwrap().summary().unwrap().frames, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_other_frames_or_pixels_is_an_error() {
    let first = || vec![(0, 10), (1, 11)];
    for (scanned, second) in [
        (&[0, 2, 3][..], vec![]),
        (&[0, 1, 3], vec![(0, 10), (1, 99), (2, 12)]),
        (&[0], vec![]),
    ] {
        let mock = extractor(scanned, vec![(first(), mismatch()), (second, complete())]);
        let (frames, outcome) = received(open(mock, &all()).await.unwrap()).await;
        assert_eq!(frames, first(), "{scanned:?}");
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Inconsistent(_)), "{error}");
        assert!(error.to_string().contains("already delivered"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_an_error_unless_partial_results_are_requested() {
    let pass = || {
        let mut report = ExtractReport::new("mock 1");
        report.damage = Some("broken slice".to_owned());
        vec![(vec![(0, 10)], Decoded::Complete(report))]
    };
    let (frames, outcome) = received(open(extractor(&[], pass()), &all()).await.unwrap()).await;
    assert_eq!(frames.len(), 1);
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Damaged);
    let partial = all().on_damage(OnDamage::Partial);
    let (_, outcome) = received(open(extractor(&[], pass()), &partial).await.unwrap()).await;
    let stream = outcome.unwrap();
    assert_eq!(stream.summary().unwrap().damage.as_deref(), Some("broken slice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_before_the_first_frame_fail_the_call() {
    let source = MemorySource::new("v.avi", &b"bytes"[..]);
    let pipeline = Pipeline::new(extractor(&[], Vec::new())).limits(Limits::default().frames(4));
    let error = pipeline.frames(source, &all()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    let error = pipeline
        .frames_blocking(MemorySource::new("v.avi", &b"bytes"[..]), &all())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
}

#[test]
fn an_iterator_needs_no_runtime() {
    let frames: Vec<(usize, u8)> = (0..5).map(|frame| (frame, frame as u8)).collect();
    let pipeline = Pipeline::new(extractor(&[], vec![(frames, complete())]));
    let source = MemorySource::new("v.avi", &b"bytes"[..]);
    let mut iter = pipeline.frames_blocking(source, &all()).unwrap();
    assert_eq!((iter.total(), iter.size()), (5, (4, 2)));
    let numbers: Vec<usize> = iter.by_ref().map(|frame| frame.unwrap().frame).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    assert_eq!(iter.summary().unwrap().frames, 5);
}

/// Makes a video of 1000 frames with a keyframe every ten.
fn video(folder: &Path) -> PathBuf {
    encoded(folder, "-crf 23")
}

/// Makes a video of 1000 frames, encoded with these options.
fn encoded(folder: &Path, options: &str) -> PathBuf {
    let video = folder.join("video.mp4");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi"])
        .args(["-i", "testsrc2=s=640x360:r=50:d=20"])
        .args([
            "-pix_fmt",
            "yuv420p",
            "-preset",
            "ultrafast",
            "-g",
            "10",
            "-bf",
            "0",
        ])
        .args(options.split_whitespace())
        .arg(&video)
        .status();
    assert!(made.unwrap().success());
    video
}

/// A source without a local path that counts the bytes read.
struct Counting {
    inner: FileSource,
    read: Arc<AtomicU64>,
}

#[async_trait]
impl Source for Counting {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn local_path(&self) -> Option<&Path> {
        None
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        None
    }

    async fn read_at(&self, offset: u64, length: usize) -> std::io::Result<Bytes> {
        let bytes = self.inner.read_at(offset, length).await?;
        self.read.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Ok(bytes)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_frames_of_a_long_selection_decode_little() {
    let folder = tempfile::tempdir().unwrap();
    let video = encoded(folder.path(), "-qp 2");
    let read = Arc::new(AtomicU64::new(0));
    let source = Counting {
        inner: FileSource::open(&video).unwrap(),
        read: Arc::clone(&read),
    };
    let length = source.len();
    assert!(length > 16 << 20, "{length} bytes");
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let pipeline = Pipeline::new(FfmpegExtractor::default())
        .on_progress(move |progress| counted.store(progress.frames as usize, Ordering::SeqCst));
    let request = all().strategy(Strategy::Planned);
    let mut stream = pipeline.frames(source, &request).await.unwrap();
    let index = read.load(Ordering::SeqCst);
    for number in 0..3 {
        assert_eq!(stream.next().await.unwrap().unwrap().frame, number);
    }
    // Gives the decoder time to read on, which it must not use.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let (samples, sent) = (read.load(Ordering::SeqCst) - index, sent.load(Ordering::SeqCst));
    drop(stream);
    assert!(samples < 10 << 20, "{samples} of {length} bytes were read");
    assert!(sent <= 5, "{sent} frames were sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_may_keep_all_frames() {
    let folder = tempfile::tempdir().unwrap();
    let video = video(folder.path());
    let source = FileSource::open(&video).unwrap();
    // Together far larger than the memory that pictures in flight may take.
    let request = FramesRequest::new(Selection::EveryNth(std::num::NonZeroU64::new(10).unwrap()));
    let pipeline = Pipeline::new(FfmpegExtractor::default());
    let mut stream = pipeline.frames(source, &request).await.unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = stream.next().await {
        frames.push(frame.unwrap());
    }
    assert_eq!(frames.len(), 100);
    assert!(frames.iter().all(|frame| frame.data.len() == 640 * 360 * 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_damaged_frame_is_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let video = video(folder.path());
    let pipeline = Pipeline::new(FfmpegExtractor::default());
    let decode = async |path: &Path, request: &FramesRequest| {
        let mut stream = pipeline
            .frames(FileSource::open(path).unwrap(), request)
            .await
            .unwrap();
        let mut frames = Vec::new();
        loop {
            match stream.next().await {
                Some(Ok(frame)) => frames.push(frame.data),
                Some(Err(error)) => return (frames, Some(error)),
                None => return (frames, None),
            }
        }
    };
    let small = all().max_width(64);
    let (intact, error) = decode(&video, &small).await;
    assert!(error.is_none() && intact.len() == 1000);
    let mut bytes = std::fs::read(&video).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 500_000].fill(0x55);
    let damaged = folder.path().join("damaged.mp4");
    std::fs::write(&damaged, bytes).unwrap();
    // Few frames are planned.
    let sparse = |frames: &[Bytes]| -> Vec<Bytes> { frames.iter().step_by(50).cloned().collect() };
    let fiftieth = Selection::EveryNth(std::num::NonZeroU64::new(50).unwrap());
    let planned = FramesRequest::new(fiftieth).max_width(64);
    for (request, expected) in [
        (small.clone(), intact.clone()),
        (small.strategy(Strategy::Plain), intact.clone()),
        (planned, sparse(&intact)),
    ] {
        let (frames, error) = decode(&damaged, &request).await;
        assert_eq!(error.unwrap().kind(), ErrorKind::Damaged, "{request:?}");
        let (delivered, all) = (frames.len(), expected.len());
        assert!(
            delivered * 10 > all * 3 && delivered * 10 < all * 7,
            "{delivered} of {all}: {request:?}"
        );
        assert!(frames == expected[..frames.len()], "a damaged frame: {request:?}");
    }
}

#[test]
fn a_dropped_iterator_ends_its_decoder() {
    let folder = tempfile::tempdir().unwrap();
    let video = video(folder.path());
    let pipeline = Pipeline::new(FfmpegExtractor::default());
    for strategy in [Strategy::Planned, Strategy::Plain] {
        let source = FileSource::open(&video).unwrap();
        let mut iter = pipeline
            .frames_blocking(source, &all().strategy(strategy))
            .unwrap();
        let first: Vec<usize> = iter.by_ref().take(3).map(|frame| frame.unwrap().frame).collect();
        assert_eq!(first, [0, 1, 2]);
        drop(iter);
    }
}
