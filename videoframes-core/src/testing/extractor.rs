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
    let (limits, cancel) = (Limits::default(), CancellationToken::new());
    assert!(!extractor.version().await.expect("a version").is_empty());
    assert!(matches!(
        extractor.describe(not_a_video, None, &limits, &cancel).await,
        Err(ExtractError::NotAVideo(_))
    ));

    let info = extractor
        .describe(video, None, &limits, &cancel)
        .await
        .expect("a video can be described")
        .video;
    let packets = extractor
        .packet_timeline(video, &info, &limits, &cancel)
        .await
        .expect("packets can be read");
    let scan = extractor
        .scan(video, &info, &limits, &cancel)
        .await
        .expect("a video can be scanned");
    assert_eq!(scan.damage, None);
    if let Some(packets) = &packets {
        assert_eq!(
            packets.timeline.pts(),
            scan.timeline.pts(),
            "packets and frames agree"
        );
    }
    let count = scan.timeline.pts().len();
    assert!(count >= 4, "the suite needs a video of at least four frames");
    let request = ExtractRequest {
        video: info,
        timeline: scan.timeline.clone(),
        frames: vec![0, 1, count - 2, count - 1],
        picture: PictureOptions::default(),
        deinterlace: false,
        limits,
    };
    let frames = collect(extractor, video, request.clone(), &cancel)
        .await
        .expect("an extraction");
    assert_eq!(
        frames,
        Decoded::Complete(request.frames.clone()),
        "every requested picture is sent, in order"
    );

    // A timeline without frame 2 is detected before any picture from that frame on is sent.
    let mut pts = scan.timeline.pts().to_vec();
    pts.remove(2);
    let wrong = Timeline::new(scan.timeline.time_base(), pts, None).expect("frames are left");
    let request_with_gap = ExtractRequest {
        timeline: wrong,
        frames: vec![0, 2],
        ..request.clone()
    };
    let mismatch = collect(extractor, video, request_with_gap, &cancel).await;
    assert!(
        matches!(mismatch, Ok(Decoded::Surprise(Surprise::TimelineMismatch(_)))),
        "{mismatch:?}"
    );

    // The timeline lacks the frame directly after the last requested frame. The missing frame may be the
    // displayed one, so the picture before it is not certain.
    let mut pts = scan.timeline.pts().to_vec();
    pts.remove(2);
    let wrong = Timeline::new(scan.timeline.time_base(), pts, None).expect("frames are left");
    let request_with_gap = ExtractRequest {
        timeline: wrong,
        frames: vec![1],
        ..request.clone()
    };
    let mismatch = collect(extractor, video, request_with_gap, &cancel).await;
    assert!(
        matches!(mismatch, Ok(Decoded::Surprise(Surprise::TimelineMismatch(_)))),
        "a picture was sent before the next frame was decoded: {mismatch:?}"
    );

    let stopped = CancellationToken::new();
    stopped.cancel();
    let cancelled = collect(extractor, video, request.clone(), &stopped).await;
    assert!(matches!(cancelled, Err(ExtractError::Cancelled)), "{cancelled:?}");

    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let without_receiver = extractor
        .extract(&Input::File(video.to_owned()), request, sender, &cancel)
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
