//! `vf preview`: frames and display times of animated pictures, and their outputs. Set `VF_TEST_FFMPEG` to check the frames
//! with a second ffmpeg as well.
#![allow(clippy::unwrap_used)]

mod corpus;

use std::fs;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use corpus::clips::Clip;
use corpus::rational::Q;
use corpus::truth::Truth;
use corpus::{barcode, runner, vf};
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, GrayImage};
use serde_json::Value;

fn preview(video: &Path, args: &[&str]) -> Output {
    let mut vf = Command::new(env!("CARGO_BIN_EXE_vf"));
    vf.arg("preview").arg(video).args(args);
    vf.stdin(Stdio::null()).output().unwrap()
}

/// Frames of an animated picture, each with its display time in milliseconds.
type Frames = Vec<(GrayImage, u32)>;

fn read_webp(file: &[u8]) -> Frames {
    let frames = WebPDecoder::new(Cursor::new(file)).unwrap().into_frames();
    let frames = frames.map(|frame| {
        let frame = frame.unwrap();
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        let luma = image::DynamicImage::ImageRgba8(frame.into_buffer()).into_luma8();
        (luma, numerator / denominator)
    });
    frames.collect()
}

/// Reads a GIF with ffmpeg.
fn read_gif(file: &[u8], (width, height): (u32, u32)) -> Frames {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("preview.gif");
    fs::write(&path, file).unwrap();
    let run = |program: &str, before: &[&str], after: &[&str]| {
        let output = Command::new(program)
            .args(["-v", "error"])
            .args(before)
            .arg(&path)
            .args(after)
            .output();
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    let raw = run(
        "ffmpeg",
        &["-i"],
        &[
            "-fps_mode",
            "passthrough",
            "-pix_fmt",
            "gray",
            "-f",
            "rawvideo",
            "-",
        ],
    );
    let times = run(
        "ffprobe",
        &["-show_entries", "packet=duration", "-of", "csv=p=0"],
        &[],
    );
    let times = String::from_utf8(times).unwrap();
    let times = times
        .lines()
        .map(|line| 10 * line.trim_end_matches(',').parse::<u32>().unwrap());
    let frames = raw.chunks((width * height) as usize);
    assert_eq!(times.clone().count(), frames.len());
    frames
        .map(|frame| GrayImage::from_raw(width, height, frame.to_vec()).unwrap())
        .zip(times)
        .collect()
}

/// Returns the display times for these times of frames, in milliseconds.
fn expected_times(times: &[Q], end: Q, tick: f64) -> Vec<u32> {
    let rounded = |time: Q| (time.minus(times[0]).to_f64() * 1000.0 / tick).round() * tick;
    let last = times[times.len() - 1];
    let before = last.minus(times[times.len() - 2]);
    let rest = end.minus(last);
    let length = if before.to_f64() < rest.to_f64() {
        before
    } else {
        rest
    };
    let ends = times[1..].iter().copied().chain([last.plus(length)]);
    let pairs = times.iter().copied().zip(ends);
    pairs
        .map(|(start, end)| (rounded(end) - rounded(start)) as u32)
        .collect()
}

/// Compares the frames and the display times of a preview with the frames of its clip.
fn check(clip: &Clip, path: &Path, truth: &Truth, format: &str, args: &[&str]) -> Result<(), String> {
    let all = clip.name.starts_with("vfr");
    let select: &[&str] = if all { &["--all"] } else { &["--every", "0.15"] };
    let output = preview(path, &[select, args, &["-f", format, "-o", "-"][..]].concat());
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let size = (clip.shown.0 as u32, clip.shown.1 as u32);
    let (frames, tick) = match format {
        "webp" => (read_webp(&output.stdout), 1.0),
        _ => (read_gif(&output.stdout, size), 10.0),
    };
    let step = |k| Q::new(15, 100).times(Q::int(k));
    let times: Vec<Q> = match all {
        true => (0..truth.frames.len()).map(|frame| truth.time(frame)).collect(),
        false => (0..)
            .map(step)
            .take_while(|time| *time < truth.duration())
            .collect(),
    };
    let shown: Vec<u32> = frames.iter().map(|(_, time)| *time).collect();
    let expected = expected_times(&times, truth.duration(), tick);
    if shown != expected {
        return Err(format!(
            "{format}: display times {shown:?} instead of {expected:?}"
        ));
    }
    for ((picture, _), time) in frames.iter().zip(&times) {
        if picture.dimensions() != size {
            return Err(format!("{format}: a frame of {:?}", picture.dimensions()));
        }
        let number = barcode::read(picture.as_raw(), clip.shown.0, clip.shown.1)?;
        let expected = truth.frames[truth.shown_at(*time)].number;
        if number != expected {
            return Err(format!(
                "{format}: frame {number} instead of {expected} at {time:?}"
            ));
        }
    }
    Ok(())
}

#[test]
fn every_frame_is_the_frame_of_its_time_and_displayed_until_the_next() {
    let clips = [
        "h264.ts",
        "vfr_stamped.mkv",
        "rotated_90.mp4",
        "interlaced.mkv",
        "odd.mp4",
    ];
    let other = vf::other_ffmpeg();
    runner::run(
        |clip| clips.contains(&clip.name),
        |clip| {
            let checked = clip.ready().and_then(|(path, truth)| {
                for format in ["webp", "gif"] {
                    check(clip, &path, &truth, format, &[])?;
                }
                let Some(ffmpeg) = &other else { return Ok(()) };
                check(
                    clip,
                    &path,
                    &truth,
                    "webp",
                    &["--ffmpeg", ffmpeg.to_str().unwrap()],
                )
            });
            let failure = checked.err().map(|error| format!("{}: {error}", clip.name));
            failure.into_iter().collect()
        },
    );
}

/// A folder with a video of eight seconds.
struct Place {
    folder: tempfile::TempDir,
    video: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let video = folder.path().join("video.mp4");
        let made = Command::new("ffmpeg")
            .args([
                "-v",
                "error",
                "-nostdin",
                "-f",
                "lavfi",
                "-i",
                "testsrc2=s=160x90:r=25:d=8",
            ])
            .args(["-pix_fmt", "yuv420p", "-preset", "ultrafast", "-g", "25"])
            .arg(&video)
            .status();
        assert!(made.unwrap().success());
        Self { folder, video }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `vf preview VIDEO -o OUT ARGS`.
    fn run(&self, out: &str, args: &[&str]) -> Output {
        let out = self.path(out).to_string_lossy().into_owned() + if out.ends_with('/') { "/" } else { "" };
        preview(&self.video, &[&["-o", &out], args].concat())
    }

    /// Returns the names in the folder, without the video.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != "video.mp4").collect();
        names.sort();
        names
    }
}

#[test]
fn a_preview_has_the_requested_range_delay_and_repetitions() {
    let place = Place::new();
    let json = |out: &str, args: &[&str]| -> Value {
        let output = place.run(out, &[args, &["--json", "-y"]].concat());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    };
    for (args, frames, seconds) in [
        (&[][..], 50, 5.0),
        (&["-s", "6"], 20, 2.0),
        (&["-e", "3"], 30, 3.0),
        (&["-t", "500ms"], 5, 0.5),
        (&["--fps", "5", "-W", "64"], 40, 8.0),
        (&["-n", "4", "--delay", "500ms"], 4, 2.0),
    ] {
        let report = json("p.webp", args);
        assert_eq!(
            (report["frames"].as_u64(), report["displayed_s"].as_f64()),
            (Some(frames), Some(seconds)),
            "{args:?}"
        );
        assert_eq!(report["warnings"].as_array().unwrap().len(), 0, "{report}");
        assert_eq!(report["bytes"], fs::metadata(place.path("p.webp")).unwrap().len());
    }
    json(
        "folder/",
        &["-n", "2", "--delay", "3", "--loop", "2", "-f", "gif"],
    );
    let manifest: Value =
        serde_json::from_slice(&fs::read(place.path("folder/manifest.json")).unwrap()).unwrap();
    let request = &manifest["request"];
    assert_eq!(
        [&request["format"], &request["delay"], &request["plays"]],
        [&Value::from("gif"), &"3".into(), &2.into()]
    );
    let frame = &manifest["frames"][1];
    assert_eq!(
        [&frame["target"], &frame["displayed_ms"]],
        [&Value::from("4"), &3000.into()]
    );
    let gif = fs::read(place.path("folder/preview.gif")).unwrap();
    assert_eq!(frame["bytes"], gif.len());
    assert!(
        gif.windows(16)
            .any(|part| part == b"NETSCAPE2.0\x03\x01\x01\x00\x00"),
        "one repetition"
    );
}

#[test]
fn outputs_are_complete_or_missing_and_replaced_only_on_request() {
    let place = Place::new();
    let short = ["-n", "2", "--delay", "1"];
    let code = |out: &str, args: &[&str]| place.run(out, args).status.code().unwrap();
    for (args, expected) in [(&short[..], 0), (&short, 9), (&["-n", "3", "-y"], 0)] {
        assert_eq!(code("p.gif", args), expected);
    }
    fs::create_dir(place.path("closed")).unwrap();
    fs::set_permissions(place.path("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    let is_root = fs::write(place.path("closed/probe"), "").is_ok();
    let _ = fs::remove_file(place.path("closed/probe"));
    for (out, args, expected) in [
        ("new.jpg", &[][..], 2),
        ("new.webp", &["-f", "gif"], 2),
        ("new.gif", &["-q", "80"], 2),
        ("new.webp", &["-f", "jpg"], 2),
        ("new.webp", &["--delay", "0"], 2),
        ("new.webp", &["--loop", "65536"], 2),
        ("new.webp", &["-n", "2", "--fps", "1"], 2),
        ("new.webp", &["-s", "9"], 2),
        ("new.webp", &["--max-output", "1kB"], 8),
        ("new.gif", &["--max-output", "1kB"], 8),
        ("new.webp", &["--fps", "2000"], 8),
        ("new.gif", &["-n", "2", "--delay", "11m"], 8),
        ("no/such/folder.gif", &[], 11),
        ("closed/new.gif", &short, if is_root { 0 } else { 11 }),
        ("video.mp4", &[], 2),
    ] {
        assert_eq!(code(out, args), expected, "-o {out} {args:?}");
    }
    let without = place.run("new.webp", &["--ffmpeg", "/nonexistent/ffmpeg"]);
    assert_eq!(without.status.code(), Some(10));
    assert_eq!(place.left(), ["closed", "p.gif"]);
}

#[test]
fn an_interrupt_leaves_no_files() {
    let place = Place::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_vf"))
        .args(["preview", "--progress", "json", "--fps", "1000", "-o"])
        .args([&place.path("p.gif"), &place.video])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut progress = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    progress.read_line(&mut line).unwrap();
    assert!(line.contains("progress"), "{line}");
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let mut rest = String::new();
    progress.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert_eq!(place.left(), [""; 0]);
}
