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
const ATTEMPTS: &str = r#"
import ctypes, os, resource, socket, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), "refused")
def wait_for(child):
    os._exit(0) if child == 0 else os.waitpid(child, 0)
def connect(family, kind, address):
    with socket.socket(family, kind) as it:
        it.connect(address)
def processes():
    return [name for name in os.listdir("/proc") if name.isdigit()]
def restore_limit(kind):
    resource.setrlimit(kind, resource.getrlimit(kind))
def keeps_death_signal():
    libc.setfsuid(65534)
    signal = ctypes.c_int(0)
    libc.prctl(2, ctypes.byref(signal))
    if signal.value:
        raise OSError("the signal is kept")
MACHINE = os.uname().machine
NUMBERED = ["trace_parent", "read_parent", "outlive_parent", "shared_memory", "user_namespace", "mount", "io_uring",
    "x32_socket", "message_queue", "attributes", "watch_folder"]
attempts = {
    "inherited_file": lambda: os.read(77, 1),
    "limit": lambda: restore_limit(resource.RLIMIT_CPU),
    "message_queue": lambda: call(71, 0, 2, None),
    "attributes": lambda: call(463, -100, (FOLDER + "/neighbour").encode(), 0, b"user.x", None, 0),
    "death_signal": keeps_death_signal,
    "priority_of_parent": lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 5),
    "affinity_of_parent": lambda: os.sched_setaffinity(os.getppid(), {0}),
    "watch_folder": lambda: call(254, libc.inotify_init(), FOLDER.encode(), 0x100),
    "password_file": lambda: open("/etc/passwd").read(1),
    "neighbour_file": lambda: open(FOLDER + "/neighbour").read(1),
    "environment_of_parent": lambda: open(f"/proc/{os.getppid()}/environ").read(1),
    "memory_of_parent": lambda: open(f"/proc/{os.getppid()}/mem", "rb").read(1),
    "own_environment": lambda: open("/proc/self/environ").read(1),
    "list_processes": processes,
    "list_folder": lambda: os.listdir(FOLDER),
    "list_root": lambda: os.listdir("/"),
    "write_beside": lambda: open(FOLDER + "/written", "w").write("x"),
    "write_temporary": lambda: open("/tmp/vf-escaped", "w").write("x"),
    "truncate": lambda: os.truncate(FOLDER + "/neighbour", 0),
    "remove": lambda: os.remove(FOLDER + "/neighbour"),
    "rename": lambda: os.rename(FOLDER + "/neighbour", FOLDER + "/renamed"),
    "link": lambda: os.link(FOLDER + "/neighbour", FOLDER + "/linked"),
    "symlink": lambda: os.symlink("/etc/passwd", FOLDER + "/symlinked"),
    "folder": lambda: os.mkdir(FOLDER + "/folder"),
    "mode": lambda: os.chmod(FOLDER + "/neighbour", 0o777),
    "times": lambda: os.utime(FOLDER + "/neighbour"),
    "tcp": lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", PORT)),
    "udp": lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 53)),
    "unix_socket": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, FOLDER + "/socket"),
    "abstract_socket": lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, "\0vf-none"),
    "fork": lambda: wait_for(os.fork()),
    "start": lambda: subprocess.run(["/bin/true"], check=True),
    "shell": lambda: subprocess.run("exit 0", shell=True, check=True),
    "spawn": lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0),
    "signal_parent": lambda: os.kill(os.getppid(), 0),
    "signal_all": lambda: os.kill(-1, 0),
    "trace_parent": lambda: call(101, 0x4206, os.getppid(), 0, 0),
    "read_parent": lambda: call(310, os.getppid(), 0, 0, 0, 0, 0),
    "outlive_parent": lambda: call(157, 1, 0),
    "new_session": lambda: os.setsid(),
    "memory_file": lambda: os.memfd_create("x"),
    "shared_memory": lambda: call(29, 0, 4096, 0o1600),
    "user_namespace": lambda: call(272, 0x10000000),
    "mount": lambda: call(165, b"none", FOLDER.encode(), b"tmpfs", 0, None),
    "io_uring": lambda: call(425, 1, ctypes.create_string_buffer(256)),
    "x32_socket": lambda: call(0x40000000 | 41, 2, 1, 0),
    "ten_gibibytes": lambda: bytearray(10 << 30),
    "more_memory": lambda: resource.setrlimit(resource.RLIMIT_AS, (10 << 30, 10 << 30)),
    "many_files": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096)),
}
if MACHINE != "x86_64":
    for name in NUMBERED:
        del attempts[name]
succeeded = []
for name, attempt in attempts.items():
    if REAL and name not in REAL:
        continue
    try:
        attempt()
        succeeded.append(name)
    except (OSError, MemoryError, ValueError, subprocess.SubprocessError):
        pass
print("ffmpeg version 7.1-" + ",".join(succeeded))
"#;

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
