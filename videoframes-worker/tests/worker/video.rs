//! Videos for the tests, generated once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

fn make(name: &str, source: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("videos");
    std::fs::create_dir_all(&folder).unwrap();
    let video = folder.join(name);
    if !video.exists() {
        let partial = folder.join(format!("{}-{name}", std::process::id()));
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", source])
            .args(["-pix_fmt", "yuv420p", "-preset", "ultrafast", "-g", "10"])
            .arg(&partial)
            .status();
        assert!(made.unwrap().success());
        std::fs::rename(partial, &video).unwrap();
    }
    video
}

/// Returns a video of three seconds, for short jobs.
pub(crate) fn short() -> &'static Path {
    static VIDEO: OnceLock<PathBuf> = OnceLock::new();
    VIDEO.get_or_init(|| make("short.mp4", "testsrc2=s=160x90:r=10:d=3"))
}

/// Returns a minute in 720p: extraction of all frames as PNG is long enough to interrupt.
pub(crate) fn long() -> &'static Path {
    static VIDEO: OnceLock<PathBuf> = OnceLock::new();
    VIDEO.get_or_init(|| make("long.mp4", "testsrc2=s=1280x720:r=30:d=60"))
}
