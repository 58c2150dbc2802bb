//! Remote Matroska files: a few times need a few bytes, and unusual files are read whole.
#![allow(clippy::unwrap_used)]

#[path = "../../videoframes-core/tests/http/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use serde_json::Value;

use self::server::{Answer, Server};

/// Seconds of the video, with a keyframe every second.
const SECONDS: u32 = 40;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Generates a video with open groups of pictures and audio.
    fn video(&self, name: &str, options: &[&str]) -> Vec<u8> {
        let path = self.path(name);
        let noise = format!("testsrc2=s=192x108:r=25:d={SECONDS},noise=alls=20:allf=t");
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", &noise])
            .args(["-f", "lavfi", "-i", &format!("sine=d={SECONDS}")])
            .args([
                "-pix_fmt", "yuv420p", "-preset", "veryfast", "-g", "25", "-bf", "3",
            ])
            .args(["-x264-params", "open-gop=1:scenecut=0"])
            .args(options)
            .arg(&path)
            .status();
        assert!(made.unwrap().success());
        fs::read(&path).unwrap()
    }

    fn vf(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
        command.args(args).stdin(Stdio::null()).current_dir(self.0.path());
        command.env("TMPDIR", self.0.path()).output().unwrap()
    }

    /// Returns the summary of an extraction to `out`.
    fn extract(&self, source: &str, out: &str, options: &[&str]) -> Value {
        let args = [
            "extract",
            source,
            "--json",
            "-y",
            "-o",
            out,
            "--allow-private-addresses",
        ];
        let output = self.vf(&[&args, options].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Extracts from the file and by HTTP. Asserts that pictures and manifest are equal except for frame numbers. Returns the
    /// summary of the remote extraction, and whether its manifest has frame numbers.
    fn compare(&self, content: &[u8], options: &[&str]) -> (Value, bool) {
        fs::write(self.path("video.mkv"), content).unwrap();
        let served = Arc::new(content.to_vec());
        let server = Server::start(move |request| Answer::ranged(&served, request));
        self.extract("video.mkv", "file.zip", options);
        let summary = self.extract(&server.url("video.mkv"), "remote.zip", options);
        let (file, _) = self.archive("file.zip");
        let (remote, has_numbers) = self.archive("remote.zip");
        assert!(file == remote, "{options:?}");
        (summary, has_numbers)
    }

    /// Returns the entries of an archive without the frame numbers in its manifest, and whether there are frame numbers.
    fn archive(&self, name: &str) -> (BTreeMap<String, Vec<u8>>, bool) {
        let mut zip = zip::ZipArchive::new(File::open(self.path(name)).unwrap()).unwrap();
        let mut entries = BTreeMap::new();
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index).unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            entries.insert(entry.name().unwrap().into_owned(), content);
        }
        let manifest = entries.get_mut("manifest.json").unwrap();
        let mut parsed: Value = serde_json::from_slice(manifest).unwrap();
        let frames = parsed["frames"].as_array_mut().unwrap().iter_mut();
        let numbers = frames.map(|frame| frame.as_object_mut().unwrap().remove("frame").is_some());
        let numbers: Vec<bool> = numbers.collect();
        assert!(numbers.iter().all(|number| *number == numbers[0]));
        *manifest = parsed.to_string().into_bytes();
        (entries, numbers[0])
    }
}

/// Adds `milliseconds` to the times of the cues at the end of a file.
fn shift_cues(content: &mut [u8], milliseconds: i64) {
    let cues = content.windows(4).rposition(|id| id == [0x1c, 0x53, 0xbb, 0x6b]);
    let mut shifted = 0;
    for at in cues.unwrap()..content.len() - 5 {
        // A point whose first field is a time of two bytes.
        if content[at] == 0xbb && content[at + 2..at + 4] == [0xb3, 0x82] {
            let time = i64::from(u16::from_be_bytes([content[at + 4], content[at + 5]]));
            let time = u16::try_from((time + milliseconds).max(0)).unwrap();
            content[at + 4..at + 6].copy_from_slice(&time.to_be_bytes());
            shifted += 1;
        }
    }
    assert!(shifted > 20, "{shifted} of {SECONDS} cues");
}

#[test]
fn a_few_times_of_a_remote_file_need_few_bytes() {
    let place = Place::new();
    for (name, options) in [
        ("video.mkv", &[][..]),
        ("video.mkv", &["-cues_to_front", "1", "-output_ts_offset", "3"]),
        (
            "video.mkv",
            &[
                "-c:v",
                "libx265",
                "-preset",
                "ultrafast",
                "-x265-params",
                "log-level=0:open-gop=1",
            ],
        ),
        (
            "video.webm",
            &["-c:v", "libvpx-vp9", "-deadline", "realtime", "-b:v", "500k"],
        ),
    ] {
        let content = place.video(name, options);
        for (selection, most) in [
            (&["--at", "17.31"][..], 8),
            (&["--at", "0,20.5,-0.01"], 4),
            // Beside the keyframe at 21 s, which frames of the next group precede.
            (&["--fps", "25", "-s", "20.7", "-e", "21.3"], 5),
            (&["--count", "3"], 3),
        ] {
            let (summary, has_numbers) = place.compare(&content, selection);
            let read = summary["bytes_read"].as_u64().unwrap();
            // Beside the parts, the beginning of the file and its cues.
            let length = content.len() as u64;
            assert!(
                read < length / most + 100_000,
                "{options:?} {selection:?}: {read} of {length}"
            );
            assert_eq!(summary["strategy"], "planned");
            assert!(!has_numbers, "the number of a frame is unknown");
        }
    }
}

#[test]
fn requests_for_numbers_or_all_frames_read_the_whole_file() {
    let place = Place::new();
    let content = place.video("video.mkv", &[]);
    for options in [
        &["--at", "20", "--name", "{index}_{frame}"][..],
        &["--every-nth", "300"],
        &["--frames", "500"],
        &["--at", "20", "--strategy", "plain"],
        // More than a quarter of the file.
        &["--fps", "1"],
    ] {
        let (summary, has_numbers) = place.compare(&content, options);
        let read = summary["bytes_read"].as_u64().unwrap();
        assert!(read >= content.len() as u64, "{options:?}");
        assert!(has_numbers, "{options:?}");
    }
}

#[test]
fn files_with_wrong_or_missing_cues_give_the_same_pictures() {
    let place = Place::new();
    let content = place.video("video.mkv", &[]);
    for milliseconds in [-2500, -40, 40, 2500] {
        let mut wrong = content.clone();
        shift_cues(&mut wrong, milliseconds);
        place.compare(&wrong, &["--at", "17.31,25.02"]);
        place.compare(&wrong, &["--count", "2"]);
    }
    let live = place.video("video.mkv", &["-live", "1"]);
    let (_, has_numbers) = place.compare(&live, &["--at", "17.31"]);
    assert!(has_numbers, "a file without cues is read whole");
}

#[test]
fn damage_in_the_needed_part_is_found() {
    let place = Place::new();
    let mut content = place.video("video.mkv", &[]);
    let middle = content.len() / 2;
    content[middle..middle + 20_000].fill(0xff);
    fs::write(place.path("video.mkv"), &content).unwrap();
    let served = Arc::new(content);
    let server = Server::start(move |request| Answer::ranged(&served, request));
    let url = server.url("video.mkv");
    for at in ["20.1", "20.4", "20.9", "5"] {
        let code = |source: &str| {
            let args = ["extract", source, "--at", at, "-y", "-o", "out.zip"];
            let output = place.vf(&[&args[..], &["--allow-private-addresses"]].concat());
            output.status.code()
        };
        assert_eq!(code(&url), code("video.mkv"), "{at}");
    }
}

#[test]
fn a_plan_and_stdout_need_few_bytes_too() {
    let place = Place::new();
    let content = place.video("video.mkv", &[]);
    let length = content.len() as u64;
    let served = Arc::new(content);
    let server = Server::start(move |request| Answer::ranged(&served, request));
    let url = server.url("video.mkv");
    let allowed = "--allow-private-addresses";
    let output = place.vf(&["plan", &url, "--at", "17.31", "--json", allowed]);
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(plan["bytes_read"].as_u64().unwrap() < length / 8, "{plan}");
    assert_eq!(plan["strategy"], "planned");

    let local = place.vf(&["extract", "video.mkv", "--at", "17.31", "-o", "-", "-f", "png"]);
    let remote = place.vf(&["extract", &url, "--at", "17.31", "-o", "-", "-f", "png", allowed]);
    assert!(!local.stdout.is_empty() && local.stdout == remote.stdout);
}
