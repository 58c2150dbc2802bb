//! Videos by HTTP: identical archives, few bytes read, and clean errors.
#![allow(clippy::unwrap_used)]

#[path = "../../videoframes-core/tests/http/server.rs"]
mod server;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::server::{Answer, Server};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Generates a video of forty seconds with one keyframe per second, large enough for partial reads.
    fn video(&self, extra: &[&str]) -> PathBuf {
        let path = self.0.path().join("video.mp4");
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i"])
            .arg("testsrc2=s=320x180:r=25:d=40,noise=alls=20:allf=t")
            .args([
                "-pix_fmt",
                "yuv420p",
                "-preset",
                "ultrafast",
                "-g",
                "25",
                "-b:v",
                "4M",
            ])
            .args(extra)
            .arg(&path)
            .status();
        assert!(made.unwrap().success());
        path
    }

    fn vf(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vf"));
        command
            .args(args)
            .stdin(Stdio::null())
            .env("TMPDIR", self.0.path());
        command
    }

    fn extract(&self, video: &str, out: &str, extra: &[&str]) -> Output {
        let out = self.0.path().join(out);
        let mut command = self.vf(&["extract", video, "-n", "3", "--json", "-o"]);
        command.arg(out).args(extra).output().unwrap()
    }

    fn left(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap();
        names
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

const ALLOW: &str = "--allow-private-addresses";

fn json(output: &Output) -> serde_json::Value {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn read(path: &Path) -> Arc<Vec<u8>> {
    Arc::new(fs::read(path).unwrap())
}

#[test]
fn a_few_frames_by_http_are_identical_and_read_few_bytes() {
    for layout in ["+faststart", "0", "+frag_keyframe+empty_moov"] {
        let place = Place::new();
        let video = place.video(&["-movflags", layout]);
        let bytes = read(&video);
        let size = bytes.len() as u64;
        json(&place.extract(video.to_str().unwrap(), "file.zip", &[]));
        let file = fs::read(place.0.path().join("file.zip")).unwrap();

        let copy = Arc::clone(&bytes);
        let ranged = Server::start(move |request| Answer::ranged(&copy, request));
        let result = json(&place.extract(&ranged.url("video.mp4?key=secret"), "ranged.zip", &[ALLOW]));
        assert_eq!(
            fs::read(place.0.path().join("ranged.zip")).unwrap(),
            file,
            "{layout}"
        );
        let transferred = result["bytes_read"].as_u64().unwrap();
        assert!(transferred < size / 8, "{layout}: {transferred} of {size}");
        assert_eq!(
            (&result["strategy"], &result["source_bytes"]),
            (&"planned".into(), &size.into())
        );

        // The plain strategy needs a file, and so does a server without range requests.
        let result = json(&place.extract(
            &ranged.url("video.mp4"),
            "plain.zip",
            &[ALLOW, "--strategy", "plain"],
        ));
        assert_eq!(
            fs::read(place.0.path().join("plain.zip")).unwrap(),
            file,
            "{layout}"
        );
        assert!(result["bytes_read"].as_u64().unwrap() >= size);
        let whole = Server::start(move |_| Answer::whole(&bytes));
        let result = json(&place.extract(&whole.url("video.mp4"), "whole.zip", &[ALLOW]));
        assert_eq!(
            fs::read(place.0.path().join("whole.zip")).unwrap(),
            file,
            "{layout}"
        );
        assert_eq!(result["bytes_read"], size);

        let mut left = place.left();
        left.sort();
        assert_eq!(
            left,
            ["file.zip", "plain.zip", "ranged.zip", "video.mp4", "whole.zip"]
        );
    }
}

#[test]
fn private_addresses_are_refused_by_default() {
    let place = Place::new();
    let server = Server::start(|_| panic!("was asked"));
    for command in ["extract", "plan", "probe"] {
        let output = place.vf(&[command, &server.url("video.mp4")]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        assert!(
            stderr.contains("no public address") && stderr.contains(ALLOW),
            "{stderr}"
        );
    }
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn a_video_that_disappears_or_changes_leaves_no_files() {
    let place = Place::new();
    let bytes = read(&place.video(&[]));
    for gone in [true, false] {
        let copy = Arc::clone(&bytes);
        let server = Server::start(move |request| match request.before {
            0..4 => Answer::ranged(&copy, request),
            _ if gone => Answer::new("410 Gone").header("Content-Length", 0),
            _ => Answer::ranged(&copy, request).header("ETag", "\"another\""),
        });
        let output = place.extract(&server.url("video.mp4"), "out.zip", &[ALLOW]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        assert!(
            stderr.contains(if gone { "410 Gone" } else { "changed" }),
            "{stderr}"
        );
        assert_eq!(place.left(), ["video.mp4"]);
    }
}

#[test]
fn stalled_requests_are_retried() {
    let place = Place::new();
    let bytes = read(&place.video(&[]));
    // The stall is among the samples and lasts for the whole stall timeout of the decoder.
    let server = Server::start(move |request| Answer {
        hang: request.before == 4,
        body: match Answer::ranged(&bytes, request).body {
            body if request.before == 4 => body[..10].to_vec(),
            body => body,
        },
        ..Answer::ranged(&bytes, request)
    });
    json(&place.extract(
        &server.url("video.mp4"),
        "out.zip",
        &[ALLOW, "--stall-timeout", "1s"],
    ));
}

#[test]
fn an_unwritable_output_fails_before_any_request() {
    let place = Place::new();
    fs::write(place.0.path().join("out.zip"), "mine").unwrap();
    let server = Server::start(|_| panic!("was asked"));
    let output = place.extract(&server.url("x.mp4"), "out.zip", &[ALLOW]);
    assert_eq!(
        output.status.code(),
        Some(9),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn secrets_in_urls_are_never_printed() {
    let place = Place::new();
    for address in [
        "https://u:geheim@h:99999/v.mp4?geheim",
        "htps://u:geheim@h/v.mp4?geheim",
        "http://u:geheim@127.0.0.1:1/v.mp4?geheim",
    ] {
        for command in ["extract", "plan", "probe"] {
            let output = place.vf(&[command, address, "-v"]).output().unwrap();
            let printed = [output.stdout, output.stderr].concat();
            let printed = String::from_utf8_lossy(&printed);
            assert!(
                !output.status.success() && printed.contains("error: "),
                "{printed}"
            );
            assert!(!printed.contains("geheim"), "{printed}");
        }
    }
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn limits_apply_to_downloads() {
    let place = Place::new();
    let server = Server::start(|_| Answer {
        body: vec![0; 1 << 20],
        ..Answer::new("200 OK")
    });
    let output = place.extract(&server.url("x.mp4"), "out.zip", &[ALLOW, "--max-input", "100kB"]);
    assert_eq!(
        output.status.code(),
        Some(8),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let dripping = Server::start(|_| Answer {
        body: vec![0; 1 << 20],
        drip: Some(Duration::from_millis(5)),
        ..Answer::new("200 OK")
    });
    for command in ["extract", "plan", "probe"] {
        let url = dripping.url("x.mp4");
        let output = place
            .vf(&[command, &url, ALLOW, "--timeout", "300ms"])
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(8),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn interrupt_during_a_stalled_request_leaves_no_files() {
    let place = Place::new();
    let bytes = read(&place.video(&[]));
    // Stalls at the start, in the index, among the samples, and in a download.
    for (at, whole) in [(0, false), (1, false), (4, false), (0, true)] {
        let (copy, reached) = (Arc::clone(&bytes), Arc::new(AtomicBool::new(false)));
        let flag = Arc::clone(&reached);
        let server = Server::start(move |request| {
            if request.before < at {
                return Answer::ranged(&copy, request);
            }
            flag.store(true, Ordering::SeqCst);
            let answer = if whole {
                Answer::whole(&copy)
            } else {
                Answer::ranged(&copy, request)
            };
            Answer {
                body: answer.body[..10].to_vec(),
                hang: true,
                ..answer
            }
        });
        let out = place.0.path().join("out.zip");
        let mut command = place.vf(&["extract", &server.url("video.mp4"), ALLOW, "-n", "3", "-o"]);
        let mut child = command
            .arg(out)
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let started = Instant::now();
        while !reached.load(Ordering::SeqCst) {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "the server is not asked ({at})"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(child.wait().unwrap().code(), Some(130), "{at}");
        assert_eq!(place.left(), ["video.mp4"], "{at}");
    }
}
