//! Logs of several workers, shipped through rsyslog.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::log;
use super::place::{Place, wait};
use super::video;

/// A running rsyslogd.
struct Collector {
    child: Child,
    folder: tempfile::TempDir,
}

impl Collector {
    /// Starts a collector of `files`, with the configuration of docs/monitoring.md. Returns `None` with a message if
    /// there is no rsyslogd.
    fn start(files: &[&Path]) -> Option<Self> {
        let Some(program) = std::env::var_os("VF_TEST_RSYSLOGD") else {
            eprintln!("skipped: VF_TEST_RSYSLOGD names no rsyslogd");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let inputs: Vec<_> = files
            .iter()
            .map(|file| {
                format!(
                    "input(type=\"imfile\" file=\"{}\" tag=\"vf-worker:\")",
                    file.display()
                )
            })
            .collect();
        let configuration = format!(
            "global(workDirectory=\"{}\" maxMessageSize=\"64k\")\n\
             module(load=\"imfile\" mode=\"polling\" pollingInterval=\"1\")\n\
             template(name=\"line\" type=\"string\" string=\"%msg%\\n\")\n\
             {}\n\
             action(type=\"omfile\" file=\"{}\" template=\"line\")\n",
            folder.path().display(),
            inputs.join("\n"),
            path("collected").display()
        );
        std::fs::write(path("rsyslog.conf"), configuration).unwrap();
        let child = Command::new(program)
            .args(["-n", "-f"])
            .arg(path("rsyslog.conf"))
            .arg("-i")
            .arg(path("pid"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { child, folder })
    }

    fn collected(&self) -> String {
        let file: PathBuf = self.folder.path().join("collected");
        std::fs::read_to_string(file).unwrap_or_default()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_collector_of_several_workers_keeps_every_line_and_the_story_of_a_job() {
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    let id = place.submit(video::short(), &[]);
    let other = place.submit(video::short(), &["-n", "1"]);
    // The first worker fails its first attempt and stops; the second worker completes the jobs.
    let environment = [("VF_FAULT", "extracting=panic"), ("VF_RETRY_FIRST", "5s")];
    let mut first = place.worker(&environment, &[]);
    place.wait_for(&id, |job| job["status"] == "retry_wait");
    first.signal("TERM");
    assert!(first.wait().success(), "{}", first.log());
    let mut second = place.worker(&[], &["--until-idle"]);
    let Some(collector) = Collector::start(&[first.log_file(), second.log_file()]) else {
        return;
    };
    assert!(second.wait().success(), "{}", second.log());
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let written = sorted(&format!("{}{}", first.log(), second.log()));
    wait("all lines are collected", || {
        let collected = collector.collected();
        collected.ends_with('\n') && collected.lines().count() >= written.len()
    });
    let collected = collector.collected();
    assert_eq!(sorted(&collected), written, "every line arrives unchanged");

    let lines = log::check(&collected);
    let story: Vec<_> = lines.iter().filter(|line| line["job.id"] == *id).collect();
    let of = |attempt: u64, message: &str| {
        story
            .iter()
            .find(|line| line["job.attempt"] == attempt && line["message"] == message)
            .unwrap_or_else(|| panic!("no '{message}' of attempt {attempt} in {story:#?}"))
    };
    let failed = of(1, "attempt failed; scheduled another");
    let completed = of(2, "job completed");
    assert_ne!(failed["service.instance.id"], completed["service.instance.id"]);
    assert!(lines.iter().any(|line| line["job.id"] == *other));
}
