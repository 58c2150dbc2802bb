//! What `vf` prints, compared with `tests/snapshots`. `INSTA_UPDATE=always cargo test` writes them anew.
//!
//! Sizes, digests and versions depend on the encoder of the clip and are redacted.
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// A folder with `video.mp4`: two seconds, 20 frames, a keyframe every five.
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
                "testsrc2=s=160x90:r=10:d=2",
            ])
            .args(["-pix_fmt", "yuv420p", "-g", "5", "-bf", "0"])
            .arg(folder.path().join("video.mp4"))
            .status();
        assert!(made.unwrap().success());
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn stdout(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
        let output = command
            .current_dir(self.folder.path())
            .args(args)
            .env_remove("COLUMNS")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.stdout(args)).unwrap()
    }
}

#[test]
fn help_reads_as_agreed() {
    let place = Place::new();
    insta::assert_snapshot!("help", place.stdout(&["--help"]));
    for command in [
        "extract",
        "storyboard",
        "sheet",
        "preview",
        "plan",
        "probe",
        "thumbnail",
        "compress",
        "doctor",
        "completions",
        "man",
    ] {
        insta::assert_snapshot!(format!("help_{command}"), place.stdout(&[command, "--help"]));
    }
}

#[test]
fn a_video_is_described_as_agreed() {
    let place = Place::new();
    let probe = place.json(&["probe", "--json", "video.mp4"]);
    insta::assert_json_snapshot!("probe", probe, { ".size" => "[bytes]" });
    let plan = place.json(&["plan", "--json", "video.mp4", "--at", "1"]);
    insta::assert_json_snapshot!("plan", plan, {
        ".bytes" => "[bytes]",
        ".all_bytes" => "[bytes]",
        ".bytes_read" => "[bytes]",
    });
}

#[test]
fn results_are_reported_as_agreed() {
    let place = Place::new();
    let summary = place.json(&["extract", "--json", "video.mp4", "-n", "2", "-o", "frames.zip"]);
    insta::assert_json_snapshot!("extract", summary, {
        ".bytes" => "[bytes]",
        ".bytes_read" => "[bytes]",
        ".source_bytes" => "[bytes]",
        ".elapsed_s" => "[seconds]",
    });
    let archive = std::fs::File::open(place.path("frames.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(archive).unwrap();
    let mut text = String::new();
    archive
        .by_name("manifest.json")
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    let manifest: Value = serde_json::from_str(&text).unwrap();
    insta::assert_json_snapshot!("manifest", manifest, {
        ".generator.version" => "[version]",
        ".generator.decoder" => "[version]",
        ".source.size" => "[bytes]",
        ".frames[].bytes" => "[bytes]",
        ".frames[].sha256" => "[digest]",
    });
    let compressed = place.json(&["compress", "--json", "video.mp4", "-q", "20", "-o", "small.mp4"]);
    insta::assert_json_snapshot!("compress", compressed, {
        ".bytes" => "[bytes]",
        ".source_bytes" => "[bytes]",
        ".ratio" => "[ratio]",
        ".sha256" => "[digest]",
        ".encoder" => "[version]",
        ".elapsed_s" => "[seconds]",
    });
}
