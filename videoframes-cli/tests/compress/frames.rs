//! Outputs have the same frames at the same times, for every clip of the corpus.

use std::path::Path;

use serde_json::Value;

use crate::corpus::clips::Clip;
use crate::corpus::rational::Q;
use crate::corpus::runner;
use crate::corpus::truth::Truth;
use crate::corpus::vf;
use crate::{compress, make, probe};

/// Compares an output with the truth about its source. Times may be rounded to `rounding` seconds.
fn check(result: &Value, out: &Path, truth: &Truth, rounding: Q) -> Result<(), String> {
    let (width, height) = (&result["width"], &result["height"]);
    let (Some(width), Some(height)) = (width.as_u64(), height.as_u64()) else {
        return Err("no size".to_owned());
    };
    let shown = Truth::of(out, (width as usize, height as usize))?;
    let numbers = |truth: &Truth| truth.frames.iter().map(|f| f.number).collect::<Vec<_>>();
    if numbers(&shown) != numbers(truth) {
        let (shown, wanted) = (numbers(&shown), numbers(truth));
        return Err(format!("shows {shown:?}\n    instead of {wanted:?}"));
    }
    for (shown, wanted) in shown.frames.iter().zip(&truth.frames) {
        if shown.pts.distance(wanted.pts) > rounding {
            let (number, at, wanted) = (wanted.number, shown.pts, wanted.pts);
            return Err(format!("frame {number} is at {at} and not at {wanted}"));
        }
    }
    match result["frames"] == truth.frames.len() {
        true => Ok(()),
        false => Err("another number of frames".to_owned()),
    }
}

/// Returns the errors in the outputs for a clip, one output per set of options.
fn failures(clip: &Clip, cases: &[(&[&str], &str)], ffmpeg: Option<&Path>) -> Vec<String> {
    let (path, truth) = match clip.ready() {
        Ok(ready) => ready,
        Err(e) => return vec![format!("cannot make {e}")],
    };
    let place = tempfile::tempdir().unwrap();
    let failure = |(args, name): &(&[&str], &str)| {
        let out = place.path().join(name);
        let rounding = match name.ends_with(".webm") {
            true => Q::new(1, 1000),
            false => Q::ZERO,
        };
        let checked = compress(&path, args, &out, ffmpeg).and_then(|result| {
            check(&result, &out, &truth, rounding).map_err(|e| format!("{e}\n    {result}"))
        });
        checked
            .err()
            .map(|e| format!("{} {}: {e}", clip.name, args.join(" ")))
    };
    cases.iter().filter_map(failure).collect()
}

/// A quality low enough to make these clips smaller, and a quality too high for that.
const CASES: [(&[&str], &str); 2] = [(&["-q", "20"], "low.mp4"), (&["-q", "100"], "high.mp4")];

#[test]
fn outputs_have_the_same_frames_at_the_same_times() {
    runner::run(|_| true, |clip| failures(clip, &CASES, None));
}

#[test]
fn outputs_have_the_same_frames_with_another_ffmpeg() {
    if let Some(ffmpeg) = vf::other_ffmpeg() {
        runner::run(|_| true, |clip| failures(clip, &CASES, Some(&ffmpeg)));
    }
}

#[test]
fn every_codec_and_container_keeps_the_frames() {
    let cases: [(&[&str], &str); 4] = [
        (&["-q", "20", "--codec", "hevc"], "hevc.mp4"),
        (&["-q", "20", "--codec", "av1"], "av1.mp4"),
        (&["-q", "20"], "vp9.webm"),
        (&["--max-size", "9kB", "--audio", "none"], "small.mp4"),
    ];
    let clips = [
        "vfr_stamped.mp4",
        "edit_list_between_frames.mp4",
        "offset.ts",
        "rotated_90.mp4",
    ];
    for ffmpeg in crate::all_ffmpegs() {
        let chosen = |clip: &Clip| clips.contains(&clip.name);
        runner::run(chosen, |clip| failures(clip, &cases, ffmpeg.as_deref()));
    }
}

#[test]
fn a_source_that_starts_before_zero_keeps_all_frames_and_audio() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    // Timestamps of 33 bits wrap after 95,443.7 s: the demuxer interprets these as negative timestamps.
    make(
        "-f lavfi -i testsrc2=s=320x180:r=30:d=5 -f lavfi -i sine=d=5 -c:v libx264 -g 30 -bf 2 -crf 30 -c:a aac \
         -pix_fmt yuv420p -output_ts_offset 95442",
        &path("wrap.ts"),
    );
    let times = |file: &Path| {
        let packets = probe("-select_streams v -show_entries packet=pts_time", file);
        let packets = packets["packets"].as_array().unwrap().clone();
        let seconds =
            |packet: &serde_json::Value| packet["pts_time"].as_str().unwrap().parse::<f64>().unwrap();
        let mut times: Vec<f64> = packets.iter().map(seconds).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let source = times(&path("wrap.ts"));
    assert!(source[0] < 0.0, "{source:?}");
    for ffmpeg in crate::all_ffmpegs() {
        for (args, name) in [
            (&["-q", "40"][..], "encoded.mp4"),
            (&["-q", "100"], "remuxed.mp4"),
            (&["-q", "40"], "encoded.webm"),
        ] {
            let out = path(name);
            let result = compress(&path("wrap.ts"), args, &out, ffmpeg.as_deref()).unwrap();
            assert_eq!(result["frames"], 150, "{name}: {result}");
            let written = times(&out);
            assert_eq!(written.len(), 150, "{name}");
            for (wanted, found) in source.iter().zip(&written) {
                let late = (found - written[0]) - (wanted - source[0]);
                assert!(late.abs() <= 0.001, "{name}: {found} for {wanted}");
            }
            let start = |streams: &str| {
                let streams = probe(
                    &format!("-select_streams {streams} -show_entries stream=start_time"),
                    &out,
                );
                streams["streams"][0]["start_time"]
                    .as_str()
                    .unwrap()
                    .parse::<f64>()
                    .unwrap()
            };
            let lead = start("a") - start("v");
            assert!(
                lead.abs() < 0.1,
                "{name}: the audio starts {lead} s after the first frame"
            );
        }
    }
}

/// Asserts that an output and its reported duration end after the given number of seconds.
fn assert_ends(result: &Value, out: &Path, seconds: f64) {
    let format = probe("-show_entries format=duration", out);
    let played: f64 = format["format"]["duration"].as_str().unwrap().parse().unwrap();
    assert!((played - seconds).abs() < 0.002, "{}: {played}", out.display());
    let printed = result["duration_s"].as_f64().unwrap();
    assert!((printed - seconds).abs() < 0.002, "{}: {printed}", out.display());
}

#[test]
fn the_last_frame_is_displayed_as_long_as_in_the_source() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let gaps = |name: &str, times: &str| {
        let stored = path(&format!("{name}.mkv"));
        make(
            &format!(
                "-f lavfi -i testsrc2=s=320x180:r=30:d=1 -vf setpts='{times}/TB' -fps_mode passthrough -c:v libx264 \
                 -enc_time_base 1:90000 -g 5 -crf 40 -pix_fmt yuv420p"
            ),
            &stored,
        );
        make(
            &format!("-i {} -c copy", stored.display()),
            &path(&format!("{name}.mp4")),
        );
    };
    gaps("twice", "if(lt(N,10),N/30,if(lt(N,20),60+N/30,180+N/30))");
    gaps("late", "if(lt(N,29),N/30,120+N/30)");
    make(
        "-f lavfi -i testsrc2=s=320x180:r=10:d=1 -final_delay 500",
        &path("long.gif"),
    );
    for ffmpeg in crate::all_ffmpegs() {
        for (source, seconds) in [
            ("twice.mkv", 181.0),
            ("twice.mp4", 181.0),
            ("late.mkv", 121.0),
            ("late.mp4", 121.0),
            ("long.gif", 5.9),
        ] {
            for (args, out) in [
                (&["-q", "40"][..], "encoded.mp4"),
                (&["-q", "40"], "encoded.webm"),
            ] {
                let out = path(out);
                let result = compress(&path(source), args, &out, ffmpeg.as_deref()).unwrap();
                assert_eq!(result["origin"], "encoded", "{source}: {result}");
                assert_ends(&result, &out, seconds);
            }
        }
        for (source, args, seconds, origin) in [
            ("twice.mp4", ["-q", "100"], 181.0, "remuxed"),
            ("late.mkv", ["-q", "100"], 121.0, "remuxed"),
            ("long.gif", ["--max-size", "60kB"], 5.9, "encoded"),
        ] {
            let out = path("other.mp4");
            let result = compress(&path(source), &args, &out, ffmpeg.as_deref()).unwrap();
            assert_eq!(result["origin"], origin, "{source}: {result}");
            assert_ends(&result, &out, seconds);
        }
    }
}

#[test]
fn any_number_of_frames_may_have_the_same_time() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let plain = path("plain.mkv");
    make(
        "-f lavfi -i testsrc2=s=160x96:r=10:d=120 -c:v libx264 -bf 0 -crf 20",
        &plain,
    );
    let plain = plain.display();
    let pairs = "-c copy -bsf:v setts=ts=TS-100*mod(N\\,2)";
    make(&format!("-t 30 -i {plain} {pairs}"), &path("some.mkv"));
    make(&format!("-i {plain} {pairs}"), &path("many.mkv"));
    for ffmpeg in crate::all_ffmpegs() {
        let ffmpeg = ffmpeg.as_deref();
        let args = ["-q", "95", "--measure"];
        let some = compress(&path("some.mkv"), &args, &path("out.mp4"), ffmpeg).unwrap();
        assert_eq!(
            (&some["frames"], &some["origin"]),
            (&150.into(), &"encoded".into()),
            "{some}"
        );
        assert!(some["ssim"].as_f64().unwrap() > 0.99, "{some}");
        let many = compress(&path("many.mkv"), &["-q", "20"], &path("out.mp4"), ffmpeg).unwrap();
        assert_eq!(many["frames"], 600);
        assert!(
            many["warnings"][0]
                .as_str()
                .unwrap()
                .contains("repeat a timestamp"),
            "{many}"
        );
    }
}

#[test]
fn timestamps_that_jump_back_and_repeat_are_no_error() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let part = |rate: u32, offset: &str, name: &str| {
        let source = format!("-f lavfi -i testsrc2=s=160x96:r={rate}:d=2 -c:v libx264 -bf 0 -crf 8");
        let restart = format!("-output_ts_offset {offset} -mpegts_flags +initial_discontinuity");
        make(&format!("{source} {restart}"), &path(name));
        std::fs::read(path(name)).unwrap()
    };
    let both = [part(10, "1", "first.ts"), part(20, "2.45", "second.ts")].concat();
    std::fs::write(path("both.ts"), both).unwrap();
    for ffmpeg in crate::all_ffmpegs() {
        let made = compress(
            &path("both.ts"),
            &["-q", "20"],
            &path("out.mp4"),
            ffmpeg.as_deref(),
        );
        assert_eq!(made.unwrap()["origin"], "encoded");
    }
}
