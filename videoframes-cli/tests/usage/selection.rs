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
