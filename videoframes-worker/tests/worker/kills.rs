//! Workers killed at every step, and the workers that take over.

use std::os::unix::process::ExitStatusExt;

use serde_json::Value;

use super::place::{EVERYWHERE, Kind, Place, wait};
use super::video;

/// All fault points at which a worker can be killed.
pub(crate) const POINTS: &[&str] = &[
    "received",
    "claimed",
    "prepared",
    "extracting",
    "uploaded",
    "committed",
    "deleted",
    "relaytaken",
    "relaysent",
];

/// Returns the outcomes of the attempts at a job, oldest first.
fn outcomes(place: &Place, id: &str) -> Vec<Value> {
    let job = place.job(id);
    let history = job["history"].as_array().unwrap();
    assert!(
        history.iter().all(|attempt| attempt["ended_at"].is_string()),
        "{job}"
    );
    history.iter().map(|attempt| attempt["outcome"].clone()).collect()
}

fn killed_at(kind: Kind, point: &str, video: &std::path::Path, options: &[&str]) {
    let Some(place) = Place::of(kind) else { return };
    let id = place.submit(video, options);
    let fault = format!("{point}=kill");
    let mut worker = place.worker(&[("VF_FAULT", &fault)], &[]);
    let status = worker.wait();
    assert_eq!(
        status.signal(),
        Some(9),
        "{point}: it was killed\n{}",
        worker.log()
    );
    place.finish();
    let rows = place.check(1);
    assert_eq!(rows[0]["id"], id.as_str());
    assert_eq!(rows[0]["status"], "completed", "{point}: {}", rows[0]);
    let in_attempt = ["claimed", "prepared", "extracting", "uploaded", "heartbeat"];
    let expected: &[&str] = match in_attempt.contains(&point) {
        true => &["lost", "completed"],
        false => &["completed"],
    };
    assert_eq!(outcomes(&place, &id), expected, "{point}");
    if point == "uploaded" {
        assert_eq!(
            rows[0]["result"]["key"],
            format!("results/{id}/1.zip"),
            "the archive is adopted"
        );
    }
}

fn killed_at_each_step(kind: Kind) {
    // Most of the time is spent waiting for leases to end.
    for points in POINTS.chunks(5) {
        std::thread::scope(|scope| {
            for point in points {
                scope.spawn(|| killed_at(kind, point, video::short(), &["--fps", "5"]));
            }
        });
    }
}

#[test]
fn a_worker_killed_at_any_step_loses_nothing_on_sqlite() {
    killed_at_each_step(Kind::Sqlite);
}

#[test]
fn a_worker_killed_at_any_step_loses_nothing_on_postgres() {
    killed_at_each_step(Kind::Postgres);
}

#[test]
fn a_worker_killed_at_any_step_loses_nothing_on_buckets_and_queues() {
    killed_at_each_step(Kind::Deployed);
}

#[test]
fn a_worker_killed_between_heartbeats_loses_nothing() {
    for kind in EVERYWHERE {
        killed_at(kind, "heartbeat", video::long(), &["--fps", "4", "-f", "png"]);
    }
}

#[test]
fn a_worker_killed_with_a_message_for_a_new_job_loses_nothing() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        place.stdout(&["migrate", "up"]);
        place.put("v.mp4", &std::fs::read(video::short()).unwrap());
        place.send(r#"{"version": 1, "source": {"key": "v.mp4"}}"#);
        let mut worker = place.worker(&[("VF_FAULT", "validated=kill")], &[]);
        assert_eq!(worker.wait().signal(), Some(9));
        place.finish();
        assert_eq!(place.check(1)[0]["status"], "completed");
    }
}

#[test]
fn a_job_that_kills_its_workers_fails_eventually() {
    let place = Place::sqlite();
    let id = place.submit(video::short(), &[]);
    for _ in 0..3 {
        let mut worker = place.worker(&[("VF_FAULT", "extracting=kill")], &[]);
        assert_eq!(worker.wait().signal(), Some(9));
    }
    place.finish();
    let rows = place.check(1);
    assert_eq!(rows[0]["status"], "failed");
    assert_eq!(rows[0]["error_code"], "WORKER_CRASH_LOOP");
    assert_eq!(outcomes(&place, &id), ["lost"; 3]);
    assert_eq!(place.archives(), Vec::<String>::new());
}

#[test]
fn a_panic_costs_one_attempt_and_the_worker_continues() {
    let place = Place::sqlite();
    let id = place.submit(video::short(), &[]);
    let mut worker = place.worker(&[("VF_FAULT", "prepared=panic")], &["--until-idle"]);
    assert!(worker.wait().success(), "{}", worker.log());
    let rows = place.check(1);
    assert_eq!(
        (&rows[0]["status"], &rows[0]["attempts"]),
        (&"completed".into(), &2.into()),
        "{id}"
    );
    assert!(
        worker.log().contains("an internal error of the worker"),
        "{}",
        worker.log()
    );
    assert_eq!(outcomes(&place, &id), ["retried", "completed"]);
    let text = place.stdout(&["job", &id]);
    let (_, history) = text.split_once("\n\n").unwrap();
    let lines: Vec<&str> = history.lines().collect();
    assert!(lines[0].starts_with("attempt  outcome    started "), "{text}");
    assert!(
        lines[1].contains("  INTERNAL: an internal error of the worker"),
        "{text}"
    );
    assert!(lines[2].starts_with("      2  completed  2"), "{text}");
    let stages = lines[4].strip_prefix("last attempt  prepare ").unwrap();
    assert!(
        stages.contains("s, extract ") && stages.contains("s, commit "),
        "{text}"
    );
}

#[test]
fn a_panic_in_the_heartbeat_costs_one_attempt_and_the_worker_continues() {
    let place = Place::sqlite();
    let id = place.submit(video::long(), &["--fps", "4", "-f", "png"]);
    let mut worker = place.worker(&[("VF_FAULT", "heartbeat=panic")], &["--until-idle"]);
    assert!(worker.wait().success(), "{}", worker.log());
    let rows = place.check(1);
    assert_eq!(
        (&rows[0]["status"], &rows[0]["attempts"], &rows[0]["crash_count"]),
        (&"completed".into(), &2.into(), &0.into()),
        "{id}: {}",
        worker.log()
    );
}

#[test]
fn a_panic_in_relay_or_sweep_costs_one_round() {
    for (point, what) in [
        ("relaytaken", "relay"),
        ("relaysent", "relay"),
        ("swept", "sweep"),
    ] {
        let place = Place::sqlite();
        let id = place.submit(video::short(), &[]);
        let fault = format!("{point}=panic");
        let mut worker = place.worker(&[("VF_FAULT", &fault)], &[]);
        place.wait_for(&id, |job| job["status"] == "completed");
        wait("a second round", || {
            worker.log().contains("task panicked") && place.notifications().len() == 1
        });
        assert!(
            worker.log().contains(&format!("\"what\":\"{what}\"")),
            "{}",
            worker.log()
        );
        // The same worker completes a job that is submitted later.
        let next = place.submit(video::short(), &["--fps", "3"]);
        place.wait_for(&next, |job| job["status"] == "completed");
        wait("the next notification", || place.notifications().len() >= 2);
        worker.signal("TERM");
        assert!(worker.wait().success(), "{}", worker.log());
        place.check(2);
    }
}
