//! Pictures that exceed the limit on pixels, from the start or in mid-stream.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{ffmpeg, ffmpegs, vf};

const LIMIT_EXCEEDED: i32 = 8;

fn fails(command: &mut Command, expected: &str) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(LIMIT_EXCEEDED) && stderr.contains(expected),
        "{:?} {stderr}",
        output.status
    );
}

/// Generates a video of JPEGs whose size increases.
fn growing(folder: &Path, width: u32) -> std::path::PathBuf {
    let of = |name: &str, size: &str| {
        let path = folder.join(name);
        let source = format!("testsrc2=s={size}:r=10:d=1");
        ffmpeg(
            &[
                "-f", "lavfi", "-i", &source, "-pix_fmt", "yuvj420p", "-c:v", "mjpeg", "-f", "mjpeg",
            ],
            &path,
        );
        fs::read(path).unwrap()
    };
    let all = [
        of("small.jpgs", "320x240"),
        of("large.jpgs", &format!("{width}x{width}")),
    ]
    .concat();
    let joined = folder.join("joined.jpgs");
    fs::write(&joined, all).unwrap();
    let path = folder.join("growing.mkv");
    ffmpeg(
        &[
            "-f",
            "mjpeg",
            "-r",
            "10",
            "-i",
            joined.to_str().unwrap(),
            "-c",
            "copy",
        ],
        &path,
    );
    path
}

#[test]
fn a_video_that_exceeds_the_limit_in_mid_stream_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let video = growing(folder.path(), 1000);
    for ffmpeg in ffmpegs() {
        let run = |what: &[&str]| {
            let mut command = vf();
            command
                .args(what)
                .arg(&video)
                .arg("--ffmpeg")
                .arg(&ffmpeg)
                .arg("-y");
            command
        };
        let zip = folder.path().join("out.zip");
        let extract = [
            "extract",
            "--all",
            "--max-pixels",
            "100000",
            "-o",
            zip.to_str().unwrap(),
        ];
        fails(&mut run(&extract), "grow beyond");
        let mp4 = folder.path().join("out.mp4");
        let compress = ["compress", "--max-pixels", "100000", "-o", mp4.to_str().unwrap()];
        fails(&mut run(&compress), "grow beyond");
        let all = [
            "extract",
            "--all",
            "--max-pixels",
            "1000000",
            "-o",
            zip.to_str().unwrap(),
        ];
        let output = run(&all).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn oversized_pictures_exceed_the_limit_in_every_container() {
    let folder = tempfile::tempdir().unwrap();
    for (name, codec) in [
        ("a.mov", "mjpeg"),
        ("a.ts", "mpeg2video"),
        ("a.mkv", "libx264"),
        ("a.gif", "gif"),
    ] {
        let video = folder.path().join(name);
        ffmpeg(
            &["-f", "lavfi", "-i", "testsrc2=s=640x360:r=10:d=1", "-c:v", codec],
            &video,
        );
        let mut command = vf();
        command.args(["extract", "--max-pixels", "100000", "-o"]);
        fails(command.arg(folder.path().join("out.zip")).arg(&video), "pixels");
    }
}

#[test]
fn a_sample_aspect_ratio_can_exceed_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("wide.mp4");
    let source = ["-f", "lavfi", "-i", "testsrc2=s=640x640:r=10:d=1,setsar=16"];
    ffmpeg(&[&source[..], &["-pix_fmt", "yuv420p"]].concat(), &video);
    let mut command = vf();
    command.args(["extract", "--max-pixels", "1000000", "-f", "png", "-o"]);
    fails(
        command.arg(folder.path().join("out.zip")).arg(&video),
        "10240×640",
    );
}
