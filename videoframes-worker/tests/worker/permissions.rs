//! Files of a worker are accessible only to its user.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use super::place::{Place, wait};
use super::video;

/// Returns a command `vf-worker` with a umask and the folder in `args`.
fn under(umask: &str, place: &Place, args: &[&str]) -> Command {
    let worker = place.command(args);
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask \"$0\"; exec \"$@\"", umask]);
    // The command must not inherit the folder of the place.
    shell.arg(worker.get_program()).args(worker.get_args().skip(2));
    for (name, value) in worker.get_envs() {
        shell.env(name, value.unwrap());
    }
    shell
}

/// Returns the paths that other users can access. Links to files of the user are excluded.
fn open_to_others(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries.filter_map(Result::ok) {
        // Files removed during the walk are skipped.
        let Ok(metadata) = entry.metadata() else { continue };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 && !(metadata.is_file() && metadata.nlink() > 1) {
            found.push(format!("{mode:o} {}", entry.path().display()));
        }
        if metadata.is_dir() {
            found.extend(open_to_others(&entry.path()));
        }
    }
    found
}

#[test]
fn a_local_folder_is_private_and_outputs_follow_the_umask() {
    for (umask, output) in [("022", 0o644), ("000", 0o666)] {
        let place = Place::sqlite();
        // The first command creates the folder.
        let local = place.folder.path().join("data");
        let local = local.to_str().unwrap();
        let stdout = |args: &[&str]| {
            let output = under(umask, &place, &[&["--local", local], args].concat())
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let folder = Path::new(local);
        let id = stdout(&[
            "submit",
            video::long().to_str().unwrap(),
            "--fps",
            "4",
            "-f",
            "png",
        ]);
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let mut run = under(umask, &place, &["--local", local, "run", "--until-idle"]);
        let mut worker = run.stderr(Stdio::null()).spawn().unwrap();
        let partial = folder.join("objects/.vf-partial");
        wait("an object is written", || {
            partial.read_dir().is_ok_and(|mut files| files.next().is_some())
        });
        assert_eq!(open_to_others(folder), [""; 0], "in work, umask {umask}");
        for name in [
            "videoframes.sqlite",
            "videoframes.sqlite-wal",
            "videoframes.sqlite-shm",
            "scratch",
        ] {
            assert!(folder.join(name).exists(), "{name}");
        }
        assert!(worker.wait().unwrap().success());
        assert_eq!(open_to_others(folder), [""; 0], "done, umask {umask}");
        let archive = place.folder.path().join("frames.zip");
        stdout(&["result", &id, "-o", archive.to_str().unwrap()]);
        assert_eq!(archive.metadata().unwrap().permissions().mode() & 0o777, output);
    }
}

#[test]
fn places_that_are_not_utf8_are_rejected() {
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"/tmp/vf-\xff");
    let place = Place::sqlite();
    let mut local = Command::new(env!("CARGO_BIN_EXE_vf-worker"));
    local.arg("--local").arg(odd).arg("jobs");
    let mut scratch = place.command(&["jobs"]);
    scratch.env("VF_SCRATCH", odd);
    for (mut command, what) in [(local, "--local"), (scratch, "VF_SCRATCH")] {
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(what) && stderr.contains("not UTF-8"), "{stderr}");
    }
}
