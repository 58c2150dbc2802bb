//! Audio stays in sync, measured by the onsets of short tones in the decoded audio.

use std::path::Path;
use std::process::Command;

use crate::corpus::cache;
use crate::{compress, make, probe, run};

const RATE: usize = 48_000;
/// Number of samples per AAC frame.
const FRAME: usize = 1024;

/// Returns the onsets of tones, in samples from time 0.
fn onsets(file: &Path) -> Vec<usize> {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-v", "error", "-nostdin", "-copyts", "-i"])
        .arg(file);
    command.args([
        "-map",
        "0:a:0",
        "-af",
        "aresample=48000:async=1:min_hard_comp=0.01:first_pts=0",
    ]);
    command.args(["-ac", "1", "-f", "s16le", "-"]);
    let pcm = cache::run(&mut command, &[]).unwrap().stdout;
    let samples: Vec<i16> = pcm
        .chunks_exact(2)
        .map(|s| i16::from_le_bytes([s[0], s[1]]))
        .collect();
    let mut onsets = Vec::new();
    let mut from = 0;
    while let Some(at) = samples[from.min(samples.len())..]
        .iter()
        .position(|s| s.unsigned_abs() > 3000)
    {
        onsets.push(from + at);
        from += at + RATE / 2;
    }
    onsets
}

/// A tone of 50 ms per second, starting at 0.3 s.
const TONES: &str = "-f lavfi -i aevalsrc=if(lt(mod(t-0.3\\,1)\\,0.05)\\,sin(2*PI*1000*t)\\,0):s=44100:d=5";
const VIDEO: &str = "-f lavfi -i testsrc2=d=5:s=160x96:r=30 -c:v libx264 -preset veryfast -crf 10";

#[test]
fn audio_stays_in_sync() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    make(&format!("{TONES} {VIDEO} -c:a aac -b:a 192k"), &path("plain.mp4"));
    make(&format!("{TONES} {VIDEO} -c:a libmp3lame"), &path("other.mkv"));
    make(
        &format!("{TONES} {VIDEO} -c:a aac -output_ts_offset 3.4"),
        &path("offset.ts"),
    );
    let plain = path("plain.mp4").display().to_string();
    make(&format!("-ss 1.51 -i {plain} -c copy"), &path("edit.mp4"));
    let delayed = format!("-itsoffset 0.7 -i {plain} -i {plain} -map 0:v -map 1:a -c copy");
    make(&delayed, &path("delay.mp4"));
    // A gap of 90 ms, the duration of two video frames.
    let gap = "-af asetnsamples=441,asetpts=PTS+gte(T\\,2)*0.09/TB -c:a pcm_s16le";
    make(&format!("{TONES} {VIDEO} {gap}"), &path("gap.mkv"));
    for ffmpeg in crate::all_ffmpegs() {
        for name in [
            "plain.mp4",
            "other.mkv",
            "offset.ts",
            "edit.mp4",
            "delay.mp4",
            "gap.mkv",
        ] {
            let wanted = onsets(&path(name));
            assert!(wanted.len() >= 3, "{name}: {wanted:?}");
            for (args, out) in [
                (&[][..], "out.mp4"),
                (&["--audio", "copy"], "copy.mp4"),
                (&[], "out.webm"),
            ] {
                if name == "gap.mkv" && out == "copy.mp4" {
                    continue;
                }
                let args = [&["-q", "20"], args].concat();
                compress(&path(name), &args, &path(out), ffmpeg.as_deref()).unwrap();
                let found = onsets(&path(out));
                let near = |(a, b): (&usize, &usize)| a.abs_diff(*b) <= FRAME * RATE / 44_100;
                assert!(
                    found.len() == wanted.len() && found.iter().zip(&wanted).all(near),
                    "{name} {args:?} {out}: {found:?} and not {wanted:?}"
                );
            }
        }
    }
}

#[test]
fn audio_is_encoded_copied_or_omitted() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let two = "-map 0:a -map 1:v -map 0:a -metadata:s:a:0 language=ger -metadata:s:a:1 language=por";
    make(
        &format!("{TONES} {VIDEO} {two} -c:a:0 aac -b:a:0 400k -c:a:1 flac"),
        &path("two.mkv"),
    );
    let tracks = |out: &str| {
        let streams = probe(
            "-select_streams a -show_entries stream=codec_name:stream_tags=language",
            &path(out),
        );
        let streams = streams["streams"].as_array().unwrap().clone();
        let text = |v: &serde_json::Value| v.as_str().unwrap_or("?").to_owned();
        let track = |s: &serde_json::Value| (text(&s["codec_name"]), text(&s["tags"]["language"]));
        streams.iter().map(track).collect::<Vec<_>>()
    };
    let named = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    };
    for (args, out, wanted) in [
        (
            &["--audio", "aac"][..],
            "a.mp4",
            &[("aac", "ger"), ("aac", "por")][..],
        ),
        (&["--audio", "copy"], "b.mp4", &[("aac", "ger"), ("flac", "por")]),
        (&["--audio", "none"], "c.mp4", &[]),
        (&[], "d.webm", &[("opus", "ger"), ("opus", "por")]),
    ] {
        compress(
            &path("two.mkv"),
            &[&["-q", "20"], args].concat(),
            &path(out),
            None,
        )
        .unwrap();
        assert_eq!(tracks(out), named(wanted), "{out}");
    }
    let refused = run(&path("two.mkv"), &["--audio", "copy"], &path("e.webm"), None);
    let printed = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(13), "{printed}");
    assert!(
        printed.contains("the audio is aac, which webm does not support"),
        "{printed}"
    );
}

/// Generates a video with stereo audio at 48 kHz that pauses for the given number of seconds.
fn pausing(seconds: u32, out: &Path) {
    let length = seconds + 10;
    let video = format!("-f lavfi -i testsrc2=d={length}:s=64x64:r=1");
    let tone = "-f lavfi -i sine=f=1000:b=1:d=6:r=48000 -ac 2";
    let pause = format!("-af asetnsamples=480,asetpts=PTS+gte(T\\,2)*{seconds}/TB -c:a pcm_s16le");
    make(
        &format!("{video} {tone} -c:v libx264 -preset veryfast -crf 10 {pause}"),
        out,
    );
}

#[test]
fn pauses_are_filled_and_too_long_pauses_are_reported() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    pausing(600, &path("long.mkv"));
    pausing(800, &path("longer.mkv"));
    for ffmpeg in crate::all_ffmpegs() {
        let ffmpeg = ffmpeg.as_deref();
        let out = path("out.mp4");
        compress(&path("long.mkv"), &[], &out, ffmpeg).unwrap();
        let entries = "-select_streams a -count_packets -show_entries stream=duration,nb_read_packets";
        let audio = probe(entries, &out)["streams"][0].clone();
        let number = |name: &str| audio[name].as_str().unwrap().parse::<f64>().unwrap();
        assert!((605.9..606.1).contains(&number("duration")), "{audio}");
        // Packets are consecutive, without gaps.
        let packets = 606.0 * 48_000.0 / 1024.0;
        assert!((number("nb_read_packets") - packets).abs() < 5.0, "{audio}");

        let out = path("longer.mp4");
        let refused = run(&path("longer.mkv"), &[], &out, ffmpeg);
        let printed = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(13), "{printed}");
        assert!(
            printed.contains("pauses for more than 699 s") && printed.contains("--audio"),
            "{printed}"
        );
        assert!(!out.exists());
        compress(&path("longer.mkv"), &["--audio", "none"], &out, ffmpeg).unwrap();
        std::fs::remove_file(out).unwrap();
    }
}

#[test]
fn the_first_two_channels_of_an_unknown_layout_are_kept() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let silence = "-guess_layout_max 0 -f s16le -ar 48000 -ac 10 -t 2 -i /dev/zero";
    make(&format!("{silence} {VIDEO} -c:a copy"), &path("ten.mov"));
    for ffmpeg in crate::all_ffmpegs() {
        for out in ["out.mp4", "out.webm"] {
            let made = compress(&path("ten.mov"), &["-q", "20"], &path(out), ffmpeg.as_deref()).unwrap();
            assert!(
                made["warnings"][0].as_str().unwrap().contains("the first two"),
                "{made}"
            );
            let heard = probe("-select_streams a -show_entries stream=channels", &path(out));
            assert_eq!(heard["streams"][0]["channels"], 2);
        }
    }
}
