//! Videos from standard input.

use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::{Place, Run, vf};

/// Starts `vf` with a pipe as its input, and with a separate folder for temporary files.
fn piped(place: &Place, args: &[&str]) -> Child {
    let temporary = place.path("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = vf();
    command.args(args).current_dir(place.folder.path());
    command.env("TMPDIR", temporary);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Writes `content` to the input of `child`, as far as the child reads it, and returns the result.
fn with_input(mut child: Child, content: &[u8]) -> Run {
    let mut stdin = child.stdin.take().unwrap();
    // A child that refuses its input closes the pipe.
    let _ = stdin.write_all(content);
    drop(stdin);
    Run::of(child.wait_with_output().unwrap())
}

fn is_clean(place: &Place) -> bool {
    fs::read_dir(place.path("tmp")).unwrap().next().is_none()
}

#[test]
fn a_piped_video_gives_the_pictures_of_the_file() {
    let place = Place::new();
    let video = fs::read(place.path("video.mp4")).unwrap();
    place.run(&["extract", "video.mp4", "--at", "1.5", "-o", "file.png"]);
    let run = with_input(
        piped(&place, &["extract", "-", "--at", "1.5", "-o", "piped.png"]),
        &video,
    );
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let picture = |name: &str| fs::read(place.path(name)).unwrap();
    assert!(picture("piped.png") == picture("file.png"));

    let run = with_input(piped(&place, &["extract", "-", "-n", "2", "--json"]), &video);
    assert_eq!(run.json()["output"], "stdin.frames.zip");
    let probed = with_input(piped(&place, &["probe", "-", "--json"]), &video);
    assert_eq!(probed.json()["file"], "stdin");
    let compressed = with_input(piped(&place, &["compress", "-", "-o", "small.mp4"]), &video);
    assert_eq!(compressed.code, Some(0), "{}", compressed.stderr);
    assert!(is_clean(&place), "no copy is left");
}

#[test]
fn a_redirected_file_is_not_copied() {
    let place = Place::new();
    let mut command = vf();
    command
        .args(["extract", "-", "-n", "1", "-o", "out.png"])
        .current_dir(place.folder.path());
    // No file can be created there.
    command
        .env("TMPDIR", "/proc")
        .stdin(File::open(place.path("video.mp4")).unwrap());
    let run = Run::of(command.output().unwrap());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(place.made(), ["out.png"]);
}

#[test]
fn unusable_input_is_a_clear_error() {
    let place = Place::new();
    let video = fs::read(place.path("video.mp4")).unwrap();
    let limited = piped(&place, &["extract", "-", "--max-input", "1kB", "-o", "out.zip"]);
    with_input(limited, &video).fails(8, &["stdin: the source has more than 1000 bytes"]);
    with_input(piped(&place, &["probe", "-"]), b"").fails(4, &["stdin"]);
    with_input(piped(&place, &["probe", "-"]), b"no video").fails(4, &["stdin"]);
    let mut unwritable = vf();
    unwritable
        .args(["probe", "-"])
        .env("TMPDIR", "/proc")
        .stdin(Stdio::piped());
    unwritable.stdout(Stdio::piped()).stderr(Stdio::piped());
    with_input(unwritable.spawn().unwrap(), &video).fails(11, &["/proc", "TMPDIR"]);
    assert!(is_clean(&place) && place.made() == ["tmp"]);
}

#[test]
fn an_interrupt_and_the_time_limit_end_the_wait_for_input() {
    let place = Place::new();
    let waiting = piped(&place, &["extract", "-", "--timeout", "300ms", "-o", "out.zip"]);
    let run = Run::of(waiting_output(waiting));
    run.fails(8, &["stdin: the source did not end within"]);

    let waiting = piped(&place, &["extract", "-", "-o", "out.zip"]);
    // The copy exists once vf reads its input.
    while is_clean(&place) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = waiting.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    Run::of(waiting_output(waiting)).fails(130, &["cancelled"]);
    assert!(is_clean(&place) && place.made() == ["tmp"]);
}

/// Waits for the end while the input stays open.
fn waiting_output(mut child: Child) -> std::process::Output {
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    output
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_is_no_input() {
    let place = Place::new();
    let mut terminal = Command::new("script");
    let line = format!("'{}' extract -", env!("CARGO_BIN_EXE_vf"));
    terminal.args(["-qec", &line, "/dev/null"]).env("NO_COLOR", "1");
    let output = terminal
        .stdin(Stdio::null())
        .current_dir(place.folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let screen = String::from_utf8_lossy(&output.stdout);
    assert!(screen.contains("error: stdin is a terminal"), "{screen}");
    assert_eq!(place.made(), Vec::<String>::new());
}
