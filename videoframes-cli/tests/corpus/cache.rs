//! A cache of generated files: one writer at a time, and each entry complete or absent.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the cache directory.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("corpus")
}

/// Returns the ffmpeg that generates the clips and decodes the truth.
pub fn encoder() -> OsString {
    std::env::var_os("VF_TEST_FFMPEG_ENC").unwrap_or_else(|| "ffmpeg".into())
}

/// Runs `make` in an empty directory unless a directory of the same `name` and `recipe` is there,
/// and returns it. Safe between threads and processes.
pub fn kept(
    name: &str,
    recipe: &str,
    make: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let (root, io) = (directory(), |e: std::io::Error| format!("{name}: {e}"));
    fs::create_dir_all(&root).map_err(io)?;
    let lock = File::create(root.join(format!(".{name}.lock"))).map_err(io)?;
    lock.lock().map_err(io)?;
    let place = root.join(name);
    if fs::read_to_string(place.join("recipe")).is_ok_and(|kept| kept == recipe) {
        return Ok(place);
    }
    let fresh = root.join(format!(".{name}.new"));
    for old in [&fresh, &place] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(io)?;
        }
    }
    fs::create_dir(&fresh).map_err(io)?;
    make(&fresh).map_err(|e| format!("{name}: {e}"))?;
    fs::write(fresh.join("recipe"), recipe).map_err(io)?;
    fs::rename(&fresh, &place).map_err(io)?;
    Ok(place)
}

/// The output of a finished command.
pub struct Said {
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// Runs `command` with `input` on its standard input; fails for any exit status except 0.
pub fn run(command: &mut Command, input: &[u8]) -> Result<Said, String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    let mut stdin = child.stdin.take().expect("a piped standard input");
    let output = std::thread::scope(|scope| {
        // The exit status reveals a child that stops reading early.
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output()
    })
    .map_err(|e| e.to_string())?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(Said {
            stdout: output.stdout,
            stderr,
        });
    }
    let args: Vec<_> = command
        .get_args()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let tail: Vec<_> = stderr.lines().rev().take(8).collect();
    let tail: Vec<_> = tail.into_iter().rev().collect();
    Err(format!(
        "{} {}\n    {}: {}",
        command.get_program().display(),
        args.join(" "),
        output.status,
        tail.join("\n    ")
    ))
}
