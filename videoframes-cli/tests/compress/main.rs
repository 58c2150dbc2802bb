//! `vf compress`: outputs keep the frames with their times, the audio, the colours and the metadata of the source,
//! within the requested size.
//!
//! ffmpeg and ffprobe verify the outputs independently of the program. Set `VF_TEST_FFMPEG` to run the tests that
//! depend on ffmpeg with a second ffmpeg as well.
#![allow(clippy::unwrap_used)]

mod appearance;
mod audio;
#[path = "../corpus/mod.rs"]
mod corpus;
mod frames;
mod metadata;
mod size;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use corpus::{cache, vf};
use serde_json::Value;

/// Runs `vf compress CLIP ARGS -o OUT`.
fn run(clip: &Path, args: &[&str], out: &Path, ffmpeg: Option<&Path>) -> Output {
    command(clip, args, out, ffmpeg).output().unwrap()
}

fn command(clip: &Path, args: &[&str], out: &Path, ffmpeg: Option<&Path>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
    command
        .arg("compress")
        .arg(clip)
        .args(args)
        .args(["--json", "-y", "-o"])
        .arg(out);
    if let Some(ffmpeg) = ffmpeg {
        command.arg("--ffmpeg").arg(ffmpeg);
    }
    command
}

/// Runs `vf compress`, which must succeed, and returns the JSON result.
fn compress(clip: &Path, args: &[&str], out: &Path, ffmpeg: Option<&Path>) -> Result<Value, String> {
    let printed = cache::run(&mut command(clip, args, out, ffmpeg), &[])?;
    serde_json::from_slice(&printed.stdout).map_err(|e| e.to_string())
}

/// Returns the ffmpeg in `PATH` (`None`), and the second ffmpeg.
fn all_ffmpegs() -> Vec<Option<PathBuf>> {
    let other = vf::other_ffmpeg();
    std::iter::once(None).chain(other.map(Some)).collect()
}

/// Generates a clip from inputs and options.
fn make(args: &str, out: &Path) {
    let mut command = Command::new(cache::encoder());
    command.args(["-v", "error", "-nostdin", "-y"]);
    command.args(args.split_whitespace()).arg(out);
    cache::run(&mut command, &[]).unwrap();
}

/// Returns the JSON output of ffprobe.
fn probe(args: &str, file: &Path) -> Value {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "json"]);
    command.args(args.split_whitespace()).arg(file);
    let printed = cache::run(&mut command, &[]).unwrap();
    serde_json::from_slice(&printed.stdout).unwrap()
}
