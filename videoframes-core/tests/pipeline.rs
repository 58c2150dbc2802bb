//! The pipeline's decisions, on an extractor that does what the test says.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bytes::Bytes;
use num_rational::Ratio;
use tokio_util::sync::CancellationToken;
use videoframes_core::archive::ZipObject;
use videoframes_core::extract::{ExtractError, ExtractReport, Picture, Promise, Scan};
use videoframes_core::pipeline::{self, Error, OnDamage, Request, Summary};
use videoframes_core::select::Selection;
use videoframes_core::source::MemorySource;
use videoframes_core::storage::{IfExists, MemoryStorage, ObjectVersion, Storage};
use videoframes_core::testing::MockFrameExtractor;
use videoframes_core::units::TimeBase;
use videoframes_core::video::{Colour, Described, Orientation, Timeline, VideoInfo};

fn video() -> VideoInfo {
    VideoInfo {
        stream: 0,
        container: "mov,mp4".to_owned(),
        codec: "h264".to_owned(),
        width: 16,
        height: 16,
        sample_aspect: Ratio::from_integer(1),
        orientation: Orientation::Upright,
        pixel_format: "yuv420p".to_owned(),
        alpha: false,
        colour: Colour::default(),
        interlaced: false,
        frame_rate: None,
        duration: None,
        time_base: TimeBase::new(1, 10).unwrap(),
        first_keyframe: None,
    }
}

fn timeline(frames: i64) -> Timeline {
    Timeline::new(TimeBase::new(1, 10).unwrap(), (0..frames).collect(), Some(1)).unwrap()
}

/// Promises five frames, of which `decodable` decode.
fn extractor(decodable: i64, damage: Option<&'static str>) -> MockFrameExtractor {
    let mut mock = MockFrameExtractor::new();
    mock.expect_version().returning(|| Ok("mock 1".to_owned()));
    mock.expect_describe().returning(|_, _, _, _| {
        Ok(Described {
            video: video(),
            streams: Vec::new(),
        })
    });
    mock.expect_promise()
        .returning(|_, _, _, _| Ok(Some(Promise::from(timeline(5)))));
    mock.expect_scan().returning(move |_, _, _, _| {
        Ok(Scan {
            timeline: timeline(decodable),
            first_keyframe: None,
            interlaced: false,
            damage: damage.map(str::to_owned),
        })
    });
    mock.expect_extract()
        .returning(move |_, request, _, pictures, _| {
            let (good, wrong): (Vec<usize>, Vec<usize>) = request
                .frames
                .iter()
                .partition(|&&frame| (frame as i64) < decodable);
            // The receiver shares this task, so that the pictures have to come from elsewhere.
            std::thread::spawn(move || {
                for frame in good {
                    let bytes = Bytes::from(vec![frame as u8; 100]);
                    if pictures
                        .blocking_send(Picture {
                            frame,
                            bytes,
                            width: 16,
                            height: 16,
                        })
                        .is_err()
                    {
                        return;
                    }
                }
            });
            if wrong.is_empty() {
                Ok(ExtractReport::default())
            } else {
                Err(ExtractError::TimelineMismatch("as told".to_owned()))
            }
        });
    mock
}

async fn run(mock: MockFrameExtractor, request: Request) -> (Result<Summary, Error>, bool) {
    let storage = Arc::new(MemoryStorage::default());
    let key: videoframes_core::storage::ObjectKey = "out.zip".parse().unwrap();
    let destination = ZipObject::new(storage.clone(), key.clone(), IfExists::Refuse);
    let source = Arc::new(MemorySource::new("v.mp4", &b"bytes"[..]));
    let cancel = CancellationToken::new();
    let outcome =
        tokio::spawn(
            async move { pipeline::run(source, &request, &mock, &destination, &|_| {}, &cancel).await },
        )
        .await
        .unwrap();
    let written = storage.open(&key, &ObjectVersion::CURRENT).await.is_ok();
    (outcome, written)
}

fn all() -> Request {
    Request {
        selection: Selection::All,
        ..Request::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_the_index_promised_wrongly_are_learnt_by_a_scan() {
    let (outcome, written) = run(extractor(3, None), all()).await;
    let summary = outcome.unwrap();
    assert_eq!(
        summary.manifest.frames.iter().map(|f| f.pts).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert!(written && !summary.manifest.partial);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_fails_and_leaves_nothing_unless_partial_results_are_wanted() {
    let (outcome, written) = run(extractor(3, Some("broken slice")), all()).await;
    assert!(matches!(outcome, Err(Error::Damaged(_))) && !written);
    let partial = Request {
        on_damage: OnDamage::Partial,
        ..all()
    };
    let (outcome, written) = run(extractor(3, Some("broken slice")), partial).await;
    assert!(outcome.unwrap().manifest.partial && written);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_leave_nothing() {
    for (frames, output_bytes) in [(4, u64::MAX), (100, 250)] {
        let mut request = all();
        request.limits.frames = frames;
        request.limits.output_bytes = output_bytes;
        let (outcome, written) = run(extractor(5, None), request).await;
        assert!(outcome.is_err() && !written);
    }
}
