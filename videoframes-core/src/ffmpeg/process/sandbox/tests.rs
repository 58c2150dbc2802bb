//! Attempts to escape by a child that writes files. Integration tests cover children that write to pipes only.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{SandboxMode, SandboxStatus};
use crate::ffmpeg::process::child::{ChildGroup, for_each_line};
use crate::ffmpeg::process::program::Program;

/// Writes what the child may write, after the attempts.
const WRITES: &str = r#"
import sys
if sys.argv[1] == "-version":
    sys.exit()
with open(sys.argv[2].removeprefix("file:"), "r+") as output:
    output.truncate(0)
    output.write("a video")
with open(SCRATCH + "/statistics", "w") as statistics:
    statistics.write("two passes")
os.remove(SCRATCH + "/old")
"#;

/// Creates a program that makes all attempts and then writes its output.
fn program(folder: &Path, scratch: &Path, port: u16) -> Program {
    let attempts = include_str!("../../../../tests/escapes.py");
    let path = folder.join("ffmpeg");
    let text = format!(
        "#!/usr/bin/python3\nFOLDER = {folder:?}\nPORT = {port}\nREAL = []\nSCRATCH = {scratch:?}\n{attempts}{WRITES}"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Program::from(path)
        .with_sandbox(SandboxMode::Require)
        .with_folder(scratch)
}

fn is_complete(status: &SandboxStatus) -> bool {
    if let Some(missing) = status.missing() {
        assert!(
            std::env::var_os("CI").is_none(),
            "all tests are required, but {missing}"
        );
        eprintln!("skipped: {missing}");
    }
    status.is_complete()
}

#[test]
fn a_child_that_writes_its_output_cannot_escape() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let [scratch, output] = ["scratch", "out.mp4"].map(|name| folder.join(name));
    fs::create_dir(&scratch).unwrap();
    for file in [folder.join("neighbour"), scratch.join("old"), output.clone()] {
        fs::write(file, "kept").unwrap();
    }
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let program = program(folder, &scratch, server.local_addr().unwrap().port());
    if !is_complete(&program.sandbox_status()) {
        return;
    }
    let named = format!("file:{}", output.display());
    let mut child = ChildGroup::ffmpeg(&program, vec!["-y".into(), named.into()]).unwrap();
    let mut lines = Vec::new();
    let mut errors = Vec::new();
    for_each_line(child.take_stdout().unwrap(), |line| {
        lines.push(line.to_owned());
        true
    });
    for_each_line(child.take_stderr().unwrap(), |line| {
        errors.push(line.to_owned());
        true
    });
    assert_eq!(lines, ["ffmpeg version 7.1-"], "{errors:?}");
    assert_eq!(fs::read_to_string(folder.join("neighbour")).unwrap(), "kept");
    assert_eq!(fs::read_to_string(output).unwrap(), "a video", "{errors:?}");
    assert_eq!(
        fs::read_to_string(scratch.join("statistics")).unwrap(),
        "two passes"
    );
    assert!(!scratch.join("old").exists());
    let mut left: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["ffmpeg", "neighbour", "out.mp4", "scratch"]);
}
