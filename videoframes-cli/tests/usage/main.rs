//! Usability of the command line: help, times, outputs, and hints for mistakes.
#![allow(clippy::unwrap_used)]

mod batch;
mod help;
mod layouts;
mod mistakes;
mod output;
#[cfg(target_os = "linux")]
mod progress;
mod selection;
mod stdin;
mod text;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder with `video.mp4`: five seconds, 125 frames.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("ffmpeg")
            .args([
                "-v",
                "error",
                "-nostdin",
                "-f",
                "lavfi",
                "-i",
                "testsrc2=s=160x90:r=25:d=5",
            ])
            .args([
                "-f",
                "lavfi",
                "-i",
                "sine=d=5",
                "-pix_fmt",
                "yuv420p",
                "-preset",
                "ultrafast",
            ])
            .arg(folder.path().join("video.mp4"))
            .status();
        assert!(made.unwrap().success());
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Run {
        let mut command = vf();
        let output = command.current_dir(self.folder.path()).args(args).output();
        Run::of(output.unwrap())
    }

    /// Returns the names of all files in the folder except the video.
    fn made(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.folder.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "video.mp4").collect();
        names.sort();
        names
    }
}

/// The output of a run.
struct Run {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Run {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_slice(&self.stdout).unwrap()
    }

    /// Panics unless the run ended with `code` and stderr contains all `words`.
    fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "'{word}' is not in: {}", self.stderr);
        }
    }
}

fn vf() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
    command.stdin(Stdio::null()).env_remove("NO_COLOR");
    command
}

/// Returns the format of a picture, by its first bytes, and its size.
fn picture(path: &Path) -> (image::ImageFormat, u32, u32) {
    let bytes = std::fs::read(path).unwrap();
    let format = image::guess_format(&bytes).unwrap();
    let image = image::load_from_memory(&bytes).unwrap();
    (format, image.width(), image.height())
}
