//! Times relative to the end, shortened ranges, repeated frames.

use serde_json::Value;

use crate::Place;

/// Returns the times of the pictures, and the warnings.
fn extracted(place: &Place, args: &[&str]) -> (Vec<f64>, Vec<String>) {
    let args = [&["extract", "video.mp4", "-y", "-o", "out/", "--json"], args].concat();
    let run = place.run(&args);
    let result = run.json();
    let warnings: Vec<String> = serde_json::from_value(result["warnings"].clone()).unwrap();
    for warning in &warnings {
        assert!(
            run.stderr.contains(&format!("warning: {warning}")),
            "{}",
            run.stderr
        );
    }
    let manifest = std::fs::read(place.path("out/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let frames = manifest["frames"].as_array().unwrap();
    let times = frames
        .iter()
        .map(|frame| frame["timestamp_s"].as_f64().unwrap())
        .collect();
    (times, warnings)
}

#[test]
fn negative_times_count_from_the_end() {
    let place = Place::new();
    for (args, times) in [
        (&["--at", "-1"][..], &[4.0][..]),
        (&["--at=-1s,1, -20%"], &[1.0, 4.0, 4.0]),
        (&["--at", "1, 2"], &[1.0, 2.0]),
        (&["-s", "-2s"], &[3.0, 4.0]),
        (&["-s", "-3", "-e", "-1"], &[2.0, 3.0]),
        (&["--start=-00:00:02", "-t", "1"], &[3.0]),
    ] {
        assert_eq!(extracted(&place, args), (times.to_vec(), Vec::new()), "{args:?}");
    }
}

#[test]
fn a_range_beyond_the_video_is_shortened_with_a_warning() {
    let place = Place::new();
    for (args, pictures, words) in [
        (
            &["-e", "99"][..],
            5,
            "ends at 99 s, beyond the end of the video; clamped to 5 s",
        ),
        (&["-s", "3", "-t", "10"], 2, "ends at 13 s, beyond the end"),
        (&["-s", "-1h"], 5, "starts before the video, which is 5 s long"),
        (&["-n", "1000"], 1000, "875 of 1000 pictures repeat the frame"),
        (&["--fps", "50"], 250, "125 of 250 pictures repeat the frame"),
    ] {
        let (times, warnings) = extracted(&place, args);
        assert_eq!(times.len(), pictures, "{args:?}");
        assert!(
            warnings.len() == 1 && warnings[0].contains(words),
            "{args:?}: {warnings:?}"
        );
    }
    let plan = place.run(&["plan", "video.mp4", "-e", "99", "--json"]).json();
    assert!(
        plan["warnings"][0].as_str().unwrap().contains("beyond the end"),
        "{plan}"
    );
}

#[test]
fn a_grid_far_finer_than_the_frames_is_rejected_before_decoding() {
    let place = Place::new();
    // 100,000 pictures from 125 frames.
    let args = [
        "extract",
        "video.mp4",
        "--fps",
        "20000",
        "-W",
        "16",
        "-o",
        "out.zip",
    ];
    place
        .run(&args)
        .fails(8, &["requests 100000 pictures from 125 frames", "--max-frames"]);
    let every = ["extract", "video.mp4", "--every", "1/20000", "-o", "out.zip"];
    place.run(&every).fails(8, &["requests 100000 pictures"]);
    assert_eq!(place.made(), Vec::<String>::new());
    let allowed = place.run(&[&args[..], &["--max-frames", "200000", "--dry-run", "--json"]].concat());
    assert_eq!(allowed.json()["pictures"], 100_000);
}

#[test]
fn keyframes_are_the_same_in_every_container_and_with_every_strategy() {
    let place = Place::new();
    let ffmpeg = |from: &str, args: &[&str], to: &str| {
        let mut command = std::process::Command::new("ffmpeg");
        command
            .args(["-nostdin", "-v", "error", "-i"])
            .arg(place.path(from));
        let status = command.args(args).arg(place.path(to)).status().unwrap();
        assert!(status.success(), "{to}");
    };
    let group = ["-g", "30", "-keyint_min", "30", "-sc_threshold", "0", "-bf", "2"];
    ffmpeg(
        "video.mp4",
        &[&["-c:v", "libx264"], &group[..]].concat(),
        "group.mp4",
    );
    ffmpeg("group.mp4", &["-c", "copy"], "group.mkv");
    ffmpeg("group.mp4", &["-c", "copy"], "group.ts");
    ffmpeg(
        "video.mp4",
        &[&["-c:v", "mpeg4"], &group[..]].concat(),
        "group.avi",
    );
    for (file, strategy) in [
        ("group.mp4", "planned"),
        ("group.mp4", "plain"),
        ("group.mkv", "planned"),
        ("group.mkv", "plain"),
        ("group.ts", "planned"),
        ("group.ts", "plain"),
        ("group.avi", "plain"),
    ] {
        let args = [
            "extract",
            file,
            "--keyframes",
            "--strategy",
            strategy,
            "-y",
            "-o",
            "out/",
        ];
        let run = place.run(&args);
        assert_eq!(run.code, Some(0), "{file}: {}", run.stderr);
        let manifest = std::fs::read(place.path("out/manifest.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let frames = manifest["frames"].as_array().unwrap();
        let numbers: Vec<u64> = frames
            .iter()
            .map(|frame| frame["frame"].as_u64().unwrap())
            .collect();
        assert_eq!(numbers, [0, 30, 60, 90, 120], "{file}, {strategy}");
    }
    let none = place.run(&[
        "extract",
        "group.mp4",
        "--keyframes",
        "-s",
        "0.1",
        "-t",
        "0.2",
        "-o",
        "none/",
    ]);
    assert_eq!(none.code, Some(0), "{}", none.stderr);
    assert!(
        none.stderr.contains("no frame of the selection"),
        "{}",
        none.stderr
    );
}

#[test]
fn frames_are_selected_by_number_and_at_random() {
    let place = Place::new();
    let numbers = |args: &[&str]| {
        let args = [
            &[
                "extract",
                "video.mp4",
                "--name",
                "{frame:04}-{index}",
                "-y",
                "-o",
                "out/",
            ],
            args,
        ]
        .concat();
        let run = place.run(&args);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let mut names: Vec<String> = std::fs::read_dir(place.path("out"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".jpg"))
            .collect();
        names.sort();
        names
            .iter()
            .map(|name| name[..4].parse().unwrap())
            .collect::<Vec<u32>>()
    };
    assert_eq!(numbers(&["--frames", "100,0, 7"]), [0, 7, 100]);
    assert_eq!(numbers(&["--every-nth", "50"]), [0, 50, 100]);
    let random = numbers(&["--random", "9", "--seed", "4"]);
    assert_eq!(
        (random.len(), &random),
        (9, &numbers(&["--random", "9", "--seed", "4"]))
    );
    assert_ne!(random, numbers(&["--random", "9"]));
    for (args, code, words) in [
        (
            &["--frames", "125"][..],
            2,
            "has no frame 125: the last frame is 124",
        ),
        (
            &["--random", "126"],
            2,
            "requests 126 different frames, but the range has 125",
        ),
        (&["--frames", "1", "-s", "1"], 2, "cannot be used with"),
        (&["--seed", "1"], 2, "--random"),
    ] {
        let run = place.run(&[&["extract", "video.mp4", "-y", "-o", "out/"], args].concat());
        assert_eq!(run.code, Some(code), "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(words), "{args:?}: {}", run.stderr);
    }
}
