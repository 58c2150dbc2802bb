//! Cancelled jobs.

use super::place::{Place, wait};
use super::video;

#[test]
fn a_waiting_job_is_cancelled_at_once_with_a_notification() {
    let place = Place::sqlite();
    let id = place.submit(video::short(), &[]);
    place.stdout(&["cancel", &id]);
    assert_eq!(place.job(&id)["status"], "cancelled");
    place.stdout(&["cancel", &id]);
    place.finish();
    let rows = place.check(1);
    assert_eq!(
        (&rows[0]["attempts"], &rows[0]["error_code"]),
        (&0.into(), &"CANCELLED".into())
    );
}

#[test]
fn a_cancelled_job_stops_its_decoder_and_leaves_no_files() {
    let place = Place::sqlite();
    let id = place.submit(video::long(), &["--all", "-f", "png"]);
    let mut worker = place.worker(&[], &[]);
    place.wait_for(&id, |job| job["frames_done"].as_u64() > Some(0));
    assert!(!place.decoders().is_empty());
    place.stdout(&["cancel", &id]);
    // Two heartbeats take one second in this test; the cancellation must end the job long before completion.
    let since = std::time::Instant::now();
    wait("the decoder ends", || place.decoders().is_empty());
    assert!(since.elapsed().as_secs() < 10, "{:?}", since.elapsed());
    place.wait_for(&id, |job| job["status"] == "cancelled");
    worker.signal("TERM");
    assert!(worker.wait().success());
    assert_eq!(place.archives(), Vec::<String>::new());
    place.check(1);
}

#[test]
fn a_cancelled_job_can_be_retried_with_a_new_notification() {
    let place = Place::sqlite();
    let id = place.submit(video::short(), &[]);
    place.stdout(&["cancel", &id]);
    place.stdout(&["retry", &id]);
    place.finish();
    let rows = place.check(1);
    assert_eq!(
        (&rows[0]["status"], &rows[0]["generation"]),
        (&"completed".into(), &1.into())
    );
    assert_eq!(place.notifications().len(), 2);
    assert_eq!(place.output(&["cancel", &id]).status.code(), Some(20));
    assert_eq!(place.output(&["retry", &id]).status.code(), Some(20));
}

#[test]
fn a_job_past_its_deadline_is_stopped() {
    let place = Place::sqlite();
    let id = place.submit(video::long(), &["--all", "-f", "png", "--deadline", "3"]);
    place.finish();
    let rows = place.check(1);
    assert_eq!(rows[0]["error_code"], "DEADLINE_EXCEEDED", "{id}: {}", rows[0]);
}
