//! Several videos in one run.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::{Place, Run, vf};

/// A folder `clips` with copies of a video.
struct Clips {
    place: Place,
}

impl Clips {
    fn new(names: &[&str]) -> Self {
        let place = Place::new();
        fs::create_dir(place.path("clips")).unwrap();
        let clips = Self { place };
        for name in names {
            let path = clips.place.path("clips").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(clips.place.path("video.mp4"), path).unwrap();
        }
        clips
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.place.path(name), content).unwrap();
    }

    /// Returns the files below `folder`, sorted.
    fn files(&self, folder: &str) -> Vec<String> {
        let root = self.place.path(folder);
        let (mut files, mut folders) = (Vec::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => files.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned()),
                }
            }
        }
        files.sort();
        files
    }
}

/// Returns the lines of JSON on stdout.
fn lines(run: &Run) -> Vec<serde_json::Value> {
    let text = String::from_utf8_lossy(&run.stdout);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_broken_video_among_several_fails_alone() {
    let clips = Clips::new(&["b.mp4", "sub/c.MKV", "sub/a.mp4", ".hidden.mp4"]);
    clips.write("clips/broken.mp4", "no video");
    clips.write("clips/notes.txt", "no video");
    let options = ["-n", "1", "-W", "32", "-o", "out/{folder}/{stem}.zip"];
    let extract = ["extract", "clips", "--recursive", "--keep-going", "--json"];
    let run = clips.place.run(&[&extract[..], &options].concat());
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert!(
        run.stderr.starts_with("error: clips/broken.mp4: not a video"),
        "{}",
        run.stderr
    );
    let mut lines = lines(&run);
    lines.sort_by_key(|line| line["input"].as_str().unwrap().to_owned());
    let shown: Vec<_> = lines
        .iter()
        .map(|line| (line["input"].as_str().unwrap(), line["status"].as_str().unwrap()))
        .collect();
    assert_eq!(
        shown,
        [
            ("clips/b.mp4", "complete"),
            ("clips/broken.mp4", "failed"),
            ("clips/sub/a.mp4", "complete"),
            ("clips/sub/c.MKV", "complete"),
        ]
    );
    assert_eq!((&lines[1]["code"], &lines[0]["frames"]), (&4.into(), &1.into()));
    assert_eq!(clips.files("out"), ["b.zip", "sub/a.zip", "sub/c.zip"]);
    // Each result is that of a run for one video.
    let single = clips
        .place
        .run(&["extract", "clips/b.mp4", "-n", "1", "-W", "32", "-o", "b.zip"]);
    assert_eq!(single.code, Some(0), "{}", single.stderr);
    let bytes = |name: &str| fs::read(clips.place.path(name)).unwrap();
    assert!(bytes("out/b.zip") == bytes("b.zip"), "the archives differ");
}

#[test]
fn no_more_videos_are_started_after_a_failure() {
    let clips = Clips::new(&["a.mp4", "c.mp4", "d.mp4"]);
    clips.write("clips/b.mp4", "no video");
    let extract = ["extract", "clips", "-n", "1", "-j", "1", "-o", "out/"];
    let run = clips.place.run(&extract);
    run.fails(
        4,
        &[
            "left     2",
            "error: stopped after a failure, with 2 of 4 videos left",
            "--keep-going",
        ],
    );
    assert_eq!(clips.files("out"), ["a/frame_000000.jpg", "a/manifest.json"]);
    // Different reasons have a common exit code.
    let run = clips.place.run(&[&extract[..], &["--keep-going"]].concat());
    run.fails(14, &["1 not a video (4)", "1 output exists (9)", "done     2"]);
    let run = clips
        .place
        .run(&[&extract[..], &["--keep-going", "--skip-existing"]].concat());
    run.fails(4, &["done     0", "skipped  3, outputs exist"]);
}

#[test]
fn lists_name_files_folders_and_urls() {
    let clips = Clips::new(&["a b.mp4", "c.mp4"]);
    clips.write("list", "video.mp4\r\n\nclips/a b.mp4\nclips\n");
    let run = clips
        .place
        .run(&["extract", "--from", "list", "--dry-run", "-o", "{index:02}.zip"]);
    run.fails(0, &[]);
    let shown = String::from_utf8(run.stdout).unwrap();
    let expected =
        "video.mp4 -> 00.zip\nclips/a b.mp4 -> 01.zip\nclips/a b.mp4 -> 02.zip\nclips/c.mp4 -> 03.zip\n";
    assert_eq!(shown, expected);
    let mut list = vf();
    list.args(["extract", "--from", "-", "-0", "-n", "1", "--json"]);
    let mut list = list
        .current_dir(clips.place.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    list.stdin
        .take()
        .unwrap()
        .write_all(b"clips/a b.mp4\0https://user:secret@h:99999/v")
        .unwrap();
    let run = Run::of(list.wait_with_output().unwrap());
    run.fails(2, &["the URL of video 2: "]);
    assert!(!run.stderr.contains("secret") && clips.place.made() == ["clips", "list"]);
}

#[test]
fn outputs_are_checked_before_anything_is_decoded() {
    let clips = Clips::new(&["a.mp4", "a/b.mp4", "a/a.mkv"]);
    fs::create_dir(clips.place.path("empty")).unwrap();
    let (a, b, mkv) = ("clips/a.mp4", "clips/a/b.mp4", "clips/a/a.mkv");
    for (code, args, words) in [
        (
            2,
            &[a, mkv, "-o", "{stem}.zip"][..],
            &[
                "clips/a.mp4 and clips/a/a.mkv have the same output: a.zip",
                "{name}",
            ][..],
        ),
        (2, &[a, "clips/../clips/a.mp4"], &["the video is given twice"]),
        (
            2,
            &["clips", "--recursive", "-o", "o/"],
            &["clips/a/a.mkv would be inside the output of clips/a.mp4: o/a/a"],
        ),
        (
            2,
            &[a, b, "-o", "x.zip"],
            &["2 videos cannot have the same output", "-o 'frames/{stem}.zip'"],
        ),
        (2, &[a, b, "-o", "-"], &["cannot be written to stdout"]),
        (
            2,
            &[a, b, "-o", "{stme}.zip"],
            &["not a valid template: the fields are {stem}"],
        ),
        (
            2,
            &[a, b, "-o", "{stem}.xyz"],
            &["clips/a.mp4: '.xyz' is not a supported type"],
        ),
        (2, &[a, b, "-o", "{stem}.png", "-q", "5"], &["no effect on png"]),
        (
            2,
            &[b, "clips/a.webp", "-o", "clips/{stem}.webp", "-y"],
            &["clips/a.webp: the output would replace the video itself"],
        ),
        (
            3,
            &["empty"],
            &["empty: no videos in this folder", "extensions 3g2, 3gp"],
        ),
        (3, &["--from", "missing"], &["missing: No such file"]),
        (
            10,
            &[a, b, "--ffmpeg", "/nonexistent/ffmpeg"],
            &["/nonexistent/ffmpeg"],
        ),
    ] {
        if args.contains(&"clips/a.webp") {
            clips.write("clips/a.webp", "");
        }
        let run = clips.place.run(&[&["extract"], args].concat());
        run.fails(code, words);
        assert_eq!(run.stderr.matches("error: ").count(), 1, "{}", run.stderr);
        assert_eq!(clips.place.made(), ["clips", "empty"], "{args:?}");
    }
}

#[test]
fn extensions_of_videos_are_documented() {
    let clips = Clips::new(&[]);
    let run = clips.place.run(&["extract", "clips"]);
    let (_, list) = run.stderr.split_once("one of the extensions ").unwrap();
    let documented = include_str!("../../../docs/cli.md");
    let documented = documented
        .split_once("The extensions are")
        .unwrap()
        .1
        .split_once('.')
        .unwrap()
        .0;
    let documented: Vec<_> = documented.split('`').skip(1).step_by(2).collect();
    assert_eq!(list.trim().split(", ").collect::<Vec<_>>(), documented);
}

/// Writes an ffmpeg that logs `+` when it starts, and `!` if two others are running, and returns its path.
#[cfg(target_os = "linux")]
fn logged_ffmpeg(clips: &Clips) -> PathBuf {
    let path = clips.place.path("ffmpeg");
    let (log, one, two) = (
        clips.place.path("log"),
        clips.place.path("one"),
        clips.place.path("two"),
    );
    let script = format!(
        "#!/bin/sh\nexec 8> '{}' 9> '{}'\nflock -n 8 || flock -n 9 || echo ! >> '{log}'\necho + >> '{log}'\nexec ffmpeg \"$@\"\n",
        one.display(),
        two.display(),
        log = log.display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
#[cfg(target_os = "linux")]
fn ffmpeg_is_queried_once_and_j_limits_the_decoders_of_all_videos() {
    let names: Vec<String> = (0..8).map(|index| format!("{index}.mp4")).collect();
    let clips = Clips::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let ffmpeg = logged_ffmpeg(&clips);
    // In the sandbox, the script could not write its log.
    let extract = [
        "extract",
        "clips",
        "-n",
        "2",
        "-W",
        "32",
        "-f",
        "webp",
        "-j",
        "2",
        "-o",
        "out/",
        "--sandbox",
        "off",
        "--ffmpeg",
    ];
    let run = clips
        .place
        .run(&[&extract[..], &[ffmpeg.to_str().unwrap()]].concat());
    run.fails(0, &["done     8", "frames   16"]);
    let log = fs::read_to_string(clips.place.path("log")).unwrap();
    // One decoder per video, one query of the version, and one of the encoders.
    assert_eq!((log.matches('+').count(), log.matches('!').count()), (8 + 2, 0));
}

#[test]
fn an_interrupted_run_is_continued_by_skip_existing() {
    let names: Vec<String> = (0..16).map(|index| format!("{index:02}.mp4")).collect();
    let clips = Clips::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let extract = [
        "extract",
        "clips",
        "-n",
        "3",
        "-W",
        "64",
        "-o",
        "out/",
        "--skip-existing",
    ];
    let mut command = vf();
    command
        .args(extract)
        .current_dir(clips.place.folder.path())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let since = Instant::now();
    while clips
        .files("out")
        .iter()
        .filter(|name| name.ends_with("manifest.json"))
        .count()
        < 3
    {
        assert!(since.elapsed() < Duration::from_secs(60), "no outputs");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    run.fails(
        130,
        &["error: cancelled, with ", "of 16 videos left", "--skip-existing"],
    );
    let first = clips.files("out");
    assert!(
        first.len().is_multiple_of(4) && first.iter().all(|name| !name.contains("partial")),
        "{first:?}"
    );
    assert!((3..16).contains(&(first.len() / 4)), "{first:?}");
    let run = clips.place.run(&extract);
    run.fails(
        0,
        &[
            &format!("skipped  {}", first.len() / 4),
            &format!("done     {}", 16 - first.len() / 4),
        ],
    );
    assert_eq!(clips.files("out").len(), 64);
}
