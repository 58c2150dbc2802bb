//! Frames by content: scenes, the best of each interval, filters and thumbnails, on clips whose content is known by frame.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Generates a video of 25 frames a second: the parts, each a source and a number of frames, one after the other.
    fn video(&self, name: &str, parts: &[(&str, u32)], options: &[&str]) -> PathBuf {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-y"]);
        let mut graph = String::new();
        for (index, (source, frames)) in parts.iter().enumerate() {
            command.args(["-f", "lavfi", "-i", source]);
            graph +=
                &format!("[{index}]trim=end_frame={frames},scale=160:90,setsar=1,format=yuv420p[p{index}];");
        }
        let labels: String = (0..parts.len()).map(|index| format!("[p{index}]")).collect();
        graph += &format!("{labels}concat=n={}", parts.len());
        let path = self.path(name);
        command.args(["-filter_complex", &graph, "-preset", "veryfast"]);
        assert!(command.args(options).arg(&path).status().unwrap().success());
        path
    }

    fn vf(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
        command
            .args(args)
            .stdin(Stdio::null())
            .env("TMPDIR", self.0.path());
        command
    }

    /// Extracts into a new folder. Returns the folder and its manifest.
    fn extract(&self, video: &Path, args: &[&str]) -> (PathBuf, Value) {
        let out = self.path("out");
        let mut command = self.vf(&["extract", video.to_str().unwrap(), "-y", "--quiet", "-o"]);
        succeeded(&command.arg(&out).args(args).output().unwrap());
        let manifest = fs::read(out.join("manifest.json")).unwrap();
        (out, serde_json::from_slice(&manifest).unwrap())
    }
}

fn succeeded(output: &Output) {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Returns the frame numbers of a manifest.
fn frames(manifest: &Value) -> Vec<u64> {
    let frames = manifest["frames"].as_array().unwrap();
    frames
        .iter()
        .map(|frame| frame["frame"].as_u64().unwrap())
        .collect()
}

fn pictures(folder: &Path, manifest: &Value) -> Vec<Vec<u8>> {
    let frames = manifest["frames"].as_array().unwrap();
    let read = |frame: &Value| fs::read(folder.join(frame["file"].as_str().unwrap())).unwrap();
    frames.iter().map(read).collect()
}

const TEST: &str = "testsrc2=s=160x90:r=25";
const NEGATIVE: &str = "testsrc2=s=160x90:r=25,negate";
const BARS: &str = "smptebars=s=160x90:r=25";
const BLACK: &str = "color=black:s=160x90:r=25";
const WHITE: &str = "color=white:s=160x90:r=25";
const BLURRED: &str = "testsrc2=s=160x90:r=25,gblur=sigma=6";

#[test]
fn scenes_begin_at_the_cuts_and_their_pictures_are_exact() {
    let place = Place::new();
    let parts = [(TEST, 25), (NEGATIVE, 25), (BARS, 25), (NEGATIVE, 25)];
    let video = place.video("cuts.mp4", &parts, &[]);
    let (folder, manifest) = place.extract(&video, &["--scene"]);
    assert_eq!(frames(&manifest), [0, 25, 50, 75]);
    assert_eq!(manifest["request"]["selection"], "scene=27");
    let picked = |index: usize| &manifest["frames"][index]["picked"];
    assert_eq!(picked(0)["reason"], "first_frame");
    assert_eq!(picked(1)["reason"], "scene_change");
    assert!((1..4).all(|index| picked(index)["score"].as_f64().unwrap() >= 27.0));
    let scenes = pictures(&folder, &manifest);
    let (folder, manifest) = place.extract(&video, &["--frames", "0,25,50,75"]);
    assert!(pictures(&folder, &manifest) == scenes, "the pictures differ");
    assert!(manifest["frames"][0].get("picked").is_none());

    // A range begins with a scene, and a higher threshold finds fewer.
    assert_eq!(
        frames(&place.extract(&video, &["--scene", "-s", "0.4", "-e", "2.6"]).1),
        [10, 25, 50]
    );
    assert_eq!(frames(&place.extract(&video, &["--scene", "255"]).1), [0]);

    // Frames on stdout, from a video on stdin.
    let mut command = place.vf(&[
        "extract", "-", "--scene", "-f", "raw", "--pixels", "gray8", "-o", "-",
    ]);
    let output = command.stdin(fs::File::open(&video).unwrap()).output().unwrap();
    succeeded(&output);
    assert_eq!(output.stdout.len(), 4 * 160 * 90);

    let output = place
        .vf(&["plan", video.to_str().unwrap(), "--scene", "--json"])
        .output()
        .unwrap();
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&plan["examined"], &plan["pictures"]), (&100.into(), &100.into()));

    // The limits of the pictures apply to the choice.
    let out = place.path("x.jpg");
    for (args, code) in [(&["--scene", "255"][..], 0), (&["--scene"], 2)] {
        let mut command = place.vf(&[
            "extract",
            video.to_str().unwrap(),
            "-y",
            "-o",
            out.to_str().unwrap(),
        ]);
        assert_eq!(
            command.args(args).output().unwrap().status.code(),
            Some(code),
            "{args:?}"
        );
    }
}

#[test]
fn the_best_of_an_interval_is_sharp_and_neither_black_nor_white_nor_faded() {
    let place = Place::new();
    let fade = "testsrc2=s=160x90:r=25,fade=t=in:d=1.2";
    let parts = [
        (TEST, 10),
        (BLURRED, 40), // 0–49
        (BLACK, 30),
        (WHITE, 10),
        (TEST, 10),    // 50–99
        (fade, 50),    // 100–149: black until 130
        (BLACK, 50),   // 150–199
        (BLURRED, 50), // 200–249
    ];
    let video = place.video("best.mp4", &parts, &["-bf", "2", "-g", "60"]);
    let (_, manifest) = place.extract(&video, &["--best-of", "2s"]);
    let found = frames(&manifest);
    let ranges = [0..10, 90..100, 130..150, 200..250];
    assert_eq!(
        found.len(),
        ranges.len(),
        "a black interval has no picture: {found:?}"
    );
    assert!(
        found
            .iter()
            .zip(ranges)
            .all(|(frame, range)| range.contains(frame)),
        "{found:?}"
    );
    assert_eq!(manifest["frames"][0]["picked"]["reason"], "sharpest");
    assert_eq!(manifest["request"]["selection"], "best_of=2");

    let (_, filtered) = place.extract(&video, &["--best-of", "2s", "--skip-blurred"]);
    assert_eq!(frames(&filtered), found[..3]);
    let (_, filtered) = place.extract(&video, &["--every", "400ms", "--skip-black", "--skip-blurred"]);
    let kept = frames(&filtered);
    let blurred_or_black = |frame: &u64| (10..90).contains(frame) || *frame == 100 || *frame >= 150;
    assert!(
        kept.contains(&0) && !kept.iter().any(blurred_or_black),
        "{kept:?}"
    );
    assert_eq!(
        filtered["request"]["filters"],
        serde_json::json!(["skip_black", "skip_blurred=100"])
    );
}

#[test]
fn deduplication_keeps_the_first_frame_of_each_slide() {
    let place = Place::new();
    let slide = |text: &str| format!("smptebars=s=160x90:r=25,{text}");
    let slides = [
        slide("hue=h=0"),
        slide("hflip"),
        slide("vflip"),
        slide("negate"),
        slide("transpose"),
        slide("hflip"),
    ];
    let parts: Vec<(&str, u32)> = slides.iter().map(|slide| (slide.as_str(), 20)).collect();
    let video = place.video("slides.mp4", &parts, &["-crf", "35"]);
    let (_, manifest) = place.extract(&video, &["--all", "--dedupe"]);
    assert_eq!(
        frames(&manifest),
        [0, 20, 40, 60, 80],
        "the last slide is the second one"
    );
    let picked = &manifest["frames"][1]["picked"];
    assert_eq!(picked["reason"], "selected");
    assert!(picked["distance"].as_u64().unwrap() > 4 && picked["hash"].as_str().unwrap().len() == 16);
}

#[test]
fn a_thumbnail_is_a_good_frame_from_one_start_of_ffmpeg() {
    let place = Place::new();
    let good = place.video("good.mp4", &[(TEST, 250)], &["-g", "50"]);
    let dark = place.video(
        "dark.mp4",
        &[(BLACK, 80), (BLURRED, 10), (TEST, 20), (BLACK, 140)],
        &["-g", "50", "-sc_threshold", "0"],
    );
    // Counts the starts.
    let (log, ffmpeg) = (place.path("log"), place.path("ffmpeg"));
    let script = format!("#!/bin/sh\necho >> '{}'\nexec ffmpeg \"$@\"\n", log.display());
    fs::write(&ffmpeg, script).unwrap();
    fs::set_permissions(&ffmpeg, fs::Permissions::from_mode(0o755)).unwrap();
    for (video, format, frame, starts) in [
        (&good, "jpg", "0", 1),
        (&dark, "jpg", "100", 2),
        (&dark, "png", "100", 3),
    ] {
        let (out, same) = (
            place.path("t").with_extension(format),
            place.path("f").with_extension(format),
        );
        let _ = fs::remove_file(&log);
        let mut command = place.vf(&[
            "thumbnail",
            video.to_str().unwrap(),
            "-y",
            "-o",
            out.to_str().unwrap(),
        ]);
        // A relative ffmpeg would be this script again.
        // In the sandbox, the script could not write its log.
        command.args(["--sandbox", "off", "--ffmpeg"]).arg(&ffmpeg);
        succeeded(&command.output().unwrap());
        assert_eq!(
            fs::read_to_string(&log).unwrap().lines().count(),
            starts,
            "{frame} {format}"
        );
        let mut command = place.vf(&[
            "extract",
            video.to_str().unwrap(),
            "-y",
            "-o",
            same.to_str().unwrap(),
        ]);
        succeeded(&command.args(["--frames", frame]).output().unwrap());
        assert!(
            fs::read(&out).unwrap() == fs::read(&same).unwrap(),
            "{frame} {format}"
        );
    }
    let output = place
        .vf(&["thumbnail", good.to_str().unwrap(), "-W", "64", "-o", "-"])
        .output()
        .unwrap();
    succeeded(&output);
    let size = image::load_from_memory(&output.stdout)
        .unwrap()
        .to_rgb8()
        .dimensions();
    assert_eq!(size, (64, 36));
}
