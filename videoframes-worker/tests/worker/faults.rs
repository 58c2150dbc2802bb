//! What goes wrong between a worker and its servers: whatever breaks on the way, the promise holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;
use videoframes_core::testing::{Fault, ProxiedRequest, Proxy};

use super::place::{Kind, Place, Worker, extract, wait};
use super::video;

/// Pictures that make an archive of many parts.
const LARGE: &[&str] = &["--fps", "4", "-f", "png"];

/// A proxy with threads of its own.
struct Between {
    proxy: Proxy,
    _runtime: tokio::runtime::Runtime,
}

impl Between {
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

    fn to_queues(place: &Place, rule: impl Fn(&ProxiedRequest) -> Fault + Send + Sync + 'static) -> Self {
        Self::start(&place.cloud.as_ref().unwrap().sqs, rule)
    }
}

/// Spoils requests until it is told that it is enough.
#[derive(Clone, Default)]
struct Enough(Arc<AtomicBool>);

impl Enough {
    fn now(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn unless(&self, spoil: bool, fault: Fault) -> Fault {
        match spoil && !self.0.load(Ordering::SeqCst) {
            true => fault,
            false => Fault::None,
        }
    }
}

/// Spoils the first requests.
fn first(
    number: usize,
    spoil: impl Fn(&ProxiedRequest) -> bool,
    fault: Fault,
) -> impl Fn(&ProxiedRequest) -> Fault {
    let seen = AtomicUsize::new(0);
    move |request| match spoil(request) && seen.fetch_add(1, Ordering::SeqCst) < number {
        true => fault,
        false => Fault::None,
    }
}

/// A worker that reaches the store through a proxy only.
fn worker_behind(place: &Place, between: &Between) -> Worker {
    place.worker(&[("AWS_ENDPOINT_URL_S3", &between.proxy.address)], &[])
}

/// Ends the worker and looks whether everything is as promised; gives the only job.
fn only_job(place: &Place, mut worker: Worker) -> Value {
    wait("the job is over", || {
        ["completed", "failed"].contains(&place.jobs()[0]["status"].as_str().unwrap())
    });
    wait("it is told of", || !place.notifications().is_empty());
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
fn a_store_that_is_too_busy_for_a_while_costs_no_attempt() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    for count in ["1", "2", "3"] {
        place.submit(video::short(), &["-n", count]);
    }
    let enough = Enough::default();
    let busy = enough.clone();
    let between = Between::to_store(&place, move |request| {
        // The check at the start is let pass.
        let job = !request.target.contains("list-type") || request.target.contains("results");
        busy.unless(job, Fault::Answer(503, "SlowDown"))
    });
    let mut worker = worker_behind(&place, &between);
    wait("the store is asked again and again", || {
        between.proxy.count(|request| request.target.contains("/probe")) > 6
    });
    enough.now();
    wait("all are done", || {
        place.jobs().iter().all(|job| job["status"] == "completed")
    });
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    for job in place.check(3) {
        assert_eq!(job["attempts"], 1, "{job}");
    }
}

#[test]
fn a_copy_that_came_to_harm_on_its_way_is_never_decoded() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    // All its frames are wanted: it is copied, and so small that one read is all of it.
    place.submit(video::short(), &["--fps", "10"]);
    let between = Between::to_store(&place, first(1, ProxiedRequest::is_read, Fault::Corrupt));
    let worker = worker_behind(&place, &between);
    let job = only_job(&place, worker);
    // The store is probed in between.
    let of_video = |request: &ProxiedRequest| request.is_read() && !request.target.contains("/probe");
    assert_eq!(between.proxy.count(of_video), 2, "it is copied again");
    is_completed_after(&job, 2);
    let expected = place.folder.path().join("expected.zip");
    extract(video::short(), 10, &expected);
    let archive = place.get(job["result"]["key"].as_str().unwrap()).unwrap();
    assert!(archive == std::fs::read(expected).unwrap(), "byte for byte");
}

#[test]
fn reads_that_are_cut_or_stall_are_taken_up_again() {
    // A read that stalls is waited for, and one after the other where the source is copied.
    for (reads, fault) in [(2, Fault::Cut(1000)), (1, Fault::Stall(1000))] {
        let Some(place) = Place::of(Kind::Deployed) else {
            return;
        };
        place.submit(video::long(), &["-n", "5"]);
        let between = Between::to_store(&place, first(reads, ProxiedRequest::is_read, fault));
        let worker = worker_behind(&place, &between);
        is_completed_after(&only_job(&place, worker), 1);
    }
}

#[test]
fn a_video_that_is_replaced_while_it_is_read_gives_no_result() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    place.says(&["migrate", "up"]);
    place.put("v.mp4", &std::fs::read(video::long()).unwrap());
    place.send(r#"{"version": 1, "source": {"key": "v.mp4"}, "selection": {"count": 40}}"#);
    let reads = AtomicUsize::new(0);
    let between = Between::to_store(&place, move |request| {
        match request.is_read() && reads.fetch_add(1, Ordering::SeqCst) == 3 {
            true => Fault::Hold,
            false => Fault::None,
        }
    });
    let worker = worker_behind(&place, &between);
    wait("it is being read", || {
        between.proxy.count(ProxiedRequest::is_read) > 3
    });
    place.put("v.mp4", &std::fs::read(video::short()).unwrap());
    between.proxy.release();
    let job = only_job(&place, worker);
    assert_eq!(
        (&job["error_code"], &job["attempts"]),
        (&"INPUT_CHANGED".into(), &1.into()),
        "{job}"
    );
    assert_eq!(place.archives(), Vec::<String>::new());
}

/// Requests of one kind fail until an attempt has failed for it: nothing of that attempt stays.
fn an_attempt_fails_for(of_a_kind: fn(&ProxiedRequest) -> bool, fault: Fault) {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    let id = place.submit(video::long(), LARGE);
    let enough = Enough::default();
    let spoilt = enough.clone();
    let between = Between::to_store(&place, move |request| spoilt.unless(of_a_kind(request), fault));
    let worker = place.worker(
        &[
            ("AWS_ENDPOINT_URL_S3", &between.proxy.address),
            ("VF_RETRY_FIRST", "2s"),
        ],
        &[],
    );
    let job = place.wait_for(&id, |job| job["status"] == "retry_wait");
    assert_eq!(job["error_code"], "OUTPUT_UNAVAILABLE", "{job}");
    wait("the upload is given up", || place.unfinished() == 0);
    enough.now();
    let job = only_job(&place, worker);
    is_completed_after(&job, 2);
    assert_eq!(place.archives(), [job["result"]["key"].as_str().unwrap()]);
}

#[test]
fn a_part_that_fails_ends_the_attempt_and_its_upload() {
    an_attempt_fails_for(ProxiedRequest::is_part, Fault::Answer(500, "InternalError"));
}

#[test]
fn an_error_in_a_successful_answer_is_an_error() {
    an_attempt_fails_for(
        ProxiedRequest::completes_upload,
        Fault::Answer(200, "InternalError"),
    );
}

#[test]
fn an_object_that_was_made_and_whose_answer_was_lost_is_the_result() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    place.submit(video::long(), LARGE);
    let between = Between::to_store(
        &place,
        first(1, ProxiedRequest::completes_upload, Fault::LoseAnswer),
    );
    let worker = worker_behind(&place, &between);
    let job = only_job(&place, worker);
    is_completed_after(&job, 1);
    assert!(
        between.proxy.count(ProxiedRequest::completes_upload) > 1,
        "it asked again"
    );
    assert_eq!(place.archives(), [job["result"]["key"].as_str().unwrap()]);
}

#[test]
fn an_object_of_somebody_else_that_appears_meanwhile_stays() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    place.says(&["migrate", "up"]);
    place.put("v.mp4", &std::fs::read(video::long()).unwrap());
    place.send(
        r#"{"version": 1, "source": {"key": "v.mp4"}, "selection": {"fps": 4}, "picture": {"format": "png"},
            "output": {"key": "chosen.zip"}}"#,
    );
    let worker = place.worker(&[], &[]);
    wait("it is being written", || {
        place
            .jobs()
            .iter()
            .any(|job| job["frames_done"].as_u64().unwrap() > 0)
    });
    place.put("chosen.zip", b"somebody else's");
    let job = only_job(&place, worker);
    assert_eq!(job["error_code"], "OUTPUT_EXISTS", "{job}");
    assert_eq!(place.get("chosen.zip").unwrap(), b"somebody else's");
}

#[test]
fn a_notifier_that_is_too_busy_is_told_later_and_holds_nothing_up() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    let ids = ["1", "2", "3"].map(|count| place.submit(video::short(), &["-n", count]));
    let enough = Enough::default();
    let busy = enough.clone();
    let between = Between::to_queues(&place, move |request| {
        busy.unless(
            request.asks("SendMessageBatch"),
            Fault::Answer(400, "RequestThrottled"),
        )
    });
    let mut worker = place.worker(&[("AWS_ENDPOINT_URL_SQS", &between.proxy.address)], &[]);
    for id in &ids {
        place.wait_for(id, |job| job["status"] == "completed");
    }
    assert!(between.proxy.count(|request| request.asks("SendMessageBatch")) > 0);
    assert_eq!(place.notifications(), Vec::<Value>::new());
    enough.now();
    wait("all are told of", || place.notifications().len() >= 3);
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    place.check(3);
}

#[test]
fn credentials_that_expire_while_it_works_are_waited_for() {
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
    let store = Between::to_store(&place, rule(&expired));
    let queues = Between::to_queues(&place, rule(&expired));
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
    wait("it says why", || {
        worker.log().contains("the credentials have expired")
    });
    let asked = || store.proxy.count(|request| request.target.contains("/probe"));
    let before = asked();
    wait("the store is asked again and again", || asked() > before + 2);
    expired.store(false, Ordering::SeqCst);
    let next = place.submit(video::short(), &["-n", "1"]);
    for id in [&id, &next] {
        place.wait_for(id, |job| job["status"] == "completed");
    }
    wait("both are told of", || place.notifications().len() >= 2);
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    place.check(2);
}
