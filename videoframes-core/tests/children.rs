//! No decoder outlives the call that started it. The file contains one test only, since it examines all children
//! of the process.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use videoframes_core::extract::{ExtractError, ExtractRequest, FrameExtractor, Input, PictureFormat};
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::limits::Limits;
use videoframes_core::pipeline::{FramesRequest, Pipeline, Scratch};
use videoframes_core::plan::Strategy;
use videoframes_core::select::Selection;
use videoframes_core::source::MemorySource;

/// Child processes that have not been reaped, running or dead.
fn children() -> Vec<String> {
    let own = format!("PPid:\t{}", std::process::id());
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("status")).ok())
        .filter(|status| status.lines().any(|line| line == own))
        .collect()
}

async fn wait_for(mut condition: impl FnMut() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed().as_secs() < 60, "children: {:?}", children());
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_and_dropped_decoders_end() {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("video.mp4");
    let source = ["-f", "lavfi", "-i", "testsrc2=s=640x360:r=50:d=20"];
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin"])
        .args(source)
        .args(["-pix_fmt", "yuv420p", "-preset", "ultrafast"])
        .arg(&video)
        .status();
    assert!(made.unwrap().success());
    let extractor = FfmpegExtractor::default();
    let (limits, cancel) = (Limits::default(), CancellationToken::new());
    let packets = extractor.packets(&video, None, &limits, &cancel).await.unwrap();
    let (info, timeline) = (packets.described.video, packets.timeline.unwrap());
    let frames = (0..timeline.pts().len()).collect();
    let mut request = ExtractRequest::new(info, timeline, frames);
    request.picture.format = PictureFormat::Png;
    request.limits = limits;
    let input = Input::File(video);

    let (sender, mut receiver) = mpsc::channel(1);
    let extraction = extractor.extract(&input, request.clone(), sender, &cancel);
    let stopping = async {
        assert!(receiver.recv().await.is_some());
        assert!(!children().is_empty(), "the decoder runs");
        cancel.cancel();
        receiver.close();
    };
    let (outcome, ()) = tokio::join!(extraction, stopping);
    assert!(matches!(outcome, Err(ExtractError::Cancelled)), "{outcome:?}");
    assert_eq!(
        children(),
        Vec::<String>::new(),
        "the child ends before the call returns"
    );

    // The receiver neither reads a picture nor closes the channel, so that pictures are in flight when the call
    // ends.
    let (sender, receiver) = mpsc::channel(1);
    let only_place = sender.clone().reserve_owned().await.unwrap();
    let cancel = CancellationToken::new();
    let mut few = request.clone();
    few.frames.truncate(4);
    let extraction = extractor.extract(&input, few, sender, &cancel);
    let stopping = async {
        wait_for(|| children().iter().any(|child| child.contains("\nState:\tZ"))).await;
        cancel.cancel();
    };
    let both = async { tokio::join!(extraction, stopping).0 };
    let outcome = tokio::time::timeout(Duration::from_secs(60), both).await;
    assert!(matches!(outcome, Ok(Err(ExtractError::Cancelled))), "{outcome:?}");
    assert_eq!(children(), Vec::<String>::new());
    drop((only_place, receiver));

    // Dropping a future cannot wait, but the decoder still ends.
    let (sender, mut receiver) = mpsc::channel(1);
    let cancel = CancellationToken::new();
    let extraction = extractor.extract(&input, request, sender, &cancel);
    tokio::select! {
        _ = extraction => panic!("the extraction ended by itself"),
        picture = receiver.recv() => assert!(picture.is_some()),
    }
    wait_for(|| children().is_empty()).await;

    dropped_streams_end(&folder.path().join("video.mp4")).await;
}

/// Streams of frames end when they are dropped, and their temporary files disappear.
async fn dropped_streams_end(video: &Path) {
    let scratch = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::new(FfmpegExtractor::default()).scratch(Scratch::new(scratch.path(), u64::MAX));
    let bytes = std::fs::read(video).unwrap();
    for strategy in [Strategy::Plain, Strategy::Planned] {
        let request = FramesRequest::new(Selection::All).strategy(strategy);
        let source = MemorySource::new("video.mp4", bytes.clone());
        let mut frames = pipeline.frames(source, &request).await.unwrap();
        for _ in 0..3 {
            assert!(frames.next().await.unwrap().is_ok());
        }
        assert!(!children().is_empty(), "the decoder runs");
        drop(frames);
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
        wait_for(|| children().is_empty()).await;
    }
    let iterating = move || {
        let source = MemorySource::new("video.mp4", bytes);
        let request = FramesRequest::new(Selection::All);
        let mut frames = pipeline.frames_blocking(source, &request).unwrap();
        assert!(frames.next().unwrap().is_ok());
        drop(frames);
        assert_eq!(
            children(),
            Vec::<String>::new(),
            "the child ends before the drop returns"
        );
    };
    tokio::task::spawn_blocking(iterating).await.unwrap();
}
