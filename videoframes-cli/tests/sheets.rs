//! `vf storyboard` and `vf sheet`: tiles, cues, layout and outputs. Set `VF_TEST_FFMPEG` to check the tiles with a second
//! ffmpeg as well.
#![allow(clippy::unwrap_used)]

mod corpus;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use corpus::clips::Clip;
use corpus::rational::Q;
use corpus::truth::Truth;
use corpus::{barcode, runner, vf};
use image::{DynamicImage, GenericImageView, RgbImage};
use serde_json::Value;

fn run(command: &str, video: &Path, args: &[&str]) -> Output {
    let mut vf = Command::new(env!("CARGO_BIN_EXE_vf"));
    vf.arg(command).arg(video).args(args);
    vf.stdin(Stdio::null()).output().unwrap()
}

/// Runs `vf COMMAND VIDEO ARGS -o -`, and returns stdout.
fn stdout(command: &str, video: &Path, args: &[&str]) -> Result<Vec<u8>, String> {
    let output = run(command, video, &[args, &["-o", "-"]].concat());
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Reads the entries of a ZIP.
fn entries(zip: Vec<u8>) -> BTreeMap<String, Vec<u8>> {
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    let mut read = |name: String| {
        let mut bytes = Vec::new();
        zip.by_name(&name).unwrap().read_to_end(&mut bytes).unwrap();
        (name, bytes)
    };
    names.into_iter().map(&mut read).collect()
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

/// Returns the tile of an entry of the manifest.
fn tile(sheets: &BTreeMap<String, DynamicImage>, entry: &Value) -> DynamicImage {
    let [x, y, w, h] = ["x", "y", "width", "height"].map(|side| number(&entry[side]));
    sheets[entry["file"].as_str().unwrap()].crop_imm(x, y, w, h)
}

/// Returns the sheets among some entries.
fn sheets(entries: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, DynamicImage> {
    let pictures = entries
        .iter()
        .filter(|(name, _)| !name.ends_with(".json") && !name.ends_with(".vtt"));
    pictures
        .map(|(name, bytes)| (name.clone(), image::load_from_memory(bytes).unwrap()))
        .collect()
}

fn milliseconds(text: &str) -> u64 {
    let digits: Vec<u64> = text.split([':', '.']).map(|part| part.parse().unwrap()).collect();
    let [hours, minutes, seconds, milliseconds] = digits[..] else {
        panic!("{text} is no time of WebVTT");
    };
    ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds
}

/// Compares tiles, cues and tile lists of a storyboard with the frames of its clip.
fn check_storyboard(clip: &Clip, path: &Path, truth: &Truth, args: &[&str]) -> Result<(), String> {
    let entries = entries(stdout("storyboard", path, args)?);
    let manifest: Value = serde_json::from_slice(&entries["manifest.json"]).unwrap();
    let sheets = sheets(&entries);
    let tiles = manifest["frames"].as_array().unwrap();
    let step = Q::new(3, 10);
    let targets: Vec<Q> = (0..)
        .map(|k| step.times(Q::int(k)))
        .take_while(|t| *t < truth.duration())
        .collect();
    if tiles.len() != targets.len() {
        return Err(format!("{} tiles instead of {}", tiles.len(), targets.len()));
    }
    for (entry, target) in tiles.iter().zip(&targets) {
        let frame = truth.shown_at(*target);
        let time = entry["timestamp_s"].as_f64().unwrap();
        if Q::parse(entry["target"].as_str().unwrap()) != Some(*target)
            || (time - truth.time(frame).to_f64()).abs() > 1e-9
        {
            return Err(format!("{entry} is not the tile at {target:?}"));
        }
        let luma = tile(&sheets, entry).to_luma8();
        let (w, h) = (luma.width() as usize, luma.height() as usize);
        if w * clip.shown.1 != h * clip.shown.0 {
            return Err(format!("a tile of {w}×{h}, the video is {:?}", clip.shown));
        }
        let shown = barcode::read(luma.as_raw(), w, h)?;
        if shown != truth.frames[frame].number {
            return Err(format!("the tile at {target:?} shows frame {shown}"));
        }
    }
    check_cues(&entries, tiles, truth)
}

/// Compares the WebVTT file and the tile lists with the manifest.
fn check_cues(entries: &BTreeMap<String, Vec<u8>>, tiles: &[Value], truth: &Truth) -> Result<(), String> {
    let text = String::from_utf8(entries["storyboard.vtt"].clone()).unwrap();
    let mut blocks = text.trim_end().split("\n\n");
    if blocks.next() != Some("WEBVTT") {
        return Err(text);
    }
    let blocks: Vec<&str> = blocks.collect();
    let mut lists = Vec::new();
    for (name, list) in entries
        .iter()
        .filter(|(name, _)| name.starts_with("sheet-") && name.ends_with(".json"))
    {
        let list: Value = serde_json::from_slice(list).unwrap();
        if list["url"].as_str().unwrap().split('.').next() != name.split('.').next() {
            return Err(format!("{name}: {list}"));
        }
        for tile in list["tiles"].as_array().unwrap() {
            let (x, y, w, h) = (&tile["x"], &tile["y"], &list["tile_width"], &list["tile_height"]);
            lists.push((
                tile["start"].as_f64().unwrap(),
                format!("{}#xywh={x},{y},{w},{h}", list["url"].as_str().unwrap()),
            ));
        }
    }
    if blocks.len() != tiles.len() || lists.len() != tiles.len() {
        return Err(format!("{} tiles: {text}", tiles.len()));
    }
    let mut expected_start = 0;
    for ((block, entry), (start, place)) in blocks.iter().zip(tiles).zip(&lists) {
        let (times, url) = block.split_once('\n').unwrap();
        let (from, to) = times.split_once(" --> ").unwrap();
        let [x, y, w, h] = ["x", "y", "width", "height"].map(|side| &entry[side]);
        let expected = format!("{}#xywh={x},{y},{w},{h}", entry["file"].as_str().unwrap());
        let target = Q::parse(entry["target"].as_str().unwrap()).unwrap().to_f64();
        if url != expected
            || url != place
            || (start - target).abs() > 1e-9
            || milliseconds(from) != expected_start
            || milliseconds(from) != (target * 1000.0 + 1e-6).floor() as u64
        {
            return Err(format!("{block} is not the cue of {entry}"));
        }
        expected_start = milliseconds(to);
    }
    let end = (truth.duration().to_f64() * 1000.0 - 1e-6).ceil() as u64;
    match expected_start == end {
        true => Ok(()),
        false => Err(format!(
            "the last cue ends at {expected_start} ms instead of {end} ms"
        )),
    }
}

#[test]
fn every_tile_of_a_storyboard_is_the_frame_of_its_time() {
    let formats = [
        ("h264.ts", "webp"),
        ("vfr_stamped.mkv", "png"),
        ("same_time.mkv", "jpg"),
        ("interlaced.mkv", "jpg"),
        ("rotated_90.mp4", "jpg"),
        ("one_frame.mp4", "jpg"),
    ];
    let other = vf::other_ffmpeg();
    runner::run(
        |clip| formats.iter().any(|(name, _)| *name == clip.name),
        |clip| {
            let format = formats.iter().find(|(name, _)| *name == clip.name).unwrap().1;
            let checked = clip.ready().and_then(|(path, truth)| {
                let args = ["--every", "0.3", "--columns", "3", "--rows", "2", "-f", format];
                check_storyboard(clip, &path, &truth, &args)?;
                let Some(ffmpeg) = &other else { return Ok(()) };
                let ffmpeg = ["--ffmpeg", ffmpeg.to_str().unwrap()];
                check_storyboard(clip, &path, &truth, &[&args[..], &ffmpeg].concat())
            });
            checked
                .err()
                .map(|error| format!("{}: {error}", clip.name))
                .into_iter()
                .collect()
        },
    );
}

/// A folder with a video of a solid colour beside a pattern, of three seconds.
struct Place {
    folder: tempfile::TempDir,
    video: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let video = folder.path().join("video.mp4");
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i"])
            .arg("color=0xc83232:s=640x360:r=10:d=3[c];testsrc2=s=160x360:r=10:d=3[t];[c][t]overlay")
            .args(["-pix_fmt", "yuv420p", "-preset", "ultrafast", "-g", "5"])
            .arg(&video)
            .status();
        assert!(made.unwrap().success());
        Self { folder, video }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `vf COMMAND VIDEO -o OUT ARGS`, and returns the exit code.
    fn code(&self, command: &str, out: &str, args: &[&str]) -> i32 {
        let out = self.path(out).to_string_lossy().into_owned() + if out.ends_with('/') { "/" } else { "" };
        let output = run(command, &self.video, &[&["-o", &out], args].concat());
        output.status.code().unwrap()
    }

    /// Returns the names in the folder, without the video.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != "video.mp4").collect();
        names.sort();
        names
    }

    fn sheet(&self, args: &[&str]) -> RgbImage {
        let bytes = stdout("sheet", &self.video, args).unwrap();
        image::load_from_memory(&bytes).unwrap().to_rgb8()
    }
}

#[test]
fn a_contact_sheet_has_a_header_times_and_the_colours_of_pictures() {
    let place = Place::new();
    let colours = ["--background", "000", "--foreground", "0f0"];
    let all = |more: &[&str]| {
        let args = [
            "-n",
            "5",
            "--columns",
            "3",
            "-W",
            "320",
            "--margin",
            "10",
            "--gap",
            "6",
        ];
        place.sheet(&[&args, &colours[..], more].concat())
    };
    let plain = all(&["-f", "png", "--no-header", "--no-timestamps"]);
    assert_eq!(plain.dimensions(), (3 * 320 + 2 * 6 + 20, 2 * 180 + 6 + 20));
    // The second row has two tiles.
    assert_eq!(plain.get_pixel(10 + 2 * 326 + 160, 10 + 186 + 90).0, [0, 0, 0]);
    let picture = run(
        "extract",
        &place.video,
        &["--at", "0", "-W", "320", "-f", "png", "-o", "-"],
    );
    let picture = image::load_from_memory(&picture.stdout).unwrap().to_rgb8();
    let red = picture.get_pixel(200, 90).0;
    for format in ["jpg", "png", "webp"] {
        let sheet = all(&["-f", format, "--no-header", "--no-timestamps"]);
        let near = |(a, b): (&u8, &u8)| a.abs_diff(*b) <= if format == "png" { 0 } else { 4 };
        for (x, y) in [(10, 10), (336, 10), (10, 196)] {
            let shown = sheet.get_pixel(x + 200, y + 90).0;
            assert!(
                shown.iter().zip(&red).all(near),
                "{format}: {shown:?}, not {red:?}"
            );
        }
    }

    let timed = all(&["-f", "png", "--no-header"]);
    let changed: Vec<(u32, u32)> = (plain.enumerate_pixels().zip(timed.pixels()))
        .filter(|((_, _, before), after)| before != after)
        .map(|((x, y, _), _)| (x, y))
        .collect();
    let within = |x: u32, y: u32| {
        changed
            .iter()
            .filter(|at| (x..x + 320).contains(&at.0) && (y + 120..y + 180).contains(&at.1))
            .count()
    };
    let labels: Vec<usize> = (0..5)
        .map(|k| within(10 + k % 3 * 326, 10 + k / 3 * 186))
        .collect();
    assert!(labels.iter().all(|pixels| *pixels > 500), "{labels:?}");
    assert_eq!(
        labels.iter().sum::<usize>(),
        changed.len(),
        "times are in the lower part of their tiles"
    );

    let headed = all(&["-f", "png", "--no-timestamps"]);
    let header = headed.height() - plain.height();
    let below = headed.view(0, header, plain.width(), plain.height()).to_image();
    assert!(
        below
            .rows()
            .skip(10)
            .flatten()
            .eq(plain.rows().skip(10).flatten()),
        "the header is above the tiles"
    );
    assert!(
        headed
            .rows()
            .take(header as usize)
            .flatten()
            .any(|pixel| pixel.0 == [0, 255, 0])
    );
    assert!(header > 40 && header < 80, "{header}");
}

#[test]
fn sheets_are_split_at_the_maximum_side_of_their_format() {
    let place = Place::new();
    let args = [
        "--every",
        "20ms",
        "-W",
        "160",
        "--columns",
        "10000",
        "-f",
        "webp",
        "-q",
        "1",
    ];
    let entries = entries(
        stdout(
            "storyboard",
            &place.video,
            &[&args[..], &["--rows", "1"]].concat(),
        )
        .unwrap(),
    );
    let sizes: Vec<(u32, u32)> = sheets(&entries)
        .values()
        .map(|sheet| sheet.dimensions())
        .collect();
    assert_eq!(sizes, [(16_320, 90), (16_320, 90)]);
    assert_eq!(entries.keys().filter(|name| name.ends_with(".json")).count(), 3);
    let args = ["-n", "200", "-W", "1280", "--columns", "1"];
    assert_eq!(
        place.code("sheet", "sheet.jpg", &args),
        8,
        "one picture cannot be split"
    );
    assert_eq!(place.code("storyboard", "out.zip", &["--every", "1us"]), 2);
    assert_eq!(place.code("storyboard", "out.zip", &["-n", "999999999999"]), 8);
    assert_eq!(place.left(), [""; 0]);
}

#[test]
fn outputs_are_complete_or_missing_and_replaced_only_on_request() {
    let place = Place::new();
    for (command, out) in [("storyboard", "story/"), ("sheet", "sheet.png")] {
        assert_eq!(place.code(command, out, &["-n", "2"]), 0, "{out}");
        assert_eq!(place.code(command, out, &["-n", "3"]), 9, "{out}");
        assert_eq!(place.code(command, out, &["-n", "3", "-y"]), 0, "{out}");
    }
    let left = ["sheet.png", "story"];
    assert_eq!(place.left(), left);
    let manifest = fs::read(place.path("story/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["frames"].as_array().unwrap().len(), 3);
    fs::write(place.path("story/mine"), "mine").unwrap();
    assert_eq!(
        place.code("storyboard", "story/", &["-y"]),
        9,
        "a folder with other files is kept"
    );
    for (command, out, args, code) in [
        ("storyboard", "new.tgz", &[][..], 2),
        ("storyboard", "new.jpg", &[], 2),
        ("storyboard", "new/", &["-f", "raw"], 2),
        ("storyboard", "new/", &["-f", "png", "-q", "80"], 2),
        ("storyboard", "new/", &["-n", "2", "--every", "1s"], 2),
        ("storyboard", "new/", &["--columns", "0"], 2),
        ("storyboard", "new/", &["--max-output", "1kB"], 8),
        ("storyboard", "no/such/folder", &[], 11),
        ("sheet", "new.npy", &[], 2),
        ("sheet", "new.jpg", &["-f", "png"], 2),
        ("sheet", "new.jpg", &["--background", "reddish"], 2),
        ("sheet", "new.jpg", &["--font", "/dev/null"], 3),
        ("sheet", "new.jpg", &["--at", "99"], 2),
        ("sheet", "new.jpg", &["--rows", "2", "-n", "3"], 2),
        ("sheet", "new.jpg", &["--max-output", "1kB"], 8),
        ("sheet", "video.mp4", &[], 2),
    ] {
        assert_eq!(
            place.code(command, out, args),
            code,
            "{command} -o {out} {args:?}"
        );
    }
    assert_eq!(place.left(), left);
}

#[test]
fn an_interrupt_leaves_no_files() {
    let place = Place::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_vf"))
        .args([
            "storyboard",
            "--progress",
            "json",
            "--max-frames",
            "100000",
            "--every",
            "1ms",
            "-W",
            "1280",
            "-o",
        ])
        .args([&place.path("out.zip"), &place.video])
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
