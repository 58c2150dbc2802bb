//! Remote Matroska files and transport streams: a few times need a few bytes, and unusual files are read whole.
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

/// Seconds of the Matroska files, with a keyframe every second.
const SECONDS: u32 = 40;
/// Seconds of the transport streams, of which the first eight are always read.
const STREAM_SECONDS: u32 = 100;

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
        let seconds = match name.ends_with("ts") {
            true => STREAM_SECONDS,
            false => SECONDS,
        };
        let noise = format!("testsrc2=s=192x108:r=25:d={seconds},noise=alls=20:allf=t");
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", &noise])
            .args(["-f", "lavfi", "-i", &format!("sine=d={seconds}")])
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
        let name = match content[0] {
            0x47 => "video.ts",
            _ => "video.mkv",
        };
        fs::write(self.path(name), content).unwrap();
        let served = Arc::new(content.to_vec());
        let server = Server::start(move |request| Answer::ranged(&served, request));
        self.extract(name, "file.zip", options);
        let summary = self.extract(&server.url(name), "remote.zip", options);
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

/// Multiplies the times of the cues at the end of a file by `percent`.
fn scale_cues(content: &mut [u8], percent: u32) {
    let cues = content.windows(4).rposition(|id| id == [0x1c, 0x53, 0xbb, 0x6b]);
    let mut scaled = 0;
    for at in cues.unwrap()..content.len() - 5 {
        // A point whose first field is a time of two bytes.
        if content[at] == 0xbb && content[at + 2..at + 4] == [0xb3, 0x82] {
            let time = u16::from_be_bytes([content[at + 4], content[at + 5]]);
            let time = u16::try_from(u32::from(time) * percent / 100).unwrap();
            content[at + 4..at + 6].copy_from_slice(&time.to_be_bytes());
            scaled += 1;
        }
    }
    assert!(scaled > 20, "{scaled} of {SECONDS} cues");
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
            &[
                "-c:v",
                "libvpx-vp9",
                "-deadline",
                "realtime",
                "-cpu-used",
                "8",
                "-b:v",
                "500k",
            ],
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
fn a_few_times_of_a_remote_stream_need_few_bytes() {
    let place = Place::new();
    for options in [
        &["-c:v", "libx264", "-preset", "ultrafast"][..],
        // The timestamps wrap around in the middle.
        &[
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-output_ts_offset",
            "95400",
            "-muxrate",
            "4M",
        ],
        &[
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-x265-params",
            "log-level=0",
        ],
    ] {
        let content = place.video("video.ts", options);
        for selection in [
            &["--at", "47.31"][..],
            &["--at", "0,60.5,-0.01"],
            &["--fps", "25", "-s", "70.7", "-e", "71.3"],
        ] {
            let (summary, has_numbers) = place.compare(&content, selection);
            let (read, length) = (summary["bytes_read"].as_u64().unwrap(), content.len() as u64);
            assert!(read < length / 3, "{options:?} {selection:?}: {read} of {length}");
            assert!(!has_numbers, "{options:?} {selection:?}");
        }
    }
}

#[test]
fn joined_and_damaged_streams_give_the_same_pictures() {
    let place = Place::new();
    let stream = place.video("video.ts", &["-c:v", "libx264", "-preset", "ultrafast"]);
    let packets = stream.len() / 188;
    let later = place.video(
        "video.ts",
        &[
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-output_ts_offset",
            "5000",
        ],
    );
    let other = place.video(
        "video.ts",
        &["-c:v", "libx264", "-preset", "ultrafast", "-vf", "negate"],
    );
    let without = |from: usize, to: usize| [&stream[..from * 188], &stream[to * 188..]].concat();
    for content in [
        [&stream[..], &other].concat(),
        [&stream[..], &later].concat(),
        [&later[..], &stream].concat(),
        // A lost packet in the middle, and the beginning and the end of a recording.
        without(packets / 2, packets / 2 + 1),
        without(0, packets / 20),
        without(packets - packets / 20, packets),
        stream[..stream.len() - 100].to_vec(),
    ] {
        place.compare(&content, &["--at", "20.02,80.02,-10", "--on-error", "partial"]);
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
    for percent in [90, 99, 101, 110] {
        let mut wrong = content.clone();
        scale_cues(&mut wrong, percent);
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
    let whole = place.video("whole.mkv", &[]);
    let mut content = whole.clone();
    let middle = content.len() / 2;
    content[middle..middle + 20_000].fill(0xff);
    fs::write(place.path("video.mkv"), &content).unwrap();
    let served = Arc::new(content);
    let server = Server::start(move |request| Answer::ranged(&served, request));
    let url = server.url("video.mkv");
    let picture = |source: &str, at: &str, on_error: &str| {
        let args = ["extract", source, "--at", at, "-o", "-", "-f", "png"];
        let options = ["--on-error", on_error, "--allow-private-addresses"];
        place.vf(&[&args[..], &options].concat())
    };
    let mut damaged = 0;
    for at in [
        "5", "18.5", "19.1", "19.5", "19.9", "20.1", "20.5", "20.9", "21.5",
    ] {
        let remote = picture(&url, at, "fail");
        if remote.status.code() == Some(6) {
            damaged += 1;
            continue;
        }
        // A file that is read whole has other frames than before the damage, but the same as a local file.
        let undamaged = picture("whole.mkv", at, "fail");
        let local = picture("video.mkv", at, "partial");
        assert!(
            remote.stdout == undamaged.stdout || remote.stdout == local.stdout,
            "{at}: {}",
            String::from_utf8_lossy(&remote.stderr)
        );
    }
    assert!(damaged <= 6, "{damaged} times");
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
