//! Workers that receive signals to stop or freeze.

use serde_json::Value;

use super::kills::POINTS;
use super::place::{EVERYWHERE, Kind, Place, wait};
use super::video;

const SLOW: &[&str] = &["--all", "-f", "png"];

#[test]
fn an_idle_worker_stops_at_once() {
    let place = Place::sqlite();
    for signal in ["TERM", "INT"] {
        let mut worker = place.worker(&[], &[]);
        wait("the worker starts a job", || {
            worker.log().contains("processor started")
        });
        worker.signal(signal);
        assert!(worker.wait().success(), "{}", worker.log());
    }
    place.check(0);
}

/// Asserts that a worker stopped at a step exits with 0, and that the job is done or available at once.
fn terminated_at(kind: Kind, point: &str) {
    let Some(place) = Place::of(kind) else { return };
    let id = place.submit(video::short(), &["--all"]);
    let fault = format!("{point}=term");
    let mut worker = place.worker(&[("VF_FAULT", &fault), ("VF_GRACE", "2s")], &[]);
    let status = worker.wait();
    assert!(status.success(), "{point}: {status:?}\n{}", worker.log());
    let job = place.job(&id);
    match job["status"].as_str().unwrap() {
        "pending" => assert_eq!(
            (&job["attempts"], &job["crash_count"]),
            (&0.into(), &0.into()),
            "{point}: {job}"
        ),
        "completed" => assert_eq!(job["attempts"], 1, "{point}: {job}"),
        other => panic!("{point}: the job is {other}\n{}", worker.log()),
    }
    place.finish();
    let rows = place.check(1);
    assert_eq!(
        (&rows[0]["status"], &rows[0]["attempts"]),
        (&"completed".into(), &1.into()),
        "{point}"
    );
}

#[test]
fn a_worker_stopped_at_any_step_exits_with_0() {
    for kind in EVERYWHERE {
        for points in POINTS.chunks(5) {
            std::thread::scope(|scope| {
                for point in points {
                    scope.spawn(|| terminated_at(kind, point));
                }
            });
        }
    }
}

#[test]
fn a_job_that_exceeds_the_grace_period_is_released_with_its_attempt() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        let id = place.submit(video::long(), SLOW);
        let mut worker = place.worker(&[("VF_GRACE", "1s")], &[]);
        place.wait_for(&id, |job| job["frames_done"].as_u64() > Some(0));
        worker.signal("TERM");
        assert!(worker.wait().success(), "{}", worker.log());
        let job = place.job(&id);
        assert_eq!(
            (&job["status"], &job["attempts"]),
            (&"pending".into(), &0.into()),
            "{job}"
        );
        assert_eq!(job["lease_owner"], Value::Null);
        assert_eq!(place.decoders(), Vec::<i32>::new());
        assert_eq!(place.archives(), Vec::<String>::new());
        // The message is visible at once: the next worker receives the job before the lease would end.
        let other = place.worker(&[("VF_LEASE", "1h"), ("VF_OVERDUE", "1h")], &[]);
        place.wait_for(&id, |job| job["status"] == "processing");
        place.stdout(&["cancel", &id]);
        place.wait_for(&id, |job| job["status"] == "cancelled");
        drop(other);
    }
}

#[test]
fn a_second_signal_ends_the_worker_at_once_without_losses() {
    let place = Place::sqlite();
    let id = place.submit(video::long(), SLOW);
    let mut worker = place.worker(&[("VF_GRACE", "10m")], &[]);
    place.wait_for(&id, |job| job["frames_done"].as_u64() > Some(0));
    worker.signal("TERM");
    wait("the worker takes no new jobs", || {
        worker.log().contains("no new work")
    });
    worker.signal("TERM");
    assert_eq!(worker.wait().code(), Some(130));
    wait("its decoder ends with it", || place.decoders().is_empty());
    place.stdout(&["cancel", &id]);
    place.finish();
    assert_eq!(place.check(1)[0]["status"], "cancelled");
}

/// Returns the environment of a worker that freezes. A sweep, a relay, a heartbeat or a report that is frozen inside a
/// transaction would lock SQLite for all workers. The worker freezes before the second heartbeat.
pub(super) fn frozen_at(fault: &str) -> [(&str, &str); 5] {
    [
        ("VF_FAULT", fault),
        ("VF_HEARTBEAT", "2700ms"),
        ("VF_LEASE", "6s"),
        ("VF_SWEEP_INTERVAL", "1h"),
        ("VF_RELAY_INTERVAL", "1h"),
    ]
}

/// Returns a job without its history: workers record the stages of an attempt after its end.
fn row(mut job: Value) -> Value {
    job.as_object_mut().unwrap().remove("history").unwrap();
    job
}

#[test]
fn a_worker_frozen_past_its_lease_changes_nothing_afterwards() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        let id = place.submit(video::short(), &["--fps", "5"]);
        // The worker freezes between the upload of the archive and the commit of the outcome.
        let mut zombie = place.worker(&frozen_at("uploaded=stop"), &[]);
        wait("the worker is frozen", || zombie.is_stopped());
        let other = place.worker(&[], &[]);
        let done = place.wait_for(&id, |job| job["status"] == "completed");
        assert_eq!(done["lease_epoch"], 2);
        drop(other);
        zombie.signal("CONT");
        wait("its commit hits nothing", || {
            zombie.log().contains("lost the lease")
        });
        zombie.signal("TERM");
        assert!(zombie.wait().success(), "{}", zombie.log());
        assert_eq!(row(place.job(&id)), row(done), "nothing was changed");
        place.finish();
        // The killed worker may have sent the notification without recording that.
        place.check(1);
    }
}

#[test]
fn a_worker_frozen_during_extraction_stops_afterwards() {
    let place = Place::sqlite();
    let id = place.submit(video::long(), &["--fps", "4", "-f", "png"]);
    let mut zombie = place.worker(&frozen_at("extracting=stop"), &[]);
    wait("the worker is frozen", || zombie.is_stopped());
    let other = place.worker(&[], &[]);
    let done = place.wait_for(&id, |job| job["status"] == "completed");
    zombie.signal("CONT");
    wait("the worker detects the lost lease", || {
        zombie.log().contains("lost the lease")
    });
    zombie.signal("TERM");
    assert!(zombie.wait().success());
    drop(other);
    assert_eq!(row(place.job(&id)), row(done));
    place.finish();
    place.check(1);
}
