//! `vf compress` presents the frames of its source, each at its time, on every clip of the corpus.
//!
//! What the result shows is told by a full decode with an ffmpeg that knows nothing of the program.
//! Set `VF_TEST_FFMPEG` to run everything with a second ffmpeg as well.
#![allow(clippy::unwrap_used)]

mod corpus;

use std::path::Path;
use std::process::Command;

use corpus::cache;
use corpus::clips::Clip;
use corpus::rational::Q;
use corpus::runner;
use corpus::truth::Truth;
use corpus::vf;
use serde_json::Value;

/// `vf compress CLIP ARGS -o OUT`, and what it says of the result.
fn compress(clip: &Path, args: &[&str], out: &Path, ffmpeg: Option<&Path>) -> Result<Value, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
    command
        .arg("compress")
        .arg(clip)
        .args(args)
        .arg("--json")
        .arg("-o")
        .arg(out);
    if let Some(ffmpeg) = ffmpeg {
        command.arg("--ffmpeg").arg(ffmpeg);
    }
    let said = cache::run(&mut command, &[])?;
    serde_json::from_slice(&said.stdout).map_err(|e| e.to_string())
}

/// Holds a result against the truth about its source. Times may be rounded to `rounding` seconds.
fn check(result: &Value, out: &Path, truth: &Truth, rounding: Q) -> Result<(), String> {
    let (width, height) = (&result["width"], &result["height"]);
    let (Some(width), Some(height)) = (width.as_u64(), height.as_u64()) else {
        return Err(format!("no size in {result}"));
    };
    let shown = Truth::of(out, (width as usize, height as usize))?;
    let numbers = |truth: &Truth| truth.frames.iter().map(|f| f.number).collect::<Vec<_>>();
    if numbers(&shown) != numbers(truth) {
        return Err(format!(
            "shows {:?}\n    instead of {:?}",
            numbers(&shown),
            numbers(truth)
        ));
    }
    for (shown, wanted) in shown.frames.iter().zip(&truth.frames) {
        if shown.pts.distance(wanted.pts) > rounding {
            return Err(format!(
                "frame {} is at {} and not at {}",
                wanted.number, shown.pts, wanted.pts
            ));
        }
    }
    if result["frames"] != truth.frames.len() {
        return Err(format!("says that it has {} frames", result["frames"]));
    }
    Ok(())
}

/// What is wrong with a clip's results, one for each way that it is compressed.
fn failures(clip: &Clip, ffmpeg: Option<&Path>) -> Vec<String> {
    let (path, truth) = match clip.ready() {
        Ok(ready) => ready,
        Err(e) => return vec![format!("cannot make {e}")],
    };
    let place = tempfile::tempdir().unwrap();
    let exact = Q::ZERO;
    // Low enough for a result that is smaller than these clips are.
    let asks: [(&[&str], &str, Q); 2] = [(&["-q", "20"], "x.mp4", exact), (&["-q", "100"], "y.mp4", exact)];
    let failure = |(args, name, rounding): &(&[&str], &str, Q)| {
        let out = place.path().join(name);
        let checked = compress(&path, args, &out, ffmpeg).and_then(|result| {
            check(&result, &out, &truth, *rounding).map_err(|e| format!("{e}\n    {result}"))
        });
        checked
            .err()
            .map(|e| format!("{} {}: {e}", clip.name, args.join(" ")))
    };
    asks.iter().filter_map(failure).collect()
}

#[test]
fn results_show_the_same_frames_at_the_same_times() {
    runner::run(|_| true, |clip| failures(clip, None));
}

#[test]
fn results_show_the_same_frames_with_another_ffmpeg() {
    if let Some(ffmpeg) = vf::other_ffmpeg() {
        runner::run(|_| true, |clip| failures(clip, Some(&ffmpeg)));
    }
}
