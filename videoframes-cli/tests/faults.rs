//! Bad input, bad places and bad decoders: one line, the right exit code, nothing left behind.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn vf() -> Command {
    Command::new(env!("CARGO_BIN_EXE_vf"))
}

fn ffmpeg(args: &[&str], out: &Path) {
    let done = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(args)
        .arg(out)
        .status()
        .unwrap();
    assert!(done.success(), "ffmpeg {args:?}");
}

/// A folder with a real video in it.
struct Place {
    folder: tempfile::TempDir,
    video: PathBuf,
}

impl Place {
    fn new() -> Self {
        Self::with("testsrc2=s=160x90:r=10:d=3")
    }

    fn with(source: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let video = folder.path().join("video.mp4");
        ffmpeg(
            &["-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", "-g", "5"],
            &video,
        );
        Self { folder, video }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn extract(&self, input: &Path, extra: &[&str]) -> Output {
        let mut command = vf();
        command.args(["extract", "--name", "f{index}"]).args(extra);
        command.arg("-o").arg(self.path("out.zip")).arg("--").arg(input);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Everything in the folder whose name says that vf made it.
    fn left(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
        names
            .filter(|name| name.contains("out.zip") || name.contains("partial"))
            .collect()
    }

    fn fails(&self, input: &Path, extra: &[&str], code: i32, says: &str) {
        let output = self.extract(input, extra);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{}: {stderr}", input.display());
        let errors: Vec<&str> = stderr.lines().filter(|l| l.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{stderr}");
        assert!(errors[0].contains(says), "'{says}' is not in: {stderr}");
        assert!(
            stderr
                .lines()
                .all(|l| l.starts_with("error: ") || l.starts_with("hint: ")),
            "{stderr}"
        );
        assert_eq!(self.left(), Vec::<String>::new());
    }

    fn succeeds(&self, input: &Path, extra: &[&str]) -> serde_json::Value {
        let output = self.extract(input, extra);
        assert!(
            output.status.success(),
            "{}: {}",
            input.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        manifest(&self.path("out.zip"))
    }
}

fn manifest(path: &Path) -> serde_json::Value {
    let mut archive = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let mut text = String::new();
    archive
        .by_name("manifest.json")
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn what_is_no_video_is_told_apart() {
    let place = Place::new();
    place.fails(&place.path("missing.mp4"), &[], 3, "no such file");
    place.fails(place.folder.path(), &[], 3, "directory");
    fs::write(place.path("empty.mp4"), "").unwrap();
    place.fails(&place.path("empty.mp4"), &[], 4, "empty");
    fs::write(place.path("text.mp4"), "just some text\n".repeat(500)).unwrap();
    place.fails(&place.path("text.mp4"), &[], 4, "not a video");
    ffmpeg(&["-f", "lavfi", "-i", "sine=d=1"], &place.path("audio.m4a"));
    place.fails(&place.path("audio.m4a"), &[], 5, "no video stream");
    ffmpeg(&["-f", "lavfi", "-i", "sine=d=1"], &place.path("audio.wav"));
    place.fails(&place.path("audio.wav"), &[], 5, "no video stream");
    ffmpeg(
        &["-f", "lavfi", "-i", "testsrc2=s=64x64", "-frames:v", "1"],
        &place.path("cover.png"),
    );
    let (audio, cover) = (place.path("audio.m4a"), place.path("cover.png"));
    let inputs = ["-i", audio.to_str().unwrap(), "-i", cover.to_str().unwrap()];
    let args = [
        &inputs[..],
        &[
            "-map",
            "0",
            "-map",
            "1",
            "-c",
            "copy",
            "-disposition:v:0",
            "attached_pic",
        ],
    ]
    .concat();
    ffmpeg(&args, &place.path("covered.m4a"));
    place.fails(&place.path("covered.m4a"), &[], 5, "no video stream");
    let fifo = place.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    place.fails(&fifo, &[], 3, "not a regular file");
}

#[test]
fn playlists_and_scripts_open_nothing_else() {
    let place = Place::new();
    let video = place.video.to_str().unwrap();
    let playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{video}\n#EXT-X-ENDLIST\n");
    for (name, text) in [
        ("list.m3u8", playlist.clone()),
        ("list.mp4", playlist),
        ("list.ffconcat", format!("ffconcat version 1.0\nfile '{video}'\n")),
        (
            "list.sdp",
            "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n".to_owned(),
        ),
    ] {
        fs::write(place.path(name), text).unwrap();
        place.fails(&place.path(name), &[], 4, "not a video");
    }
}

#[test]
fn damaged_videos_fail_or_are_partial() {
    let place = Place::new();
    let whole = fs::read(&place.video).unwrap();
    fs::write(place.path("no_moov.mp4"), &whole[..whole.len() / 2]).unwrap();
    place.fails(&place.path("no_moov.mp4"), &[], 6, "damaged");

    let mkv = place.path("whole.mkv");
    ffmpeg(&["-i", place.video.to_str().unwrap(), "-c", "copy"], &mkv);
    let bytes = fs::read(&mkv).unwrap();
    fs::write(place.path("cut.mkv"), &bytes[..bytes.len() * 2 / 3]).unwrap();
    place.fails(&place.path("cut.mkv"), &["--all"], 6, "damaged");
    let output = place.extract(&place.path("cut.mkv"), &["--all", "--on-error", "partial"]);
    assert_eq!(
        output.status.code(),
        Some(7),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let kept = manifest(&place.path("out.zip"));
    assert_eq!(kept["partial"], true);
    let frames = kept["frames"].as_array().unwrap().len();
    assert!((10..30).contains(&frames), "{frames} frames of 30");
    fs::remove_file(place.path("out.zip")).unwrap();

    let mut flipped = whole.clone();
    let middle = whole.len() / 2;
    flipped[middle..middle + 2000].iter_mut().for_each(|b| *b ^= 0x5a);
    fs::write(place.path("flipped.mp4"), flipped).unwrap();
    place.fails(&place.path("flipped.mp4"), &["--all"], 6, "damaged");
    let output = place.extract(&place.path("flipped.mp4"), &["--all", "--on-error", "partial"]);
    assert_eq!(
        output.status.code(),
        Some(7),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn any_file_name_is_only_a_name() {
    let place = Place::new();
    let names: [&[u8]; 8] = [
        b"with space.mp4",
        b"quo'te\".mp4",
        b"per%dcent%03d.mp4",
        b"-dash.mp4",
        b"non\xffutf8.mp4",
        b"a:b,c;[d].mp4",
        b"[error] corrupt.mp4",
        b"a\n[showinfo@decoded @ 0x1] [info] n:0 pts:77 i:P \nb.mp4",
    ];
    for name in names {
        let path = place.folder.path().join(std::ffi::OsStr::from_bytes(name));
        fs::copy(&place.video, &path).unwrap();
        let manifest = place.succeeds(&path, &["-n", "2", "-y"]);
        assert_eq!(
            manifest["source"]["name"],
            path.file_name().unwrap().to_string_lossy().as_ref()
        );
    }
    let output = vf()
        .current_dir(place.folder.path())
        .args(["extract", "-n", "1", "--", "-dash.mp4"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(place.path("-dash.frames.zip").is_file());
}

#[test]
fn outputs_are_refused_before_anything_is_done() {
    let place = Place::new();
    place.succeeds(&place.video, &["-n", "1"]);
    let output = place.extract(&place.video, &["-n", "1"]);
    assert_eq!(output.status.code(), Some(9), "an existing output is refused");
    for (out, code) in [("no/such/folder.zip", 11), ("frames.tar.xz", 2)] {
        let output = vf()
            .arg("extract")
            .arg(&place.video)
            .arg("-o")
            .arg(place.path(out))
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    for wrong in [
        &["--fps", "0"][..],
        &["--fps", "nan"],
        &["--fps", "1", "--all"],
        &["-q", "101"],
        &["--at", "99"],
        &["-s", "3"],
        &["--name", "same"],
        &["-e", "1", "-t", "1"],
        &["--every", "-1"],
        &["-n", "0"],
        &["-f", "bmp"],
    ] {
        let output = place.extract(&place.video, &[wrong, &["-y"]].concat());
        assert_eq!(
            output.status.code(),
            Some(2),
            "{wrong:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let output = place.extract(&place.video, &["--all", "--max-frames", "29", "-y"]);
    assert_eq!(output.status.code(), Some(8));
    assert_eq!(
        place.left(),
        ["out.zip"],
        "what was there is still there, and nothing else"
    );
}

#[test]
fn full_disk_leaves_nothing() {
    let place = Place::with("testsrc2=s=640x360:r=10:d=5");
    // A file size limit is what a test can impose anywhere; the error is the same kind of write failure.
    let script = format!(
        "ulimit -f 100; trap '' XFSZ; exec '{}' extract --all -o '{}' -- '{}'",
        env!("CARGO_BIN_EXE_vf"),
        place.path("out.zip").display(),
        place.video.display()
    );
    let output = Command::new("bash").arg("-c").arg(script).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(11),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn stdout_is_a_whole_zip_or_none() {
    let place = Place::new();
    let run = |args: &[&str]| {
        vf().arg("extract")
            .arg(&place.video)
            .args(["-o", "-"])
            .args(args)
            .output()
            .unwrap()
    };
    let good = run(&["--fps", "2"]);
    assert!(good.status.success());
    let file = place.extract(&place.video, &["--fps", "2", "--name", "frame_{index:06}"]);
    assert!(file.status.success() || file.status.code() == Some(2));
    assert_eq!(
        zip::ZipArchive::new(std::io::Cursor::new(&good.stdout))
            .unwrap()
            .len(),
        7
    );
    let cut = run(&["--all", "--max-output", "20kB"]);
    assert_eq!(cut.status.code(), Some(8));
    assert!(!cut.stdout.is_empty() && zip::ZipArchive::new(std::io::Cursor::new(&cut.stdout)).is_err());
    assert_eq!(run(&["--json"]).status.code(), Some(2));
}

/// Processes whose command line mentions the folder.
fn processes(folder: &Path) -> Vec<u32> {
    let needle = folder.as_os_str().as_bytes();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
        .filter(|pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            *pid != std::process::id() && line.windows(needle.len()).any(|w| w == needle)
        })
        .collect()
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

fn signal(pid: u32, signal: &str) {
    assert!(
        Command::new("kill")
            .args([signal, &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// Starts a long extraction and returns once its ffmpeg writes pictures.
fn long_run(place: &Place, extra: &[&str]) -> (std::process::Child, u32) {
    let mut command = vf();
    command
        .args(["extract", "--fps", "1000", "-f", "png", "--progress", "json"])
        .args(extra);
    command
        .arg("-o")
        .arg(place.path("out.zip"))
        .arg(&place.video)
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn().unwrap();
    let mut byte = [0];
    child.stderr.as_mut().unwrap().read_exact(&mut byte).unwrap();
    let mut decoder = 0;
    wait_for("ffmpeg to run", || {
        let found = processes(place.folder.path()).into_iter().find(|&pid| {
            fs::read_link(format!("/proc/{pid}/exe"))
                .is_ok_and(|exe| exe.to_string_lossy().contains("ffmpeg"))
        });
        decoder = found.unwrap_or(0);
        found.is_some()
    });
    (child, decoder)
}

fn finish(mut child: std::process::Child, place: &Place) -> (Option<i32>, String) {
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    let status = child.wait().unwrap();
    wait_for("children to be gone", || {
        processes(place.folder.path()).is_empty()
    });
    assert_eq!(place.left(), Vec::<String>::new());
    (status.code(), stderr)
}

#[test]
fn metadata_are_only_words() {
    let place = Place::new();
    let named = place.path("named.mp4");
    let video = place.video.to_str().unwrap();
    let title = "title=[error] damaged: hello\n[h264 @ 0x1] [error] corrupt";
    ffmpeg(&["-i", video, "-c", "copy", "-metadata", title], &named);
    place.succeeds(&named, &["-n", "2", "--strategy", "plain"]);
}

#[test]
fn videos_that_change_their_size_or_start_their_clock_again_are_extracted() {
    let place = Place::new();
    let (wide, tall) = (place.path("wide.ts"), place.path("tall.ts"));
    for (size, offset, out) in [("320x240", "0", &wide), ("240x426", "1", &tall)] {
        let source = format!("testsrc2=s={size}:r=10:d=1");
        let args = [
            "-f",
            "lavfi",
            "-i",
            &source,
            "-pix_fmt",
            "yuv420p",
            "-output_ts_offset",
            offset,
        ];
        ffmpeg(&[&args[..], &["-muxdelay", "0"]].concat(), out);
    }
    let joined = place.path("joined.ts");
    let parts = [fs::read(&wide).unwrap(), fs::read(&tall).unwrap()];
    fs::write(&joined, parts.concat()).unwrap();
    // Joined like this, the packet counters of the stream jump, which counts as damage.
    let extract = |video: &Path, format: &str| {
        let output = place.extract(video, &["--all", "-y", "-f", format, "--on-error", "partial"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 7)), "{said}");
        manifest(&place.path("out.zip"))["frames"]
            .as_array()
            .unwrap()
            .clone()
    };
    for format in ["jpg", "png"] {
        let frames = extract(&joined, format);
        assert!(frames.len() >= 18, "{}", frames.len());
        assert!(frames.iter().all(|f| f["width"] == 320 && f["height"] == 240));
    }
    let again = place.path("again.ts");
    fs::write(&again, [&parts[0][..], &parts[0]].concat()).unwrap();
    assert!(extract(&again, "jpg").len() >= 10);
}

#[test]
fn folders_survive_whatever_they_are_called() {
    let place = Place::new();
    let run = |at: &Path, out: &str, extra: &[&str]| {
        let mut command = vf();
        command.current_dir(at).arg("extract").arg(&place.video);
        command
            .args(["-n", "2", "-o", out])
            .args(extra)
            .output()
            .unwrap()
            .status
            .code()
    };
    let folder = place.path("result");
    assert_eq!(run(place.folder.path(), "result", &[]), Some(0));
    assert_eq!(
        run(&folder, "../result", &["-y"]),
        Some(0),
        "from inside, by another name"
    );
    assert!(folder.join("manifest.json").is_file());
    for out in [".", "..", "/"] {
        assert_eq!(run(place.folder.path(), out, &["-y"]), Some(2), "{out}");
    }
    std::os::unix::fs::symlink(&folder, place.path("link")).unwrap();
    assert_eq!(run(place.folder.path(), "link", &["-y"]), Some(9));
    assert!(folder.join("manifest.json").is_file() && place.left().is_empty());
}

#[test]
fn the_video_itself_is_never_replaced() {
    let place = Place::new();
    let video = place.path("video.zip");
    fs::copy(&place.video, &video).unwrap();
    let output = vf()
        .arg("extract")
        .arg(&video)
        .args(["-y", "-o"])
        .arg(&video)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read(&video).unwrap(), fs::read(&place.video).unwrap());
}

/// Runs `vf extract` to its end and returns its own peak memory in KiB.
#[cfg(target_os = "linux")]
fn peak_memory(place: &Place, args: &[&str]) -> u64 {
    let mut command = vf();
    command.arg("extract").arg(&place.video).args(args);
    let mut child = command
        .args(["-y", "-o"])
        .arg(place.path("out.zip"))
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let now = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = now.and_then(|size| size.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(now.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::yield_now();
    };
    assert!(status.success() && peak > 0);
    peak
}

#[cfg(target_os = "linux")]
#[test]
fn memory_is_flat() {
    let place = Place::with("nullsrc=s=2560x1440:r=5:d=1,format=rgb24,noise=alls=100:allf=t");
    // Several pictures of 10 MB, each written three times.
    let large = peak_memory(&place, &["--fps", "15", "-f", "png"]);
    assert!(large < 64 << 10, "{large} KiB for large pictures");
    let place = Place::new();
    let many = peak_memory(&place, &["--fps", "1000"]);
    assert!(many < (32 << 10) + 3000, "{many} KiB for 3,000 pictures");
}

#[test]
fn large_pictures_come_one_at_a_time_to_the_last() {
    let place = Place::with("nullsrc=s=1920x1080:r=5:d=1,format=rgb24,noise=alls=100:allf=t");
    for strategy in ["plain", "planned"] {
        let args = [
            "--all",
            "-y",
            "-f",
            "png",
            "--strategy",
            strategy,
            "--stall-timeout",
            "20s",
        ];
        let manifest = place.succeeds(&place.video, &args);
        let frames = manifest["frames"].as_array().unwrap();
        assert!(frames.len() == 5 && frames[0]["bytes"].as_u64().unwrap() > 4 << 20);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_printed_is_an_error() {
    let place = Place::new();
    let full = || Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let probe = vf()
        .arg("probe")
        .arg(&place.video)
        .stdout(full())
        .output()
        .unwrap();
    let completions = vf()
        .args(["completions", "bash"])
        .stdout(full())
        .output()
        .unwrap();
    assert_eq!(
        (probe.status.code(), completions.status.code()),
        (Some(11), Some(11))
    );
    assert!(!String::from_utf8_lossy(&completions.stderr).contains("panicked"));
}

const LONG: &str = "testsrc2=s=640x360:r=50:d=20";

#[cfg(target_os = "linux")]
#[test]
fn interrupt_stops_everything_and_leaves_nothing() {
    let place = Place::with(LONG);
    for kind in ["-INT", "-TERM", "-HUP"] {
        let (child, _) = long_run(&place, &[]);
        signal(child.id(), kind);
        assert_eq!(finish(child, &place).0, Some(130), "{kind}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn two_signals_at_once_leave_nothing_and_an_ignored_one_is_none() {
    let place = Place::with(LONG);
    let (child, _) = long_run(&place, &[]);
    signal(child.id(), "-HUP");
    signal(child.id(), "-HUP");
    signal(child.id(), "-TERM");
    signal(child.id(), "-TERM");
    assert_eq!(finish(child, &place).0, Some(130));

    let script = format!(
        "trap '' HUP; exec '{}' extract -n 3 -o '{}' '{}'",
        env!("CARGO_BIN_EXE_vf"),
        place.path("out.zip").display(),
        place.video.display()
    );
    let child = Command::new("bash").arg("-c").arg(script).spawn().unwrap();
    let pid = child.id();
    wait_for("vf to have its handlers", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let caught = status
            .lines()
            .find_map(|l| l.strip_prefix("SigCgt:"))
            .map(str::trim);
        let caught = caught
            .and_then(|mask| u64::from_str_radix(mask, 16).ok())
            .unwrap_or(0);
        // SIGTERM: the last but one that is set up.
        caught >> 14 & 1 == 1
    });
    signal(pid, "-HUP");
    let status = child.wait_with_output().unwrap().status;
    assert!(status.success(), "nohup is kept: {status}");
}

#[cfg(target_os = "linux")]
#[test]
fn killed_or_hung_ffmpeg_is_an_error() {
    let place = Place::with(LONG);
    let (child, decoder) = long_run(&place, &[]);
    signal(decoder, "-KILL");
    let (code, stderr) = finish(child, &place);
    assert!(
        code == Some(12) && stderr.contains("signal: 9"),
        "{code:?} {stderr}"
    );
    let (child, decoder) = long_run(&place, &["--stall-timeout", "1s"]);
    signal(decoder, "-STOP");
    let (code, stderr) = finish(child, &place);
    assert!(
        code == Some(12) && stderr.contains("no progress"),
        "{code:?} {stderr}"
    );
}

#[test]
fn a_flood_a_stranger_and_a_missing_ffmpeg_are_errors() {
    let place = Place::new();
    let script = |name: &str, body: &str| {
        let path = place.path(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let version = "case \"$*\" in *-version*) echo 'ffmpeg version 5.1.9'; exit 0;; esac";
    let flood = script(
        "flood",
        &format!("{version}\nexec yes '[h264 @ 0x1] [error] nonsense' >&2"),
    );
    place.fails(
        &place.video,
        &["--ffmpeg", flood.to_str().unwrap(), "--stall-timeout", "1s"],
        12,
        "no progress",
    );
    let garbage = script("garbage", &format!("{version}\nexec head -c 100000 /dev/urandom"));
    place.fails(&place.video, &["--ffmpeg", garbage.to_str().unwrap()], 12, "");
    let silent = script("quitter", &format!("{version}\nexit 3"));
    place.fails(
        &place.video,
        &["--ffmpeg", silent.to_str().unwrap()],
        12,
        "exit status: 3",
    );
    let old = script("old", "echo 'ffmpeg version 4.4.1'");
    place.fails(
        &place.video,
        &["--ffmpeg", old.to_str().unwrap()],
        10,
        "older than 5.1",
    );
    place.fails(
        &place.video,
        &["--ffmpeg", "/nonexistent/ffmpeg"],
        10,
        "cannot run",
    );
    assert!(processes(place.folder.path()).is_empty());
}
