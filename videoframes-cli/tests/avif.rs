//! AVIF pictures: their frames, their bytes, and an ffmpeg without an encoder. Set `VF_TEST_FFMPEG` to check a second ffmpeg as
//! well. `colour.rs` tests their colours.
#![allow(clippy::unwrap_used)]

mod corpus;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use corpus::clips::Clip;
use corpus::{barcode, runner, vf};

fn check(clip: &Clip, ffmpeg: Option<&Path>) -> Result<(), String> {
    let (path, truth) = clip.ready()?;
    let extract = |args: &[&str]| vf::extract(&path, &[&["-f", "avif"], args].concat(), ffmpeg);
    let numbers = "7,8,20,33,34";
    let planned = extract(&["--frames", numbers, "--strategy", "planned", "-j", "2"])?;
    let plain = extract(&["--frames", numbers, "--strategy", "plain"])?;
    let alone = extract(&["--frames", "33"])?;
    for (index, picture) in plain.pictures.iter().enumerate() {
        if picture.bytes != planned.pictures[index].bytes {
            return Err(format!("{} depends on the strategy", picture.name));
        }
        let luma = picture.decode()?.to_luma8();
        let size = (luma.width() as usize, luma.height() as usize);
        let shown = barcode::read(luma.as_raw(), size.0, size.1)?;
        let frame = plain.manifest["frames"][index]["frame"].as_u64().unwrap() as usize;
        if size != clip.shown || shown != truth.frames[frame].number {
            return Err(format!("{} of {size:?} shows frame {shown}", picture.name));
        }
    }
    match plain.pictures[3].bytes == alone.pictures[0].bytes {
        true => Ok(()),
        false => Err("a picture depends on the pictures before".to_owned()),
    }
}

#[test]
fn pictures_show_their_frames_and_have_the_same_bytes_in_every_strategy() {
    let clips = ["b_pyramid.mp4", "odd.mp4"];
    let other = vf::other_ffmpeg();
    runner::run(
        |clip| clips.contains(&clip.name),
        |clip| {
            let ffmpegs = [None].into_iter().chain(other.as_deref().map(Some));
            let failures = ffmpegs.filter_map(|ffmpeg| check(clip, ffmpeg).err());
            failures.map(|error| format!("{}: {error}", clip.name)).collect()
        },
    );
}

#[test]
fn a_missing_encoder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let ffmpeg = folder.path().join("ffmpeg");
    let script = "#!/bin/sh\ncase \"$*\" in *-encoders*) ffmpeg \"$@\" | grep -v libaom;; *) exec ffmpeg \"$@\";; esac\n";
    fs::write(&ffmpeg, script).unwrap();
    fs::set_permissions(&ffmpeg, fs::Permissions::from_mode(0o755)).unwrap();
    let video = folder.path().join("video.mp4");
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-nostdin",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=160x90:r=10:d=1",
        ])
        .arg(&video)
        .status();
    assert!(made.unwrap().success());
    let output = Command::new(env!("CARGO_BIN_EXE_vf"))
        .args([
            "extract",
            "-n",
            "1",
            "-o",
            "picture.avif",
            "--ffmpeg",
            "./ffmpeg",
            "video.mp4",
        ])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(10), "{stderr}");
    assert!(
        stderr.contains("the AVIF encoder (libaom-av1) is missing"),
        "{stderr}"
    );
    assert!(!folder.path().join("picture.avif").exists());
}
