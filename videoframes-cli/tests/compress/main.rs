//! `vf compress`: the frames of the source at their times, its sound, its looks and what is said of it, in
//! the size that was asked for.
//!
//! What a result shows is told by ffmpeg and ffprobe, which know nothing of the program. Set
//! `VF_TEST_FFMPEG` to run what depends on ffmpeg with a second one as well.
#![allow(clippy::unwrap_used)]

#[path = "../corpus/mod.rs"]
mod corpus;
mod description;
mod frames;
mod looks;
mod size;
mod sound;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use corpus::{cache, vf};
use serde_json::Value;

/// `vf compress CLIP ARGS -o OUT`.
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

/// The same where it has to succeed, and what it says of the result.
fn compress(clip: &Path, args: &[&str], out: &Path, ffmpeg: Option<&Path>) -> Result<Value, String> {
    let said = cache::run(&mut command(clip, args, out, ffmpeg), &[])?;
    serde_json::from_slice(&said.stdout).map_err(|e| e.to_string())
}

/// The ffmpeg of the `PATH`, and the second one.
fn all_ffmpegs() -> Vec<Option<PathBuf>> {
    let other = vf::other_ffmpeg();
    std::iter::once(None).chain(other.map(Some)).collect()
}

/// Makes a clip of inputs and options.
fn make(args: &str, out: &Path) {
    let mut command = Command::new(cache::encoder());
    command.args(["-v", "error", "-nostdin", "-y"]);
    command.args(args.split_whitespace()).arg(out);
    cache::run(&mut command, &[]).unwrap();
}

/// What ffprobe says in JSON.
fn probe(args: &str, file: &Path) -> Value {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-of", "json"]);
    command.args(args.split_whitespace()).arg(file);
    let said = cache::run(&mut command, &[]).unwrap();
    serde_json::from_slice(&said.stdout).unwrap()
}
