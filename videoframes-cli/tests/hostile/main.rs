//! Hostile videos fail soon, within a memory limit and with a clear error, and their decoders are confined.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod boxes;
mod confinement;
mod memory;
mod pixels;

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
    let other = std::env::var_os("VF_TEST_FFMPEG").filter(|path| !path.is_empty());
    let required = ["CI", "VF_TEST_REQUIRE_ALL"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    assert!(
        other.is_some() || !required,
        "VF_TEST_FFMPEG has to name a second ffmpeg"
    );
    [Some("ffmpeg".into()), other]
        .into_iter()
        .flatten()
        .map(PathBuf::from)
        .collect()
}
