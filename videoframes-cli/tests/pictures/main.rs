//! Options of pictures: rectangles and metadata.
//!
//! Set `VF_TEST_FFMPEG` to run everything with a second ffmpeg as well.
#![allow(clippy::unwrap_used)]

mod burn_in;
#[path = "../corpus/mod.rs"]
mod corpus;
mod crop;
mod metadata;

use std::path::{Path, PathBuf};
use std::process::Command;

use corpus::{cache, vf};

fn all_ffmpegs() -> Vec<Option<PathBuf>> {
    let other = vf::other_ffmpeg();
    std::iter::once(None).chain(other.map(Some)).collect()
}

/// Generates a clip.
fn make(args: &str, out: &Path) {
    let mut command = Command::new(cache::encoder());
    command.args(["-v", "error", "-y"]);
    command.args(args.split_whitespace()).arg(out);
    cache::run(&mut command, &[]).unwrap();
}
