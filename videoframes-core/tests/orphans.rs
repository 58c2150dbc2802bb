//! No decoder outlives the program that started it, even if the program is killed and cannot clean up.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use videoframes_core::extract::{ExtractRequest, FrameExtractor, Input, PictureFormat};
use videoframes_core::ffmpeg::{FfmpegExtractor, sweep_children};
use videoframes_core::limits::Limits;

/// Environment variable with the working folder of the helper process.
const FOLDER: &str = "VF_TEST_ORPHANS";

/// Not a test, but the process that the tests kill. Reads one picture, reports it, and then stops reading.
#[tokio::test(flavor = "multi_thread")]
async fn helper() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    let fake = folder.join("ffmpeg");
    let say = |what: &str| std::io::stderr().write_all(what.as_bytes()).unwrap();
    if fake.is_file() {
        let extractor = FfmpegExtractor::new(Some(fake)).with_registry(folder.join("registry"));
        say("started\n");
        let _ = extractor.version().await;
        return;
    }
    let extractor = FfmpegExtractor::default().with_registry(folder.join("registry"));
    let (video, limits, cancel) = (
        folder.join("video.mp4"),
        Limits::default(),
        CancellationToken::new(),
    );
    let packets = extractor.packets(&video, None, &limits, &cancel).await.unwrap();
    let (info, timeline) = (packets.described.video, packets.timeline.unwrap());
    let frames = (0..timeline.pts().len()).collect();
    let mut request = ExtractRequest::new(info, timeline, frames);
    request.picture.format = PictureFormat::Png;
    request.limits = limits;
    let (sender, mut receiver) = mpsc::channel(1);
    let input = Input::File(video);
    let extraction = extractor.extract(&input, request, sender, &cancel);
    let reading = async {
        assert!(receiver.recv().await.is_some());
        say("started\n");
        std::future::pending::<()>().await;
    };
    let _ = tokio::join!(extraction, reading);
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "waited too long for {what}"
        );
        std::thread::yield_now();
    }
}

fn entries(registry: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(registry) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.collect()
}

/// Returns name and state of a process that has not been reaped, from `/proc`.
fn process(pid: &str) -> Option<(String, char)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    Some((name.to_owned(), rest.trim_start().chars().next()?))
}

fn signal(pid: &str, signal: &str) {
    let sent = Command::new("kill").args([signal, pid]).status().unwrap();
    assert!(sent.success());
}

/// Starts the helper in `folder`, kills it while its decoder with this name runs, and checks that the decoder
/// ends. `before` receives the PID of the decoder before the helper is killed.
fn decoder_dies_with_the_program(folder: &Path, name: &str, before: impl FnOnce(&str)) {
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "helper", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "started"));
    let registry = folder.join("registry");
    let mut decoder = String::new();
    wait_for("the decoder", || {
        let found = entries(&registry).into_iter().find_map(|entry| {
            let pid = entry.split('-').next()?.to_owned();
            (process(&pid)?.0 == name).then_some(pid)
        });
        decoder = found.unwrap_or_default();
        !decoder.is_empty()
    });
    assert_eq!(entries(&registry).len(), 1, "previous children were reaped");
    before(&decoder);
    program.kill().unwrap();
    program.wait().unwrap();
    // A dead process is shown as a zombie until it is reaped.
    wait_for("the decoder to die", || {
        process(&decoder).is_none_or(|(_, state)| matches!(state, 'Z' | 'X'))
    });
    assert_eq!(
        entries(&registry).len(),
        1,
        "no process was left to remove the file"
    );
    assert_eq!(sweep_children(&registry).unwrap(), 0, "nothing was left to kill");
    assert_eq!(entries(&registry).len(), 0);
}

fn folder_with_video() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-nostdin",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=640x360:r=50:d=20",
        ])
        .args(["-pix_fmt", "yuv420p", "-preset", "ultrafast"])
        .arg(folder.path().join("video.mp4"))
        .status();
    assert!(made.unwrap().success());
    folder
}

#[test]
fn a_decoder_dies_with_a_killed_program() {
    let folder = folder_with_video();
    decoder_dies_with_the_program(folder.path(), "ffmpeg", |_| {});
}

#[test]
fn a_stopped_decoder_dies_too() {
    let folder = folder_with_video();
    decoder_dies_with_the_program(folder.path(), "ffmpeg", |decoder| {
        signal(decoder, "-STOP");
        wait_for("it to stop", || {
            process(decoder).is_some_and(|(_, state)| state == 'T')
        });
    });
}

#[test]
fn a_hanging_decoder_without_output_dies_too() {
    let folder = tempfile::tempdir().unwrap();
    let fake = folder.path().join("ffmpeg");
    std::fs::write(&fake, "#!/bin/sh\ntrap '' TERM PIPE HUP\nexec sleep 1000\n").unwrap();
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    decoder_dies_with_the_program(folder.path(), "sleep", |_| {});
}
