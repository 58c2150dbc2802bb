//! Invalid inputs, outputs and decoders: a one-line error, the documented exit code, no files left.
#![allow(clippy::unwrap_used)]

mod compress;
mod input;
mod output;
mod processes;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn vf() -> Command {
    Command::new(env!("CARGO_BIN_EXE_vf"))
}

fn ffmpeg(args: &[&str], out: &Path) {
    let done = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(args)
        .arg(out)
        .status()
        .unwrap();
    assert!(done.success(), "ffmpeg {args:?}");
}

/// A folder with a valid video.
struct Place {
    folder: tempfile::TempDir,
    video: PathBuf,
}

impl Place {
    fn new() -> Self {
        Self::with("testsrc2=s=160x90:r=10:d=3")
    }

    fn with(source: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let video = folder.path().join("video.mp4");
        ffmpeg(
            &[
                "-f",
                "lavfi",
                "-i",
                source,
                "-pix_fmt",
                "yuv420p",
                "-preset",
                "ultrafast",
                "-g",
                "5",
            ],
            &video,
        );
        Self { folder, video }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn extract(&self, input: &Path, extra: &[&str]) -> Output {
        let mut command = vf();
        command.args(["extract", "--name", "f{index}"]).args(extra);
        command.arg("-o").arg(self.path("out.zip")).arg("--").arg(input);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Returns the files in the folder that vf created, by their names.
    fn left(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
        names
            .filter(|name| {
                name.contains("out.") || name.contains("partial") || name.starts_with("vf-scratch")
            })
            .collect()
    }

    fn fails(&self, input: &Path, extra: &[&str], code: i32, expected: &str) {
        let output = self.extract(input, extra);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{}: {stderr}", input.display());
        let errors: Vec<&str> = stderr.lines().filter(|l| l.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{stderr}");
        assert!(errors[0].contains(expected), "'{expected}' is not in: {stderr}");
        assert!(
            stderr
                .lines()
                .all(|l| l.starts_with("error: ") || l.starts_with("hint: ")),
            "{stderr}"
        );
        assert_eq!(self.left(), Vec::<String>::new());
    }

    fn succeeds(&self, input: &Path, extra: &[&str]) -> serde_json::Value {
        let output = self.extract(input, extra);
        assert!(
            output.status.success(),
            "{}: {}",
            input.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        manifest(&self.path("out.zip"))
    }
}

fn manifest(path: &Path) -> serde_json::Value {
    let mut archive = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let mut text = String::new();
    archive
        .by_name("manifest.json")
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    serde_json::from_str(&text).unwrap()
}
