//! Revisions of workers side by side on one queue.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::place::{Kind, Place, wait};
use super::process::Worker;
use super::video;

/// Starts a worker of a revision.
fn worker(place: &Place, revision: &str, env: &[(&str, &str)], args: &[&str]) -> Worker {
    place.worker(&[&[("VF_REVISION", revision)], env].concat(), args)
}

fn status(place: &Place) -> Value {
    serde_json::from_str(&place.stdout(&["fleet", "status", "--json"])).unwrap()
}

/// Returns the entry of a revision.
fn of(status: &Value, revision: &str) -> Value {
    let revisions = status["revisions"].as_array().unwrap();
    let found = revisions.iter().find(|found| found["revision"] == revision);
    found.cloned().unwrap_or(Value::Null)
}

fn wait_for_ready(place: &Place, revision: &str, workers: u64) {
    wait(&format!("{workers} workers of {revision} are ready"), || {
        of(&status(place), revision)["ready"] == workers
    });
}

/// Stops workers, which then leave no files.
fn stop(workers: impl IntoIterator<Item = Worker>) {
    for mut worker in workers {
        worker.signal("TERM");
        assert!(worker.wait().success(), "{}", worker.log());
    }
}

/// Submits jobs that take part of a second each.
fn submit(place: &Place, jobs: usize) -> Vec<String> {
    let one = |_| place.submit(video::short(), &["--fps", "5"]);
    (0..jobs).map(one).collect()
}

fn wait_for_all(place: &Place, ids: &[String]) {
    for id in ids {
        place.wait_for(id, |job| job["status"] == "completed");
    }
}

#[test]
fn only_the_active_revision_receives_messages() {
    for kind in [Kind::Sqlite, Kind::Deployed] {
        let Some(place) = Place::of(kind) else { continue };
        place.stdout(&["migrate", "up"]);
        let blue = worker(&place, "blue", &[], &[]);
        wait_for_ready(&place, "blue", 1);
        let green = worker(&place, "green", &[], &[]);
        wait_for_ready(&place, "green", 1);
        wait_for_all(&place, &submit(&place, 3));
        wait("blue reports its jobs", || {
            of(&status(&place), "blue")["completed"] == 3
        });
        let found = status(&place);
        assert_eq!(found["active"], "blue");
        assert_eq!(of(&found, "green")["completed"], 0, "{found}");
        assert_eq!(place.stdout(&["fleet", "activate", "green"]), "active: green\n");
        wait_for_all(&place, &submit(&place, 3));
        wait("green reports its jobs", || {
            of(&status(&place), "green")["completed"].as_u64() >= Some(2)
        });
        let found = status(&place);
        // The poll of blue may have begun before the activation; only its claim would be refused.
        assert_eq!(of(&found, "blue")["completed"], 3, "{found}");
        assert_eq!(
            (&found["active"], &found["previous"]),
            (&"green".into(), &"blue".into())
        );
        assert_eq!(place.stdout(&["fleet", "rollback", "green"]), "active: blue\n");
        stop([blue, green]);
        place.check(6);
    }
}

#[test]
fn a_revision_whose_workers_are_gone_is_replaced_unless_the_other_stands_by() {
    let place = Place::sqlite();
    let blue = worker(&place, "blue", &[], &[]);
    wait_for_ready(&place, "blue", 1);
    let standby = worker(&place, "red", &[], &["--standby"]);
    wait_for_ready(&place, "red", 1);
    blue.signal("KILL");
    wait("the worker of blue is lost", || {
        of(&status(&place), "blue")["lost"] == 1
    });
    let ids = submit(&place, 1);
    let green = worker(&place, "green", &[], &[]);
    wait_for_all(&place, &ids);
    let found = status(&place);
    assert_eq!(found["active"], "green", "{found}");
    assert_eq!(of(&found, "red")["role"], "standby");
    assert!(!standby.log().contains("receiving messages"), "{}", standby.log());
    assert!(green.log().contains("revision is active; receiving messages"));
}

#[test]
fn a_shift_completes_under_load_and_a_bad_revision_is_rolled_back() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    place.stdout(&["migrate", "up"]);
    // Every job is extracted.
    let start = |revision: &str, env: &[(&str, &str)]| {
        worker(&place, revision, &[&[("VF_REUSE", "off")], env].concat(), &[])
    };
    let blue = [start("blue", &[]), start("blue", &[])];
    wait_for_ready(&place, "blue", 2);
    let shift = |revision: &str| {
        let args = ["fleet", "shift", revision, "--canary", "50%", "--jobs", "1"];
        place.command(&[&args[..], &["--bake", "2s", "--wait", "1m"]].concat())
    };
    let mut ids = Vec::new();

    // Never ready.
    let output = place.output(&["fleet", "shift", "absent", "--wait", "1s"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(24), "{stderr}");
    assert!(stderr.contains("0 of 1 worker is ready"), "{stderr}");

    // Crashes during its first job. The canary competes with blue for each message.
    let mut crashing = start("crashing", &[("VF_FAULT", "extracting=kill")]);
    let mut shifting = Worker::start(shift("crashing"));
    wait("the canary crashed", || {
        ids.extend(submit(&place, 1));
        !crashing.is_running()
    });
    assert_eq!(crashing.wait().signal(), Some(9));
    assert_eq!(shifting.wait().code(), Some(24), "{}", shifting.log());
    assert!(shifting.log().contains("1 lost worker"), "{}", shifting.log());
    assert_eq!(status(&place)["active"], "blue");

    // Fails with a fault of the system.
    let panicking = start("panicking", &[("VF_FAULT", "prepared=panic")]);
    let mut shifting = Worker::start(shift("panicking"));
    wait("the shift ends", || {
        ids.extend(submit(&place, 1));
        !shifting.is_running()
    });
    assert_eq!(shifting.wait().code(), Some(24), "{}", shifting.log());
    assert!(
        shifting.log().contains("with a fault of the system"),
        "{}",
        shifting.log()
    );
    assert_eq!(status(&place)["active"], "blue");
    stop([panicking]);

    let green = start("green", &[]);
    let mut shifting = shift("green").stdout(Stdio::piped()).spawn().unwrap();
    wait("the shift ends", || {
        ids.extend(submit(&place, 1));
        shifting.try_wait().unwrap().is_some()
    });
    let output = shifting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let steps = [
        "green: workers are ready",
        "green: canary at 50% for 4s",
        "green: active; checking for 4s",
        "green: shifted",
    ];
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout.lines().collect::<Vec<_>>(), steps);
    wait_for_all(&place, &ids);
    assert_eq!(status(&place)["active"], "green");
    stop(blue.into_iter().chain([green]));
    for row in place.check(ids.len()) {
        assert_eq!(row["status"], "completed", "{row}");
    }
}

#[test]
fn a_cancelled_shift_is_rolled_back() {
    let place = Place::sqlite();
    let _blue = worker(&place, "blue", &[], &[]);
    let _green = worker(&place, "green", &[], &["--standby"]);
    wait_for_ready(&place, "blue", 1);
    let mut shift = place.worker_command(&["fleet", "shift", "green", "--bake", "10m"]);
    wait("green is the canary", || {
        status(&place)["canary"]["revision"] == "green"
    });
    shift.signal("INT");
    assert_eq!(shift.wait().code(), Some(130));
    let found = status(&place);
    assert_eq!(
        (&found["active"], &found["canary"]),
        (&"blue".into(), &Value::Null)
    );
}

/// The agent of an ECS task, which records the requests for protection.
struct Agent {
    address: String,
    requests: Arc<Mutex<Vec<Value>>>,
}

impl Agent {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v4/task", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Value>>> = Arc::default();
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                let (mut line, mut length) = (String::new(), 0);
                lines.read_line(&mut line).unwrap();
                let start = line.clone();
                while line.trim() != "" {
                    line.clear();
                    lines.read_line(&mut line).unwrap();
                    if let Some((name, value)) = line.split_once(':')
                        && name.eq_ignore_ascii_case("content-length")
                    {
                        length = value.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                lines.read_exact(&mut body).unwrap();
                let answer = match start.split(' ').nth(1).unwrap() {
                    "/v4/task/task" => json!({"Family": "videoframes", "Revision": "17"}),
                    _ => {
                        assert!(
                            start.starts_with("PUT /v4/task/task-protection/v1/state "),
                            "{start}"
                        );
                        let request: Value = serde_json::from_slice(&body).unwrap();
                        seen.lock().unwrap().push(request.clone());
                        json!({"protection": {"ProtectionEnabled": request["ProtectionEnabled"]}})
                    }
                };
                let answer = answer.to_string();
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close",
                    answer.len()
                );
                stream
                    .write_all(format!("{head}\r\n\r\n{answer}").as_bytes())
                    .unwrap();
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<Value> {
        self.requests.lock().unwrap().clone()
    }
}

#[test]
fn an_ecs_task_is_protected_while_it_processes_jobs() {
    let place = Place::sqlite();
    let agent = Agent::start();
    let env = [
        ("VF_REVISION", "ecs"),
        // Shorter than the job.
        ("VF_GRACE", "200ms"),
        ("ECS_AGENT_URI", &agent.address),
        ("ECS_CONTAINER_METADATA_URI_V4", &agent.address),
    ];
    let mut worker = place.worker(&env, &[]);
    wait_for_ready(&place, "videoframes:17", 1);
    assert_eq!(
        agent.requests(),
        Vec::<Value>::new(),
        "an idle task is not protected"
    );
    let protect = json!({"ProtectionEnabled": true, "ExpiresInMinutes": 5});
    let drop = json!({"ProtectionEnabled": false});
    let id = place.submit(video::long(), &["--fps", "1", "-f", "png"]);
    wait("the task is protected", || agent.requests() == [protect.clone()]);
    assert_eq!(place.job(&id)["status"], "processing");
    worker.signal("TERM");
    wait("the protection is dropped first", || {
        agent.requests() == [protect.clone(), drop.clone()]
    });
    assert!(worker.wait().success(), "{}", worker.log());
    let mut worker = place.worker(&env, &["--until-idle"]);
    assert!(worker.wait().success(), "{}", worker.log());
    assert_eq!(agent.requests()[2..], [protect, drop]);
    assert_eq!(
        place.check(1)[0]["attempts"],
        1,
        "the released job lost no attempt"
    );
}

#[test]
fn wrong_revisions_are_refused() {
    let place = Place::sqlite();
    for (env, args, expected) in [
        (
            ("VF_REVISION", "a b"),
            &["run"][..],
            "VF_REVISION: 'a b' is not ecs, or a name",
        ),
        (
            ("VF_REVISION", ""),
            &["run", "--standby"],
            "--standby needs VF_REVISION",
        ),
        (
            ("VF_REVISION", "ecs"),
            &["run"],
            "VF_REVISION is 'ecs', but ECS_CONTAINER_METADATA_URI_V4 is not set",
        ),
    ] {
        let mut command = place.command(args);
        let output = command.env(env.0, env.1).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
    let output = place.output(&["fleet", "activate", "missing"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("no worker of 'missing' runs"), "{stderr}");
    let output = place.output(&["fleet", "check", "missing"]);
    assert_eq!(output.status.code(), Some(24), "{output:?}");
    let place = Place::sqlite();
    let output = place.output(&["fleet", "canary", "green"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(20), "{stderr}");
    assert!(stderr.contains("no revision is active"), "{stderr}");
}
