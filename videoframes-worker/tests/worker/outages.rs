//! Servers that are unavailable, lose their data, or reject the credentials.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::cloud::Cloud;
use super::place::{Kind, Place, wait};
use super::resources;
use super::server::{Postgres, script};
use super::video;

#[test]
fn wrong_credentials_are_a_one_line_error() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    let mut run = place.command(&["run"]);
    let refused = run.env("AWS_SECRET_ACCESS_KEY", "wrong").output().unwrap();
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(21), "{stderr}");
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error:")).collect();
    assert_eq!(errors.len(), 1, "{stderr}");
    assert!(errors[0].contains("credentials are wrong"), "{stderr}");
    assert!(
        !stderr.contains("videoframes-secret") && !stderr.contains("panicked"),
        "{stderr}"
    );

    let mut run = place.command(&["run"]);
    let missing = run.env("VF_INPUT_QUEUE", "sqs:no-such-queue").output().unwrap();
    let stderr = String::from_utf8_lossy(&missing.stderr);
    assert_eq!(missing.status.code(), Some(21), "{stderr}");
    assert!(stderr.contains("no-such-queue"), "{stderr}");
}

/// A private SQS server that a test may stop.
struct Server {
    folder: tempfile::TempDir,
    address: String,
}

impl Server {
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let address = ministack(&["start", folder.path().to_str().unwrap()])?;
        Some(Self { folder, address })
    }

    fn signal(&self, name: &str) {
        let id = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        // Another process of the group answers requests.
        let group = format!("-{}", id.trim());
        let sent = Command::new("kill").args(["-s", name, "--", &group]).status();
        assert!(sent.unwrap().success());
    }

    /// Kills the server with all data, and starts a new server at the same address.
    fn restart(&self) {
        self.signal("KILL");
        let folder = self.folder.path().to_str().unwrap();
        ministack(&["stop", folder]);
        let port = self.address.rsplit(':').next().unwrap();
        ministack(&["start", folder, port]).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A frozen process does not end.
        self.signal("CONT");
        ministack(&["stop", self.folder.path().to_str().unwrap()]);
    }
}

fn ministack(args: &[&str]) -> Option<String> {
    script("ministack", args)
}

#[test]
fn a_restart_of_the_database_costs_no_attempt() {
    let Some(server) = Postgres::start() else { return };
    let Some(place) = Place::at(&server.address).with_cloud(Cloud::new) else {
        return;
    };
    let running = place.submit(video::long(), &["--fps", "4", "-f", "png"]);
    let mut worker = place.worker(&[], &[]);
    for _ in 0..2 {
        let done = place.job(&running)["frames_done"].as_u64().unwrap();
        place.wait_for(&running, |job| job["frames_done"].as_u64().unwrap() > done);
        assert_eq!(place.job(&running)["status"], "processing");
        server.restart();
    }
    let job = place.wait_for(&running, |job| job["status"] == "completed");
    assert_eq!(
        (&job["attempts"], &job["crash_count"]),
        (&1.into(), &0.into()),
        "{job}"
    );
    wait("the notification is sent", || !place.notifications().is_empty());
    let next = place.submit(video::short(), &["-n", "1"]);
    place.wait_for(&next, |job| job["status"] == "completed");
    wait("both notifications are sent", || place.notifications().len() >= 2);
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    place.check(2);
}

/// Starts a waiting command in the background, with captured output.
fn waiting(place: &Place, args: &[&str], env: &[(&str, &str)]) -> Child {
    let mut command = place.command(args);
    command.envs(env.iter().copied());
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads one line of the output of a command.
fn line(command: &mut Child) -> String {
    let mut line = String::new();
    // Reads single bytes, so that bytes after the line stay in the pipe.
    let (stdout, mut byte) = (command.stdout.as_mut().unwrap(), [0]);
    while stdout.read_exact(&mut byte).is_ok() && byte != *b"\n" {
        line.push(char::from(byte[0]));
    }
    line
}

#[test]
fn waiting_commands_survive_a_restart_of_the_database() {
    let Some(server) = Postgres::start() else { return };
    let place = Place::at(&server.address);
    place.stdout(&["migrate", "up"]);
    let video = video::short().to_str().unwrap();
    let mut submit = waiting(&place, &["submit", video, "-n", "1", "--wait"], &[]);
    let id = line(&mut submit);
    let mut follow = waiting(&place, &["notifications", "--follow"], &[]);
    place.notify(&["first".to_owned()]);
    assert_eq!(line(&mut follow), "first");
    server.restart();
    place.finish();
    let submitted = submit.wait_with_output().unwrap();
    assert!(submitted.status.success(), "{submitted:?}");
    let reported: Value = serde_json::from_str(&line(&mut follow)).unwrap();
    assert_eq!(reported["subject"], id.as_str());
    follow.kill().unwrap();
    follow.wait().unwrap();

    // The retries end with VF_OUTAGE_TIMEOUT.
    let limited = [("VF_OUTAGE_TIMEOUT", "1s")];
    let submit = waiting(&place, &["submit", video, "-n", "2", "--wait"], &limited);
    wait("the job is submitted", || place.jobs().len() == 2);
    drop(server);
    let gave_up = submit.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&gave_up.stderr);
    assert_eq!(gave_up.status.code(), Some(21), "{stderr}");
    assert!(stderr.contains("retrying for up to 1s"), "{stderr}");
}

#[test]
fn a_silent_database_server_is_reported_soon_and_times_out() {
    // The server accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let place = Place::sqlite();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vf-worker"));
    command
        .env(
            "DATABASE_URL",
            format!("postgres://user:s3cret@127.0.0.1:{port}/db"),
        )
        .env("VF_STORAGE", format!("file:{}", place.folder.path().display()));
    let began = std::time::Instant::now();
    let output = command.arg("jobs").output().unwrap();
    assert!(
        began.elapsed() < std::time::Duration::from_secs(25),
        "{:?}",
        began.elapsed()
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(21), "{stderr}");
    assert!(stderr.contains("the database does not respond yet"), "{stderr}");
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error:")).collect();
    let expected =
        format!("error: failed to connect to the database 'db' at 127.0.0.1:{port}: no answer within 15s");
    assert_eq!(errors, [expected]);
}

/// Creates a place whose queues are in a private server.
fn with_own_queues() -> Option<(Server, Place)> {
    resources::named("VF_TEST_SQS", "skipped")?;
    let server = Server::start()?;
    let place = Place::of(Kind::Postgres)?.with_cloud(async || Cloud::at(&server.address).await)?;
    Some((server, place))
}

#[test]
fn a_silent_queue_only_delays_jobs() {
    let Some((server, place)) = with_own_queues() else {
        return;
    };
    let running = place.submit(video::long(), &["--fps", "4", "-f", "png"]);
    let mut worker = place.worker(&[], &[]);
    place.wait_for(&running, |job| job["frames_done"].as_u64().unwrap() > 0);
    server.signal("STOP");
    let started = place.job(&running)["attempts"].clone();
    place.wait_for(&running, |job| job["status"] == "completed");
    assert_eq!(
        place.job(&running)["attempts"],
        started,
        "no new attempt was started"
    );
    server.signal("CONT");
    // The worker receives new messages again, and sends the delayed notifications.
    let next = place.submit(video::short(), &["-n", "1"]);
    place.wait_for(&next, |job| job["status"] == "completed");
    wait("both notifications are sent", || place.notifications().len() >= 2);
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    place.check(2);
}

#[test]
fn an_empty_queue_after_a_restart_loses_no_job() {
    let Some((server, place)) = with_own_queues() else {
        return;
    };
    let ids = [(); 3].map(|()| place.submit(video::short(), &["-n", "1"]));
    server.restart();
    // A worker does not start without its queues.
    assert_eq!(place.output(&["run"]).status.code(), Some(21));
    place.make_queues();
    let mut worker = place.worker(&[], &[]);
    for id in &ids {
        place.wait_for(id, |job| job["status"] == "completed");
    }
    // Again, with a running worker.
    server.restart();
    place.make_queues();
    let last = place.submit(video::short(), &["-n", "2"]);
    place.wait_for(&last, |job| job["status"] == "completed");
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    let rows: Vec<Value> = place.jobs();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row["attempts"] == 1), "{rows:?}");
}
