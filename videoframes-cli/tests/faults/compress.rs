//! Errors of `vf compress`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::processes::{LONG, finish, processes, signal, started, wait_for};
use crate::{Place, ffmpeg, vf};

fn compress(place: &Place, input: &Path, extra: &[&str]) -> Output {
    let mut command = vf();
    // The test checks this folder for two-pass statistics and copies that are left.
    command
        .env("TMPDIR", place.folder.path())
        .arg("compress")
        .args(extra);
    if !extra.contains(&"-o") {
        command.arg("-o").arg(place.path("out.mp4"));
    }
    command
        .arg("--")
        .arg(input)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn fails(place: &Place, input: &Path, extra: &[&str], code: i32, expected: &str) {
    let output = compress(place, input, extra);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{}: {stderr}", input.display());
    let errors: Vec<&str> = stderr.lines().filter(|l| l.starts_with("error: ")).collect();
    assert!(
        errors.len() == 1 && errors[0].contains(expected),
        "'{expected}' is not in: {stderr}"
    );
    let known = |line: &str| line.starts_with("error: ") || line.starts_with("hint: ");
    assert!(stderr.lines().all(known), "{stderr}");
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn bad_input_is_a_one_line_error() {
    let place = Place::new();
    let path = |name: &str| place.path(name);
    fs::write(path("empty.mp4"), b"").unwrap();
    fs::write(path("text.mp4"), "not a video\n".repeat(100)).unwrap();
    let whole = fs::read(&place.video).unwrap();
    fs::write(path("cut.mp4"), &whole[..whole.len() / 2]).unwrap();
    ffmpeg(&["-f", "lavfi", "-i", "sine=d=1"], &path("sound.m4a"));
    fs::write(
        path("list.m3u8"),
        format!("#EXTM3U\n#EXTINF:1,\n{}\n", place.video.display()),
    )
    .unwrap();
    fails(&place, &path("missing.mp4"), &[], 3, "no such file");
    fails(&place, &path("empty.mp4"), &[], 4, "empty");
    fails(&place, &path("text.mp4"), &[], 4, "not a video");
    fails(&place, &path("list.m3u8"), &[], 4, "not a video");
    fails(&place, &path("sound.m4a"), &[], 5, "no video stream");
    fails(&place, &path("cut.mp4"), &[], 6, "damaged");
}

#[test]
fn damage_is_an_error_unless_a_partial_result_is_requested() {
    let place = Place::new();
    let cut = place.path("cut.mkv");
    let remuxed = place.path("whole.mkv");
    ffmpeg(&["-i", place.video.to_str().unwrap(), "-c", "copy"], &remuxed);
    let whole = fs::read(&remuxed).unwrap();
    fs::write(&cut, &whole[..whole.len() * 2 / 3]).unwrap();
    fails(&place, &cut, &[], 6, "damaged");
    let partial = compress(&place, &cut, &["--on-error", "partial", "--json"]);
    assert_eq!(
        partial.status.code(),
        Some(7),
        "{}",
        String::from_utf8_lossy(&partial.stderr)
    );
    let printed: serde_json::Value = serde_json::from_slice(&partial.stdout).unwrap();
    assert_eq!(printed["status"], "partial");
    assert!(
        (2..30).contains(&printed["frames"].as_u64().unwrap()),
        "{printed}"
    );
}

#[test]
fn invalid_outputs_and_options_are_rejected_before_any_work() {
    let place = Place::new();
    let out = |name: &str| place.path(name).display().to_string();
    for (args, code, expected) in [
        (&["-o", "-"][..], 2, "cannot be written to stdout"),
        (
            &["-o", &out("out.avi")],
            2,
            "'.avi' is not a supported type of output",
        ),
        (&["-o", &out("out")], 2, "has no extension"),
        (&["-o", &out("no/such/out.mp4")], 11, "does not exist"),
        (
            &["-o", &out("out.webm"), "--codec", "h264"],
            2,
            "cannot contain h264",
        ),
        (
            &["-o", &out("video.mp4"), "-y"],
            2,
            "would replace the video itself",
        ),
        (&["-q", "0"], 2, "quality"),
        (&["-q", "50", "--max-size", "1MB"], 2, "cannot be used with"),
        (&["--max-size", "0"], 2, "more than 0"),
        (&["--max-height", "8"], 2, "8 is not in 16..=65535"),
        (&["--codec", "divx"], 2, "possible values: h264, hevc, av1, vp9"),
        (&["--audio", "mp3"], 2, "possible values: aac, copy, none"),
        (&["--max-duration", "1s"], 8, "longer than"),
        (&["--max-pixels", "100"], 8, "exceed the limit of 100 pixels"),
        (&["--ffmpeg", "/nonexistent/ffmpeg"], 10, "failed to run"),
    ] {
        let output = compress(&place, &place.video, args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(
            stderr.contains(expected),
            "{args:?}: '{expected}' is not in: {stderr}"
        );
        assert_eq!(place.left(), Vec::<String>::new(), "{args:?}");
    }
    fs::write(place.path("out.mp4"), "mine").unwrap();
    assert_eq!(compress(&place, &place.video, &[]).status.code(), Some(9));
    assert_eq!(fs::read(place.path("out.mp4")).unwrap(), b"mine");
    assert!(compress(&place, &place.video, &["-y"]).status.success());
    assert_eq!(place.left(), ["out.mp4"]);
}

#[test]
fn an_encoder_that_is_missing_is_named() {
    let place = Place::new();
    let script = place.path("ffmpeg");
    let body = "#!/bin/sh\ncase \"$*\" in *-encoders*) ffmpeg \"$@\" | grep -v -e libx265 -e libsvtav1;; *) exec ffmpeg \"$@\";; esac\n";
    fs::write(&script, body).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.to_str().unwrap();
    fails(
        &place,
        &place.video,
        &["--codec", "hevc", "--ffmpeg", script],
        10,
        "libx265",
    );
    fails(
        &place,
        &place.video,
        &["--codec", "av1", "--ffmpeg", script],
        10,
        "libsvtav1",
    );
    assert!(
        compress(&place, &place.video, &["--ffmpeg", script])
            .status
            .success()
    );
}

#[test]
fn full_disk_leaves_nothing() {
    let place = Place::with("testsrc2=s=640x360:r=10:d=5,noise=alls=40:allf=t");
    for extra in ["", "--max-size 1500kB"] {
        // A test can set a file size limit on every system.
        let script = format!(
            "ulimit -f 200; trap '' XFSZ; export TMPDIR='{0}'; exec '{1}' compress {extra} -q 90 -o '{0}/out.mp4' -- '{2}'",
            place.folder.path().display(),
            env!("CARGO_BIN_EXE_vf"),
            place.video.display()
        );
        let script = match extra {
            "" => script,
            _ => script.replace(" -q 90", ""),
        };
        let output = Command::new("bash").arg("-c").arg(script).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(11), "{stderr}");
        assert!(
            stderr.starts_with("error: failed to write '") && stderr.contains("/out.mp4': "),
            "{stderr}"
        );
        assert_eq!(place.left(), Vec::<String>::new());
    }
}

#[test]
fn a_write_error_of_ffmpeg_with_exit_code_0_is_an_error() {
    let place = Place::new();
    let script = place.path("ffmpeg");
    // Older versions exit with 0 if only the end of a WebM file does not fit.
    let body = "#!/bin/sh\nffmpeg \"$@\" || exit\ncase \"$*\" in *-filter_complex*) \
                echo '[out#0/webm @ 0x1] [error] Error writing trailer: No space left on device' >&2;; esac\n";
    fs::write(&script, body).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let script = script.to_str().unwrap();
    fails(
        &place,
        &place.video,
        &["--ffmpeg", script],
        11,
        "no space is left",
    );
}

#[cfg(target_os = "linux")]
#[test]
fn interrupt_stops_all_processes_and_leaves_no_files() {
    let place = Place::with(LONG);
    for (kind, extra) in [
        ("-INT", &[][..]),
        ("-TERM", &["--max-size", "1MB"]),
        ("-HUP", &["--codec", "av1"]),
    ] {
        let (child, _) = started(&place, &[&["compress"], extra].concat(), "out.mp4");
        signal(child.id(), kind);
        let (code, stderr) = finish(child, &place);
        assert_eq!(code, Some(130), "{kind}: {stderr}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn killed_or_hung_ffmpeg_is_an_error() {
    let place = Place::with(LONG);
    let (child, encoder) = started(&place, &["compress"], "out.mp4");
    signal(encoder, "-KILL");
    let (code, stderr) = finish(child, &place);
    assert!(
        code == Some(12) && stderr.contains("signal: 9"),
        "{code:?} {stderr}"
    );
    let (child, encoder) = started(&place, &["compress", "--stall-timeout", "1s"], "out.mp4");
    signal(encoder, "-STOP");
    let (code, stderr) = finish(child, &place);
    assert!(
        code == Some(12) && stderr.contains("no progress"),
        "{code:?} {stderr}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn the_ffmpeg_of_a_killed_vf_ends() {
    let place = Place::with(LONG);
    let (mut child, _) = started(&place, &["compress"], "out.mp4");
    signal(child.id(), "-KILL");
    child.wait().unwrap();
    wait_for("children to be gone", || {
        processes(place.folder.path()).is_empty()
    });
    assert!(!place.path("out.mp4").exists());
}
