//! Decisions of the pipeline, tested with a mock extractor.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use videoframes_core::archive::ZipObject;
use videoframes_core::extract::{Decoded, ExtractReport, Picture, Scan, Surprise};
use videoframes_core::limits::Limits;
use videoframes_core::pipeline::{OnDamage, Pipeline, Request, Summary};
use videoframes_core::select::Selection;
use videoframes_core::source::MemorySource;
use videoframes_core::storage::{IfExists, MemoryStorage, ObjectVersion, Storage};
use videoframes_core::testing::MockFrameExtractor;
use videoframes_core::units::TimeBase;
use videoframes_core::video::{Described, PacketList, Timeline, VideoInfo};
use videoframes_core::{Error, ErrorKind};

fn video() -> VideoInfo {
    let time_base = TimeBase::new(1, 10).unwrap();
    VideoInfo::new("mov,mp4", "h264", (16, 16), time_base)
}

fn timeline(frames: i64) -> Timeline {
    Timeline::new(TimeBase::new(1, 10).unwrap(), (0..frames).collect(), Some(1)).unwrap()
}

/// Returns an extractor whose index has five frames, of which `decodable` decode.
fn extractor(decodable: i64, damage: Option<&'static str>) -> MockFrameExtractor {
    let mut mock = MockFrameExtractor::new();
    mock.expect_version().returning(|| Ok("mock 1".to_owned()));
    mock.expect_packets().returning(|_, _, _, _| {
        let described = Described::new(video(), Vec::new());
        Ok(PacketList::new(described, Some(timeline(5))))
    });
    mock.expect_scan().returning(move |_, _, _, _| {
        let mut scan = Scan::new(timeline(decodable));
        scan.damage = damage.map(str::to_owned);
        Ok(scan)
    });
    mock.expect_extract().returning(move |_, request, pictures, _| {
        let (good, wrong): (Vec<usize>, Vec<usize>) = request
            .frames
            .iter()
            .partition(|&&frame| (frame as i64) < decodable);
        // The receiver runs in this task, so the pictures have to be sent from another task.
        std::thread::spawn(move || {
            for frame in good {
                let bytes = Bytes::from(vec![frame as u8; 100]);
                if pictures
                    .blocking_send(Picture::new(frame, bytes, 16, 16))
                    .is_err()
                {
                    return;
                }
            }
        });
        if wrong.is_empty() {
            Ok(Decoded::Complete(ExtractReport::default()))
        } else {
            Ok(Decoded::Surprise(Surprise::TimelineMismatch(
                "as told".to_owned(),
            )))
        }
    });
    mock
}

async fn run(mock: MockFrameExtractor, request: Request) -> (Result<Summary, Error>, bool) {
    run_within(mock, request, Limits::default()).await
}

async fn run_within(
    mock: MockFrameExtractor,
    request: Request,
    limits: Limits,
) -> (Result<Summary, Error>, bool) {
    let storage = Arc::new(MemoryStorage::default());
    let key: videoframes_core::storage::ObjectKey = "out.zip".parse().unwrap();
    let destination = ZipObject::new(storage.clone(), key.clone(), IfExists::Refuse);
    let source = Arc::new(MemorySource::new("v.mp4", &b"bytes"[..]));
    let pipeline = Pipeline::new(mock).limits(limits);
    let extraction = async move { pipeline.extract(source, &request, &destination).await };
    let outcome = tokio::spawn(extraction).await.unwrap();
    let written = storage.open(&key, &ObjectVersion::CURRENT).await.is_ok();
    (outcome, written)
}

fn all() -> Request {
    Request::new(Selection::All)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_finds_the_frames_if_the_index_is_wrong() {
    let (outcome, written) = run(extractor(3, None), all()).await;
    let summary = outcome.unwrap();
    assert_eq!(
        summary.manifest.frames.iter().map(|f| f.pts).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert!(written && !summary.manifest.partial);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_an_error_unless_partial_results_are_requested() {
    let (outcome, written) = run(extractor(3, Some("broken slice")), all()).await;
    assert!(matches!(outcome, Err(Error::Damaged(_))) && !written);
    let partial = all().on_damage(OnDamage::Partial);
    let (outcome, written) = run(extractor(3, Some("broken slice")), partial).await;
    assert!(outcome.unwrap().manifest.partial && written);
}

#[tokio::test(flavor = "multi_thread")]
async fn exceeded_limits_leave_no_archive() {
    for (frames, output_bytes) in [(4, u64::MAX), (100, 250)] {
        let limits = Limits::default().frames(frames).output_bytes(output_bytes);
        let (outcome, written) = run_within(extractor(5, None), all(), limits).await;
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), written), (ErrorKind::LimitExceeded, false));
    }
}
