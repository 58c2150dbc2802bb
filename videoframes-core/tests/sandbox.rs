//! The sandbox of ffmpeg: a program in its place tries to escape.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

use std::fs;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use videoframes_core::extract::ExtractError;
use videoframes_core::ffmpeg::{FfmpegExtractor, SandboxMode};

/// Each function is an attempt. An attempt that raises an error was refused. The version of ffmpeg, which the library
/// reads, returns the attempts that succeeded.
const ATTEMPTS: &str = include_str!("escapes.py");

/// A folder with a program in the place of ffmpeg, and the servers that the program tries to reach.
struct Place {
    folder: tempfile::TempDir,
    _tcp: TcpListener,
    _unix: UnixListener,
}

impl Place {
    /// Creates a program that makes the named attempts, or all if there are none.
    fn new(interpreter: &str, real: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let unix = UnixListener::bind(path.join("socket")).unwrap();
        fs::write(path.join("neighbour"), "a secret").unwrap();
        let port = tcp.local_addr().unwrap().port();
        let script =
            format!("#!{interpreter}\nFOLDER = {path:?}\nPORT = {port}\nREAL = {real:?}\n{ATTEMPTS}");
        executable(&path.join("ffmpeg"), script.as_bytes());
        Self {
            folder,
            _tcp: tcp,
            _unix: unix,
        }
    }

    fn ffmpeg(&self) -> PathBuf {
        self.folder.path().join("ffmpeg")
    }

    /// Returns the attempts that succeeded. The program inherits an open file.
    async fn escapes(&self, mode: SandboxMode) -> Vec<String> {
        let extractor = FfmpegExtractor::new(Some(self.ffmpeg())).with_sandbox(mode);
        let secret = fs::File::open(self.folder.path().join("neighbour")).unwrap();
        inherit(&secret);
        let version = extractor.ffmpeg_version().await.unwrap();
        let names = version.text.split_once('-').unwrap().1;
        names
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// Makes children inherit a file under the number that the attempts use.
#[allow(unsafe_code)]
fn inherit(file: &fs::File) {
    // SAFETY: the number is free, or names a file of an earlier call. No other code uses it.
    let number = unsafe { libc::dup2(file.as_raw_fd(), 77) };
    assert_eq!(number, 77);
}

fn executable(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Returns whether this system offers the complete sandbox; reports that the test skips otherwise.
fn is_complete() -> bool {
    let status = FfmpegExtractor::default().sandbox();
    if let Some(missing) = status.missing() {
        let is_set = |name| std::env::var_os(name).is_some();
        assert!(
            !is_set("CI") && !is_set("VF_TEST_REQUIRE_ALL"),
            "all tests are required, but {missing}"
        );
        eprintln!("skipped: {missing}");
    }
    status.is_complete()
}

#[tokio::test]
async fn no_escape_succeeds() {
    if !is_complete() {
        return;
    }
    for interpreter in ["/usr/bin/python3", "/usr/bin/env /usr/bin/python3"] {
        let place = Place::new(interpreter, &[]);
        let escapes = place.escapes(SandboxMode::Require).await;
        assert!(escapes.is_empty(), "{interpreter}: {escapes:?}");
        let kept = fs::read_to_string(place.folder.path().join("neighbour")).unwrap();
        assert_eq!(kept, "a secret");
    }
}

#[tokio::test]
async fn a_script_may_start_programs_by_default() {
    if !is_complete() {
        return;
    }
    let place = Place::new("/usr/bin/python3", &[]);
    let expected = ["limit", "fork", "start", "shell", "spawn"];
    assert_eq!(place.escapes(SandboxMode::Auto).await, expected);
}

/// Without a sandbox, attempts succeed: they are real. Attempts that would change this machine are not made.
#[tokio::test]
async fn the_attempts_are_real() {
    const REAL: [&str; 20] = [
        "inherited_file",
        "limit",
        "priority_of_parent",
        "password_file",
        "neighbour_file",
        "list_processes",
        "list_root",
        "write_beside",
        "truncate",
        "symlink",
        "mode",
        "tcp",
        "udp",
        "unix_socket",
        "fork",
        "start",
        "shell",
        "spawn",
        "signal_parent",
        "memory_file",
    ];
    let place = Place::new("/usr/bin/python3", &REAL);
    assert_eq!(place.escapes(SandboxMode::Off).await, REAL);
}

#[tokio::test]
async fn a_program_that_is_missing_is_named() {
    for mode in SandboxMode::ALL {
        let extractor = FfmpegExtractor::new(Some("/no/such/ffmpeg".into())).with_sandbox(mode);
        let error = extractor.ffmpeg_version().await.unwrap_err();
        assert!(
            matches!(&error, ExtractError::DecoderMissing { program, .. } if program == "/no/such/ffmpeg"),
            "{mode}: {error:?}"
        );
    }
}

/// A script that starts an ffmpeg in a folder that the sandbox does not know.
#[tokio::test]
async fn a_wrapper_of_an_ffmpeg_elsewhere_runs_with_the_rest_of_the_sandbox() {
    if !is_complete() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("real");
    fs::copy("/bin/sh", &real).unwrap();
    let wrapper = folder.path().join("ffmpeg");
    let script = format!(
        "#!/bin/sh\nexec {} -c 'echo ffmpeg version 7.1'\n",
        real.display()
    );
    executable(&wrapper, script.as_bytes());
    let extractor = |mode| FfmpegExtractor::new(Some(wrapper.clone())).with_sandbox(mode);

    let usual = extractor(SandboxMode::Auto);
    assert_eq!(usual.ffmpeg_version().await.unwrap().text, "7.1");
    let status = usual.sandbox();
    let reason = status.landlock.clone().unwrap_err();
    assert!(reason.contains(&*real.to_string_lossy()), "{reason}");
    assert_eq!(status.seccomp, Ok(()));
    assert!(!status.is_complete());

    let strict = extractor(SandboxMode::Require);
    let error = strict.ffmpeg_version().await.unwrap_err();
    let ExtractError::DecoderMissing { source, .. } = error else {
        panic!("{error:?}")
    };
    assert!(
        source
            .to_string()
            .contains("does not start with restricted files"),
        "{source}"
    );
}

#[tokio::test]
async fn a_program_that_never_starts_keeps_the_sandbox() {
    if !is_complete() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("ffmpeg");
    executable(&broken, b"#!/bin/sh\nexit 3\n");
    let extractor = FfmpegExtractor::new(Some(broken));
    assert!(extractor.ffmpeg_version().await.is_err());
    assert!(extractor.sandbox().is_complete());
}
