//! Conformance suite for [`FrameExtractor`].

use std::path::Path;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::extract::{
    Decoded, ExtractError, ExtractRequest, FrameExtractor, Input, PictureOptions, Surprise,
};
use crate::limits::Limits;
use crate::video::Timeline;

/// Checks the contract of [`FrameExtractor`] with an intact video of at least four frames and a file that is
/// not a video.
///
/// # Panics
/// Panics if the implementation violates the contract.
pub async fn frame_extractor_conformance(extractor: &dyn FrameExtractor, video: &Path, not_a_video: &Path) {
    assert!(!extractor.version().await.expect("a version").is_empty());
    a_file_that_is_not_a_video_is_recognized(extractor, not_a_video).await;
    let request = packets_and_frames_agree(extractor, video).await;
    requested_pictures_are_sent_in_order(extractor, video, &request).await;
    no_picture_follows_an_unexpected_frame(extractor, video, &request).await;
    no_picture_is_sent_before_the_next_frame(extractor, video, &request).await;
    an_extraction_can_be_cancelled(extractor, video, request).await;
}

async fn a_file_that_is_not_a_video_is_recognized(extractor: &dyn FrameExtractor, not_a_video: &Path) {
    let (limits, cancel) = (Limits::default(), CancellationToken::new());
    assert!(matches!(
        extractor.describe(not_a_video, None, &limits, &cancel).await,
        Err(ExtractError::NotAVideo(_))
    ));
}

/// Returns a request for the first and last two frames.
async fn packets_and_frames_agree(extractor: &dyn FrameExtractor, video: &Path) -> ExtractRequest {
    let (limits, cancel) = (Limits::default(), CancellationToken::new());
    let described = extractor
        .describe(video, None, &limits, &cancel)
        .await
        .expect("a video can be described");
    let packets = extractor
        .packets(video, None, &limits, &cancel)
        .await
        .expect("packets can be read");
    assert_eq!(packets.described, described);
    let info = described.video;
    let scan = extractor
        .scan(video, &info, &limits, &cancel)
        .await
        .expect("a video can be scanned");
    assert_eq!(scan.damage, None);
    if let Some(timeline) = &packets.timeline {
        assert_eq!(timeline.pts(), scan.timeline.pts(), "packets and frames agree");
    }
    let count = scan.timeline.pts().len();
    assert!(count >= 4, "the suite needs a video of at least four frames");
    ExtractRequest {
        video: info,
        timeline: scan.timeline,
        frames: vec![0, 1, count - 2, count - 1],
        picture: PictureOptions::default(),
        deinterlace: false,
        on_demand: false,
        stop_at_damage: false,
        limits,
    }
}

async fn requested_pictures_are_sent_in_order(
    extractor: &dyn FrameExtractor,
    video: &Path,
    request: &ExtractRequest,
) {
    let frames = collect(extractor, video, request.clone(), &CancellationToken::new())
        .await
        .expect("an extraction");
    assert_eq!(
        frames,
        Decoded::Complete(request.frames.clone()),
        "every requested picture is sent, in order"
    );
}

/// Returns a request for `frames` of a timeline without frame 2.
fn with_gap(request: &ExtractRequest, frames: Vec<usize>) -> ExtractRequest {
    let timeline = &request.timeline;
    let mut pts = timeline.pts().to_vec();
    pts.remove(2);
    ExtractRequest {
        timeline: Timeline::new(timeline.time_base(), pts, None).expect("frames are left"),
        frames,
        ..request.clone()
    }
}

/// A timeline without frame 2 is detected before any picture from that frame on is sent.
async fn no_picture_follows_an_unexpected_frame(
    extractor: &dyn FrameExtractor,
    video: &Path,
    request: &ExtractRequest,
) {
    let request = with_gap(request, vec![0, 2]);
    let mismatch = collect(extractor, video, request, &CancellationToken::new()).await;
    assert!(
        matches!(mismatch, Ok(Decoded::Surprise(Surprise::TimelineMismatch(_)))),
        "{mismatch:?}"
    );
}

/// The timeline lacks the frame directly after the last requested frame. The missing frame may be the displayed
/// one, so the picture before it is not certain.
async fn no_picture_is_sent_before_the_next_frame(
    extractor: &dyn FrameExtractor,
    video: &Path,
    request: &ExtractRequest,
) {
    let request = with_gap(request, vec![1]);
    let mismatch = collect(extractor, video, request, &CancellationToken::new()).await;
    assert!(
        matches!(mismatch, Ok(Decoded::Surprise(Surprise::TimelineMismatch(_)))),
        "a picture was sent before the next frame was decoded: {mismatch:?}"
    );
}

async fn an_extraction_can_be_cancelled(
    extractor: &dyn FrameExtractor,
    video: &Path,
    request: ExtractRequest,
) {
    let stopped = CancellationToken::new();
    stopped.cancel();
    let cancelled = collect(extractor, video, request.clone(), &stopped).await;
    assert!(matches!(cancelled, Err(ExtractError::Cancelled)), "{cancelled:?}");

    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let input = Input::File(video.to_owned());
    let without_receiver = extractor
        .extract(&input, request, sender, &CancellationToken::new())
        .await;
    assert!(
        matches!(without_receiver, Err(ExtractError::Cancelled)),
        "{without_receiver:?}"
    );
}

async fn collect(
    extractor: &dyn FrameExtractor,
    video: &Path,
    request: ExtractRequest,
    cancel: &CancellationToken,
) -> Result<Decoded<Vec<usize>>, ExtractError> {
    let (sender, mut receiver) = mpsc::channel(1);
    let input = Input::File(video.to_owned());
    let extraction = extractor.extract(&input, request, sender, cancel);
    let taking = async {
        let mut frames = Vec::new();
        while let Some(picture) = receiver.recv().await {
            assert!(!picture.bytes.is_empty() && picture.width > 0 && picture.height > 0);
            frames.push(picture.frame);
        }
        frames
    };
    let (outcome, frames) = tokio::join!(extraction, taking);
    Ok(match outcome? {
        Decoded::Complete(_) => Decoded::Complete(frames),
        Decoded::Surprise(surprise) => Decoded::Surprise(surprise),
    })
}
