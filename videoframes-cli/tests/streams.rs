//! Files with several video streams: the default stream, and the choice of another stream.
//!
//! Set `VF_TEST_FFMPEG` to run everything with a second ffmpeg as well.
#![allow(clippy::unwrap_used)]

mod corpus;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use corpus::{cache, vf};
use serde_json::Value;

/// Sizes of the two streams, which identify their pictures.
const FIRST: [u32; 2] = [320, 180];
const SECOND: [u32; 2] = [160, 120];

fn all_ffmpegs() -> Vec<Option<PathBuf>> {
    let other = vf::other_ffmpeg();
    std::iter::once(None).chain(other.map(Some)).collect()
}

/// Generates a file with two video streams, of which the second is the default stream.
fn make(options: &str, out: &Path) {
    let mut command = Command::new(cache::encoder());
    command.args(["-v", "error", "-y"]);
    for size in [FIRST, SECOND] {
        let source = format!("testsrc2=s={}x{}:r=30:d=3", size[0], size[1]);
        command.args(["-f", "lavfi", "-i", &source]);
    }
    command.args("-map 0 -map 1 -c:v libx264 -pix_fmt yuv420p -g 30 -crf 30".split_whitespace());
    command.args(options.split_whitespace()).arg(out);
    cache::run(&mut command, &[]).unwrap();
}

fn run(args: &[&str], file: &Path, more: &[&str], ffmpeg: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
    command.args(args).arg(file).args(more);
    if let Some(ffmpeg) = ffmpeg {
        command.arg("--ffmpeg").arg(ffmpeg);
    }
    command.output().unwrap()
}

fn json(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns the bytes of the extracted pictures, and their size.
fn pictures(clip: &Path, args: &[&str], ffmpeg: Option<&Path>) -> (Vec<Vec<u8>>, [u32; 2]) {
    let archive = vf::extract(clip, args, ffmpeg).unwrap();
    let first = archive.pictures[0].decode().unwrap();
    let bytes = archive.pictures.iter().map(|picture| picture.bytes.clone());
    (bytes.collect(), [first.width(), first.height()])
}

#[test]
fn a_disabled_track_is_used_only_on_request() {
    let place = tempfile::tempdir().unwrap();
    let clip = place.path().join("disabled.mp4");
    make("-disposition:v:0 0 -disposition:v:1 default", &clip);
    // Clears the flag 'enabled', which muxers set differently.
    let mut bytes = std::fs::read(&clip).unwrap();
    let header = bytes.windows(4).position(|kind| kind == b"tkhd").unwrap();
    bytes[header + 7] &= !1;
    std::fs::write(&clip, bytes).unwrap();
    let probed = json(&run(&["probe", "--json"], &clip, &[], None));
    let flags =
        ["disabled", "default"].map(|flag| [0, 1].map(|stream| probed["streams"][stream][flag].clone()));
    assert_eq!(
        flags,
        [[true, false], [false, true]].map(|flag| flag.map(Value::from))
    );
    for ffmpeg in all_ffmpegs() {
        let ffmpeg = ffmpeg.as_deref();
        for (choice, size) in [
            (&[][..], SECOND),
            (&["--stream", "1"], SECOND),
            (&["--stream", "0"], FIRST),
            (&["--stream", "0x1"], FIRST),
        ] {
            let taken = |strategy| {
                let args = [&["--fps", "2", "--strategy", strategy], choice].concat();
                pictures(&clip, &args, ffmpeg)
            };
            let plain = taken("plain");
            assert_eq!(plain.1, size, "{choice:?}");
            assert!(plain == taken("planned"), "{choice:?}: strategies differ");
        }
    }
}

#[test]
fn streams_are_listed_with_the_used_stream() {
    let place = tempfile::tempdir().unwrap();
    for name in ["two.mp4", "two.mkv", "two.ts"] {
        let clip = place.path().join(name);
        let dispositions = "-disposition:v:0 0 -disposition:v:1 default";
        make(if name == "two.ts" { "" } else { dispositions }, &clip);
        // A transport stream does not mark a default stream.
        let shown = u64::from(name != "two.ts");
        for ffmpeg in all_ffmpegs() {
            lists_and_names(&clip, name, shown, ffmpeg.as_deref());
        }
    }
}

fn lists_and_names(clip: &Path, name: &str, shown: u64, ffmpeg: Option<&Path>) {
    let place = tempfile::tempdir().unwrap();
    let probed = json(&run(&["probe", "--json"], clip, &[], ffmpeg));
    assert_eq!(probed["stream"], shown, "{name}");
    let streams = probed["streams"].as_array().unwrap();
    let sizes = streams
        .iter()
        .map(|s| [&s["width"], &s["height"]].map(|n| n.as_u64().unwrap()));
    assert_eq!(
        sizes.collect::<Vec<_>>(),
        [FIRST, SECOND].map(|size| size.map(u64::from)),
        "{name}"
    );
    assert_eq!(streams[1]["default"], name != "two.ts", "{name}");
    for (choice, used) in [(None, shown), (Some("0"), 0), (Some("1"), 1)] {
        let out = place.path().join("out.zip");
        let out = ["-y", "-o", out.to_str().unwrap(), "-n", "2"];
        let choice: Vec<&str> = choice
            .map(|choice| ["--stream", choice])
            .into_iter()
            .flatten()
            .collect();
        let args = [&out[..], &choice].concat();
        let printed = run(&["extract"], clip, &args, ffmpeg);
        let printed = (
            printed.status.success(),
            String::from_utf8(printed.stderr).unwrap(),
        );
        let note = format!("stream {used} (");
        assert_eq!(
            printed.1.contains(&note),
            choice.is_empty(),
            "{name}: {}",
            printed.1
        );
        assert!(printed.0, "{name}: {}", printed.1);
    }
}

#[test]
fn a_chosen_stream_is_compressed() {
    let place = tempfile::tempdir().unwrap();
    let clip = place.path().join("two.mkv");
    make("-disposition:v:0 default", &clip);
    let out = place.path().join("out.mp4");
    for ffmpeg in all_ffmpegs() {
        for (choice, height) in [(&[][..], 180), (&["--stream", "1"], 120)] {
            let args = [&["--json", "-y", "-q", "40", "-o", out.to_str().unwrap()], choice].concat();
            let result = json(&run(&["compress"], &clip, &args, ffmpeg.as_deref()));
            assert_eq!(
                (&result["height"], &result["frames"]),
                (&height.into(), &90.into())
            );
        }
    }
}

#[test]
fn a_missing_stream_is_a_one_line_error() {
    let place = tempfile::tempdir().unwrap();
    let clip = place.path().join("two.mp4");
    make("", &clip);
    for (choice, code) in [("7", 5), ("0x99", 5), ("first", 2)] {
        let out = place.path().join("out.zip");
        let output = run(
            &["extract"],
            &clip,
            &["--stream", choice, "-o", out.to_str().unwrap()],
            None,
        );
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{choice}: {stderr}");
        assert!(
            stderr.starts_with("error: ") && !out.exists(),
            "{choice}: {stderr}"
        );
    }
}
