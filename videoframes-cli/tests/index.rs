//! The index of a video agrees with ffprobe and with the frames of a full decode.
#![allow(clippy::unwrap_used)]

mod corpus;

use std::path::Path;

use bytes::Bytes;
use corpus::clips::{self, Clip};
use corpus::rational::Q;
use tokio_util::sync::CancellationToken;
use videoframes_core::extract::FrameExtractor;
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::limits::Limits;
use videoframes_core::video::{IndexReader, NoIndex, VideoIndex};

/// Reads the index of a file by ranges.
fn index(path: &Path) -> Result<VideoIndex, NoIndex> {
    let file = Bytes::from(std::fs::read(path).unwrap());
    let mut reader = IndexReader::new(file.len() as u64);
    while let Some(range) = reader.wanted() {
        reader.supply(range.start, file.slice(range.start as usize..range.end as usize));
    }
    reader.finish()
}

/// Clips with an incomplete sample description, which require ffprobe.
const ASKED: [&str; 6] = [
    "interlaced.mp4",
    "mjpeg.mov",
    "mpeg4.mp4",
    "av1_svt.mp4",
    "vp9.mp4",
    "flat_untagged_hd.mp4",
];

fn check(clip: &Clip) -> Result<(), String> {
    let (path, truth) = clip.ready()?;
    let index = index(&path).map_err(|e| e.to_string())?;
    let base = Q::parse(&index.timeline.time_base().to_string()).unwrap();
    let pts: Vec<Q> = index
        .timeline
        .pts()
        .iter()
        .map(|&pts| Q::int(pts.into()).times(base))
        .collect();
    let expected: Vec<Q> = truth.frames.iter().map(|frame| frame.pts).collect();
    if pts != expected {
        return Err(format!("times {pts:?}\n    instead of {expected:?}"));
    }
    let duration = Q::parse(&index.timeline.duration().to_string()).unwrap();
    if duration != truth.duration() {
        return Err(format!("duration {duration} instead of {}", truth.duration()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let seen = runtime
        .block_on(FfmpegExtractor::default().describe(
            &path,
            None,
            &Limits::default(),
            &CancellationToken::new(),
        ))
        .map_err(|e| e.to_string())?
        .video;
    let Some(mut video) = index.video else {
        return if ASKED.contains(&clip.name) {
            Ok(())
        } else {
            Err("the index does not say what the stream is".to_owned())
        };
    };
    // ffprobe rounds or guesses these hints.
    (video.frame_rate, video.duration) = (seen.frame_rate, seen.duration);
    if video != seen {
        return Err(format!("{video:?}\n    instead of {seen:?}"));
    }
    Ok(())
}

#[test]
fn index_agrees_with_a_full_decode_and_with_ffprobe() {
    let mut failures = Vec::new();
    let mut checked = 0;
    for clip in clips::all() {
        if clip.name.ends_with(".mp4") || clip.name.ends_with(".mov") {
            checked += 1;
            if let Err(error) = check(&clip) {
                failures.push(format!("{}: {error}", clip.name));
            }
        }
    }
    assert!(checked > 20 && failures.is_empty(), "{}", failures.join("\n"));
}
