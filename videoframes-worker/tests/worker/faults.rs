//! Faults between a worker and its servers do not break the guarantees.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;
use videoframes_core::testing::{Fault, ProxiedRequest, Proxy};

use super::place::{Kind, Place, RESTORE_MARK, extract, wait};
use super::process::Worker;
use super::video;

/// Options for an archive of many upload parts.
const LARGE: &[&str] = &["--fps", "4", "-f", "png"];

/// A proxy with a separate runtime.
pub(crate) struct FaultProxy {
    pub(crate) proxy: Proxy,
    _runtime: tokio::runtime::Runtime,
}

impl FaultProxy {
    fn start(server: &str, rule: impl Fn(&ProxiedRequest) -> Fault + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self {
            proxy: runtime.block_on(Proxy::start(server, rule)),
            _runtime: runtime,
        }
    }

    fn to_store(place: &Place, rule: impl Fn(&ProxiedRequest) -> Fault + Send + Sync + 'static) -> Self {
        Self::start(&place.cloud.as_ref().unwrap().s3, rule)
    }

    pub(crate) fn to_queues(
        place: &Place,
        rule: impl Fn(&ProxiedRequest) -> Fault + Send + Sync + 'static,
    ) -> Self {
        Self::start(&place.cloud.as_ref().unwrap().sqs, rule)
    }
}

/// A switch that ends the injection of faults.
#[derive(Clone, Default)]
struct FaultSwitch(Arc<AtomicBool>);

impl FaultSwitch {
    fn turn_off(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn fault_if(&self, applies: bool, fault: Fault) -> Fault {
        match applies && !self.0.load(Ordering::SeqCst) {
            true => fault,
            false => Fault::None,
        }
    }
}

/// Returns a rule that injects a fault into the first `number` matching requests.
fn first(
    number: usize,
    applies: impl Fn(&ProxiedRequest) -> bool,
    fault: Fault,
) -> impl Fn(&ProxiedRequest) -> Fault {
    let seen = AtomicUsize::new(0);
    move |request| match applies(request) && seen.fetch_add(1, Ordering::SeqCst) < number {
        true => fault,
        false => Fault::None,
    }
}

fn reads_a_video(request: &ProxiedRequest) -> bool {
    request.is_read() && !request.target.contains(RESTORE_MARK)
}

/// Starts a worker that reaches the store only through a proxy.
fn worker_behind(place: &Place, faulty: &FaultProxy) -> Worker {
    place.worker(&[("AWS_ENDPOINT_URL_S3", &faulty.proxy.address)], &[])
}

/// Stops the worker and checks the guarantees; returns the only job.
fn only_job(place: &Place, mut worker: Worker) -> Value {
    wait("the job ends", || {
        ["completed", "failed"].contains(&place.jobs()[0]["status"].as_str().unwrap())
    });
    wait("the notification is sent", || !place.notifications().is_empty());
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    place.check(1).remove(0)
}

fn is_completed_after(job: &Value, attempts: u64) {
    assert_eq!(
        (&job["status"], &job["attempts"]),
        (&"completed".into(), &attempts.into()),
        "{job}"
    );
}

#[test]
fn a_busy_store_costs_no_attempt() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    for count in ["1", "2", "3"] {
        place.submit(video::short(), &["-n", count]);
    }
    let switch = FaultSwitch::default();
    let busy = switch.clone();
    let faulty = FaultProxy::to_store(&place, move |request| {
        // The check at startup must succeed.
        let job = !request.target.contains("list-type") || request.target.contains("results");
        busy.fault_if(job, Fault::Answer(503, "SlowDown"))
    });
    let mut worker = worker_behind(&place, &faulty);
    wait("the store is retried repeatedly", || {
        faulty.proxy.count(|request| request.target.contains("/probe")) > 6
    });
    switch.turn_off();
    wait("all jobs are done", || {
        place.jobs().iter().all(|job| job["status"] == "completed")
    });
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    for job in place.check(3) {
        assert_eq!(job["attempts"], 1, "{job}");
    }
}

#[test]
fn a_corrupted_copy_is_never_decoded() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    // All frames are requested, so the source is copied; one read returns the whole small source.
    place.submit(video::short(), &["--fps", "10"]);
    let faulty = FaultProxy::to_store(&place, first(1, reads_a_video, Fault::Corrupt));
    let worker = worker_behind(&place, &faulty);
    let job = only_job(&place, worker);
    // The worker probes the store between the attempts.
    let of_video = |request: &ProxiedRequest| reads_a_video(request) && !request.target.contains("/probe");
    assert_eq!(faulty.proxy.count(of_video), 2, "the source is copied again");
    is_completed_after(&job, 2);
    let expected = place.folder.path().join("expected.zip");
    extract(video::short(), 10, &expected);
    let archive = place.get(job["result"]["key"].as_str().unwrap()).unwrap();
    assert!(archive == std::fs::read(expected).unwrap(), "byte for byte");
}

#[test]
fn interrupted_and_stalled_reads_are_resumed() {
    // Stalled reads time out one after the other while the source is copied.
    for (reads, fault) in [(2, Fault::Cut(1000)), (1, Fault::Stall(1000))] {
        let Some(place) = Place::of(Kind::Deployed) else {
            return;
        };
        place.submit(video::long(), &["-n", "5"]);
        let faulty = FaultProxy::to_store(&place, first(reads, reads_a_video, fault));
        let worker = worker_behind(&place, &faulty);
        is_completed_after(&only_job(&place, worker), 1);
    }
}

#[test]
fn a_video_replaced_during_reads_has_no_result() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    place.stdout(&["migrate", "up"]);
    place.put("v.mp4", &std::fs::read(video::long()).unwrap());
    place.send(r#"{"version": 1, "source": {"key": "v.mp4"}, "selection": {"count": 40}}"#);
    let reads = AtomicUsize::new(0);
    let faulty = FaultProxy::to_store(&place, move |request| {
        match reads_a_video(request) && reads.fetch_add(1, Ordering::SeqCst) == 3 {
            true => Fault::Hold,
            false => Fault::None,
        }
    });
    let worker = worker_behind(&place, &faulty);
    wait("the source is being read", || {
        faulty.proxy.count(reads_a_video) > 3
    });
    place.put("v.mp4", &std::fs::read(video::short()).unwrap());
    faulty.proxy.release();
    let job = only_job(&place, worker);
    assert_eq!(
        (&job["error_code"], &job["attempts"]),
        (&"INPUT_CHANGED".into(), &1.into()),
        "{job}"
    );
    assert_eq!(place.archives(), Vec::<String>::new());
}

/// Injects a fault into one kind of request until an attempt fails; the attempt must leave no objects.
fn fail_one_attempt(of_a_kind: fn(&ProxiedRequest) -> bool, fault: Fault) {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    let id = place.submit(video::long(), LARGE);
    let switch = FaultSwitch::default();
    let active = switch.clone();
    let faulty = FaultProxy::to_store(&place, move |request| active.fault_if(of_a_kind(request), fault));
    let worker = place.worker(
        &[
            ("AWS_ENDPOINT_URL_S3", &faulty.proxy.address),
            ("VF_RETRY_FIRST", "2s"),
        ],
        &[],
    );
    let job = place.wait_for(&id, |job| job["status"] == "retry_wait");
    assert_eq!(job["error_code"], "OUTPUT_UNAVAILABLE", "{job}");
    wait("the upload is aborted", || place.unfinished() == 0);
    switch.turn_off();
    let job = only_job(&place, worker);
    is_completed_after(&job, 2);
    assert_eq!(place.archives(), [job["result"]["key"].as_str().unwrap()]);
}

#[test]
fn a_failed_part_ends_the_attempt_and_the_upload() {
    fail_one_attempt(ProxiedRequest::is_part, Fault::Answer(500, "InternalError"));
}

#[test]
fn an_error_in_a_successful_response_is_an_error() {
    fail_one_attempt(
        ProxiedRequest::completes_upload,
        Fault::Answer(200, "InternalError"),
    );
}

#[test]
fn a_completed_object_with_a_lost_response_is_the_result() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    place.submit(video::long(), LARGE);
    let faulty = FaultProxy::to_store(
        &place,
        first(1, ProxiedRequest::completes_upload, Fault::LoseAnswer),
    );
    let worker = worker_behind(&place, &faulty);
    let job = only_job(&place, worker);
    is_completed_after(&job, 1);
    assert!(
        faulty.proxy.count(ProxiedRequest::completes_upload) > 1,
        "the request was retried"
    );
    assert_eq!(place.archives(), [job["result"]["key"].as_str().unwrap()]);
}

#[test]
fn a_foreign_object_that_appears_during_the_attempt_stays() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    place.stdout(&["migrate", "up"]);
    place.put("v.mp4", &std::fs::read(video::long()).unwrap());
    place.send(
        r#"{"version": 1, "source": {"key": "v.mp4"}, "selection": {"fps": 4}, "picture": {"format": "png"},
            "output": {"key": "chosen.zip"}}"#,
    );
    let worker = place.worker(&[], &[]);
    wait("the archive is being written", || {
        place
            .jobs()
            .iter()
            .any(|job| job["frames_done"].as_u64().unwrap() > 0)
    });
    place.put("chosen.zip", b"another client's");
    let job = only_job(&place, worker);
    assert_eq!(job["error_code"], "OUTPUT_EXISTS", "{job}");
    assert_eq!(place.get("chosen.zip").unwrap(), b"another client's");
}

#[test]
fn a_busy_notifier_delays_only_notifications() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    let ids = ["1", "2", "3"].map(|count| place.submit(video::short(), &["-n", count]));
    let switch = FaultSwitch::default();
    let busy = switch.clone();
    let faulty = FaultProxy::to_queues(&place, move |request| {
        busy.fault_if(
            request.asks("SendMessageBatch"),
            Fault::Answer(400, "RequestThrottled"),
        )
    });
    let mut worker = place.worker(&[("AWS_ENDPOINT_URL_SQS", &faulty.proxy.address)], &[]);
    for id in &ids {
        place.wait_for(id, |job| job["status"] == "completed");
    }
    assert!(faulty.proxy.count(|request| request.asks("SendMessageBatch")) > 0);
    assert_eq!(place.notifications(), Vec::<Value>::new());
    switch.turn_off();
    wait("all notifications are sent", || place.notifications().len() >= 3);
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    place.check(3);
}

#[test]
fn credentials_that_expire_during_a_job_are_an_outage() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    let expired = Arc::new(AtomicBool::new(false));
    let rule = |expired: &Arc<AtomicBool>| {
        let expired = Arc::clone(expired);
        move |_: &ProxiedRequest| match expired.load(Ordering::SeqCst) {
            true => Fault::Answer(403, "ExpiredToken"),
            false => Fault::None,
        }
    };
    let store = FaultProxy::to_store(&place, rule(&expired));
    let queues = FaultProxy::to_queues(&place, rule(&expired));
    let mut worker = place.worker(
        &[
            ("AWS_ENDPOINT_URL_S3", &store.proxy.address),
            ("AWS_ENDPOINT_URL_SQS", &queues.proxy.address),
        ],
        &[],
    );
    let id = place.submit(video::long(), LARGE);
    place.wait_for(&id, |job| job["frames_done"].as_u64().unwrap() > 0);
    expired.store(true, Ordering::SeqCst);
    place.wait_for(&id, |job| job["status"] == "retry_wait");
    wait("the log has the reason", || {
        worker.log().contains("the credentials have expired")
    });
    let asked = || store.proxy.count(|request| request.target.contains("/probe"));
    let before = asked();
    wait("the store is retried repeatedly", || asked() > before + 2);
    expired.store(false, Ordering::SeqCst);
    let next = place.submit(video::short(), &["-n", "1"]);
    for id in [&id, &next] {
        place.wait_for(id, |job| job["status"] == "completed");
    }
    wait("both notifications are sent", || place.notifications().len() >= 2);
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    place.check(2);
}
