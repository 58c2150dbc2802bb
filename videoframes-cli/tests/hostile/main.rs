//! Hostile videos fail soon, within a memory limit and with a clear error, and their decoders are confined.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod boxes;
mod confinement;
mod memory;
mod pixels;
#[path = "../../../videoframes-core/tests/resources/mod.rs"]
mod resources;

use std::path::{Path, PathBuf};
use std::process::Command;

fn vf() -> Command {
    Command::new(env!("CARGO_BIN_EXE_vf"))
}

/// Runs ffmpeg.
fn ffmpeg(args: &[&str], out: &Path) {
    let done = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(args)
        .arg(out)
        .status();
    assert!(done.unwrap().success(), "ffmpeg {args:?}");
}

/// Returns the ffmpegs to test: the ffmpeg in `PATH`, and the second ffmpeg if available.
fn ffmpegs() -> Vec<PathBuf> {
    let other = resources::named("VF_TEST_FFMPEG", "tests with a second ffmpeg skip");
    ["ffmpeg".to_owned()]
        .into_iter()
        .chain(other)
        .map(PathBuf::from)
        .collect()
}
