//! Outages of stores for one kind of operation, one bucket or one object.
//!
//! `VF_TEST_OUTAGE_S=300` makes each outage last five minutes longer, except those that are short by design.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use videoframes_core::testing::{Fault, ProxiedRequest, Proxy};

use super::place::{Kind, Place, wait};
use super::process::Worker;
use super::video;

/// A proxy between a worker and the store that injects faults during an outage.
struct FaultyStore {
    proxy: Proxy,
    active: Arc<AtomicBool>,
    _runtime: Runtime,
}

impl FaultyStore {
    fn start(place: &Place, fault: impl Fn(&ProxiedRequest) -> Fault + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let active = Arc::new(AtomicBool::new(true));
        let is_active = Arc::clone(&active);
        let server = place.cloud.as_ref().unwrap().s3.clone();
        let rule = move |request: &ProxiedRequest| match is_active.load(Ordering::SeqCst) {
            true => fault(request),
            false => Fault::None,
        };
        let proxy = runtime.block_on(Proxy::start(&server, rule));
        Self {
            proxy,
            active,
            _runtime: runtime,
        }
    }

    /// Ends the outage at once.
    fn recover(&self) {
        self.active.store(false, Ordering::SeqCst);
    }

    /// Prolongs and ends the outage, and returns the rate of requests during its prolongation, in requests per second.
    fn end_outage(&self) -> f64 {
        let (since, asked) = (Instant::now(), self.proxy.count(|_| true));
        std::thread::sleep(prolonged());
        let asked = self.proxy.count(|_| true) - asked;
        self.recover();
        asked as f64 / since.elapsed().as_secs_f64().max(1.0)
    }
}

/// Returns by how much an outage is prolonged.
fn prolonged() -> Duration {
    let seconds = std::env::var("VF_TEST_OUTAGE_S").map_or(0, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}

/// Waits for `condition` after an outage: the longer the outage, the longer jobs wait for their next attempt.
fn wait_for_recovery(what: &str, condition: impl Fn() -> bool) {
    let since = Instant::now();
    while since.elapsed() < prolonged() && !condition() {
        std::thread::sleep(Duration::from_millis(500));
    }
    wait(what, condition);
}

fn statuses(rows: &[Value], status: &str) -> usize {
    rows.iter().filter(|row| row["status"] == status).count()
}

fn attempts(rows: &[Value]) -> Vec<u64> {
    rows.iter().map(|row| row["attempts"].as_u64().unwrap()).collect()
}

#[test]
fn refused_writes_cost_each_job_at_most_one_attempt() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    for count in 1..=6 {
        place.submit(video::short(), &["-n", &count.to_string()]);
    }
    let writes = |request: &ProxiedRequest| ["PUT", "POST"].contains(&request.method.as_str());
    let store = FaultyStore::start(&place, move |request| match writes(request) {
        true => Fault::Answer(503, "SlowDown"),
        false => Fault::None,
    });
    let mut worker = place.worker(
        &[("AWS_ENDPOINT_URL_S3", &store.proxy.address)],
        &["--concurrency", "2"],
    );
    wait("jobs are deferred", || statuses(&place.jobs(), "retry_wait") >= 2);
    // The outage lasts for three probes.
    let probes =
        |request: &ProxiedRequest| writes(request) && request.target.ends_with("/probe?x-id=PutObject");
    let (since, probed) = (Instant::now(), store.proxy.count(probes));
    wait("the store is probed", || store.proxy.count(probes) >= probed + 9);
    let rows = place.jobs();
    assert_eq!(statuses(&rows, "failed"), 0, "{rows:?}");
    assert!(attempts(&rows).iter().all(|attempts| *attempts <= 1), "{rows:?}");
    // The S3 client tries each request three times, with delays of more than 0.1, 0.2 and 0.4 s.
    assert!(
        since.elapsed() > Duration::from_millis(700),
        "{:?}",
        since.elapsed()
    );
    let (asked, seconds) = (store.proxy.count(|_| true), since.elapsed().as_secs_f64());
    assert!(asked < 200 + (20.0 * seconds) as usize, "{asked} in {seconds} s");
    let rate = store.end_outage();
    assert!(rate < 20.0, "{rate} requests a second");
    wait_for_recovery("all jobs complete", || statuses(&place.jobs(), "completed") == 6);
    assert_eq!(attempts(&place.jobs()), [1; 6], "{}", worker.log());
    wait("every job has sent its notification", || {
        place.notifications().len() >= 6
    });
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    place.check(6);
    assert_eq!(place.results().len(), 6, "no probe is left");
}

#[test]
fn an_outage_of_a_source_bucket_costs_no_attempts_and_delays_no_other_jobs() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    let cloud = place.cloud.as_ref().unwrap();
    let bucket = format!("{}-uploads", cloud.name);
    let movie = std::fs::read(video::short()).unwrap();
    super::place::runtime().block_on(async {
        let buckets = cloud.buckets().await;
        buckets.create_bucket().bucket(&bucket).send().await.unwrap();
        let put = buckets.put_object().bucket(&bucket).key("talk.mp4");
        put.body(movie.into()).send().await.unwrap();
    });
    let source = format!("s3://{bucket}/talk.mp4");
    for count in 1..=3 {
        let mut submit = place.command(&["submit", &source, "-n", &count.to_string()]);
        assert!(
            submit
                .env("VF_SOURCES", &bucket)
                .output()
                .unwrap()
                .status
                .success()
        );
        let source = json!({"bucket": bucket, "key": "talk.mp4"});
        let selection = json!({"count": count + 3});
        place.send(&json!({"version": 1, "source": source, "selection": selection}).to_string());
    }
    let others = [7, 8].map(|count| place.submit(video::short(), &["-n", &count.to_string()]));
    let path = format!("/{bucket}/");
    let of_bucket = move |request: &ProxiedRequest| request.target.starts_with(&path);
    let down = of_bucket.clone();
    let store = FaultyStore::start(&place, move |request| match down(request) {
        true => Fault::Answer(503, "SlowDown"),
        false => Fault::None,
    });
    let environment = [
        ("AWS_ENDPOINT_URL_S3", store.proxy.address.as_str()),
        ("VF_SOURCES", &bucket),
    ];
    let worker = place.worker(&environment, &[]);
    for other in &others {
        place.wait_for(other, |job| job["status"] == "completed");
    }
    let since = Instant::now();
    let (asked, probes) = (store.proxy.count(&of_bucket), 12);
    wait("the bucket is probed", || {
        store.proxy.count(&of_bucket) >= asked + probes
    });
    assert!(
        since.elapsed() > Duration::from_millis(500),
        "{:?}",
        since.elapsed()
    );
    let rows = place.jobs();
    assert_eq!(statuses(&rows, "completed"), 2, "{rows:?}");
    assert_eq!(statuses(&rows, "failed"), 0, "{rows:?}");
    assert!(attempts(&rows).iter().all(|attempts| *attempts <= 1), "{rows:?}");
    let rate = store.end_outage();
    assert!(rate < 20.0, "{rate} requests a second");
    wait_for_recovery("all jobs complete", || statuses(&place.jobs(), "completed") == 8);
    assert_eq!(attempts(&place.jobs()), [1; 8], "{}", worker.log());
    drop(worker);
}

#[test]
fn expired_credentials_are_an_outage_and_fail_no_job() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    let id = place.submit(video::short(), &["-n", "1"]);
    let started = Arc::new(AtomicBool::new(false));
    let is_started = Arc::clone(&started);
    let store = FaultyStore::start(&place, move |request| {
        // The check at startup sends a list request.
        match request.method == "GET" && request.target.contains("list-type") {
            true if !is_started.swap(true, Ordering::SeqCst) => Fault::None,
            _ => Fault::Answer(400, "ExpiredToken"),
        }
    });
    let _worker = place.worker(&[("AWS_ENDPOINT_URL_S3", &store.proxy.address)], &[]);
    wait("the store is asked", || {
        store.proxy.count(|request| request.method == "HEAD") >= 3
    });
    assert!(place.job(&id)["attempts"].as_u64().unwrap() <= 1);
    store.end_outage();
    let job = place.wait_for(&id, |job| job["status"] == "completed");
    assert_eq!(job["attempts"], 1, "{job}");
}

/// Sends one message for each refused source: a half is denied, and a half is invalid.
fn send_refused(place: &Place) {
    for number in 0..20 {
        for status in [403, 400] {
            let key = format!("refused-{status}-{number}.mp4");
            place.send(&json!({"version": 1, "source": {"key": key}}).to_string());
        }
    }
}

/// A job of several seconds.
const SECONDS_OF_WORK: [&str; 4] = ["--fps", "2", "-f", "png"];

/// Starts a worker for a job that was submitted before; returns the time until completion without the work, and the
/// time of the work.
fn time_job(place: &Place, id: &str, address: &str) -> (Duration, Duration) {
    let since = Instant::now();
    // The first retries begin after at least 10 seconds: long after the first attempts.
    let environment = [
        ("AWS_ENDPOINT_URL_S3", address),
        ("VF_RETRY_FIRST", "20s"),
        ("VF_REUSE", "off"),
    ];
    let worker = place.worker(&environment, &[]);
    place.wait_for(id, |job| job["status"] == "completed");
    let (total, work) = (since.elapsed(), work(&worker, id));
    (total.saturating_sub(work), work)
}

/// Returns the duration of the attempt that completed a job, from the log.
fn work(worker: &Worker, id: &str) -> Duration {
    let log = worker.log();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut of_job = lines.filter(|line| line["message"] == "job completed" && line["job.id"] == id);
    Duration::from_millis(of_job.next().unwrap()["duration_ms"].as_u64().unwrap())
}

#[test]
fn forty_refused_sources_fail_alone_and_delay_another_job_by_less_than_one_job() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    let refused = Arc::new(AtomicUsize::new(0));
    let refused_before = Arc::new(OnceLock::new());
    let (counter, before) = (Arc::clone(&refused), Arc::clone(&refused_before));
    let store = FaultyStore::start(&place, move |request| {
        let answer = [(403, "AccessDenied"), (400, "InvalidRequest")]
            .into_iter()
            .find(|(status, _)| request.target.contains(&format!("/refused-{status}-")));
        if request.method == "HEAD" {
            match answer {
                Some(_) => _ = counter.fetch_add(1, Ordering::SeqCst),
                None if request.target.contains("/sources/") && counter.load(Ordering::SeqCst) > 0 => {
                    before.get_or_init(|| counter.load(Ordering::SeqCst));
                }
                None => {}
            }
        }
        answer.map_or(Fault::None, |(status, code)| Fault::Answer(status, code))
    });
    let address = store.proxy.address.as_str();
    let alone = place.submit(video::long(), &SECONDS_OF_WORK);
    let (waited_alone, took_alone) = time_job(&place, &alone, address);
    send_refused(&place);
    let other = place.submit(video::long(), &SECONDS_OF_WORK);
    let (waited, took) = time_job(&place, &other, address);
    // Other processes on this machine can slow down the work of either job. Only the times without the work are
    // compared, with the shorter work.
    let delay = waited.saturating_sub(waited_alone);
    eprintln!("40 refused sources delayed a job of {took:?} by {delay:?}; alone it took {took_alone:?}");
    assert!(delay < took.min(took_alone), "{waited:?} and {waited_alone:?}");
    let before = *refused_before.get().unwrap();
    // The first attempt sends two HEAD requests: one creates the job, and one opens the source.
    assert!(
        (1..=80).contains(&before),
        "{before} HEAD requests before the other job"
    );

    place.finish_with(&[("AWS_ENDPOINT_URL_S3", address)]);
    let rows = place.check(42);
    let failed: Vec<_> = rows.iter().filter(|row| row["status"] == "failed").collect();
    assert_eq!(failed.len(), 40);
    for row in failed {
        assert_eq!(row["error_code"], "SOURCE_REFUSED", "{row}");
        // On a busy machine, a lease may expire before the attempt is recorded. An expired lease counts as an
        // attempt; one of the last attempt leads to a further attempt.
        let expired = row["crash_count"].as_u64().unwrap();
        let attempts = row["attempts"].as_u64().unwrap();
        assert!((5..=5 + expired).contains(&attempts), "{row}");
    }
    assert!(place.dead_letter_messages().is_empty());
}

#[test]
fn a_refused_result_fails_its_job_alone_and_opens_no_circuit() {
    let refusals = [(403, "AccessDenied"), (400, "InvalidRequest")];
    // The archive of the second job is written in parts.
    let jobs = [
        ("small", video::short(), json!({"count": 1})),
        ("large", video::long(), json!({"count": 120})),
    ];
    for (status, code) in refusals {
        let Some(place) = Place::of(Kind::Deployed) else {
            return;
        };
        for (name, video, selection) in &jobs {
            let key = format!("{name}.mp4");
            place.put(&key, &std::fs::read(video).unwrap());
            let message = json!({
                "version": 1,
                "source": {"key": key},
                "selection": selection,
                "pictures": {"format": "png"},
                "output": {"key": format!("refused-{name}.zip")},
            });
            place.send(&message.to_string());
        }
        let store = FaultyStore::start(&place, move |request| {
            let is_last = request.is_put() || request.completes_upload();
            match is_last && request.target.contains("/refused-") {
                true => Fault::Answer(status, code),
                false => Fault::None,
            }
        });
        let environment = [
            ("AWS_ENDPOINT_URL_S3", store.proxy.address.as_str()),
            ("VF_ATTEMPTS", "2"),
        ];
        let mut worker = place.worker(&environment, &[]);
        wait("both jobs fail", || statuses(&place.jobs(), "failed") == 2);
        let other = place.submit(video::short(), &["-n", "2"]);
        let other = place.wait_for(&other, |job| job["status"] == "completed");
        assert_eq!(other["attempts"], 1, "{other}");
        worker.signal("TERM");
        assert!(worker.wait().success(), "{}", worker.log());
        let log = worker.log();
        assert!(!log.contains("dependency failed"), "no circuit opened: {log}");
        assert!(!log.contains("because of an outage"), "{log}");
        for request in [ProxiedRequest::is_put, ProxiedRequest::completes_upload] {
            let refused = store
                .proxy
                .count(|seen| request(seen) && seen.target.contains("/refused-"));
            assert!(refused >= 2, "{status}: {refused}");
        }
        let rows = place.check(3);
        let failed: Vec<_> = rows.iter().filter(|row| row["status"] == "failed").collect();
        assert_eq!(failed.len(), 2, "{rows:?}");
        for row in failed {
            assert_eq!(row["error_code"], "OUTPUT_UNAVAILABLE", "{row}");
            assert_eq!(row["attempts"], 2, "{row}");
        }
    }
}

#[test]
fn keys_that_are_invalid_in_a_folder_fail_their_jobs() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let Some(place) = Place::of(kind) else { continue };
        place.put("v.mp4", &std::fs::read(video::short()).unwrap());
        place.stdout(&["migrate", "up"]);
        let long = "x".repeat(300);
        for key in [&long, ".vf-partial/x", "v.mp4/below", "v.mp4"] {
            place.send(&json!({"version": 1, "source": {"key": key}, "selection": {"count": 1}}).to_string());
        }
        place.finish();
        let rows = place.check(4);
        let mut codes: Vec<_> = rows.iter().filter_map(|row| row["error_code"].as_str()).collect();
        codes.sort_unstable();
        assert_eq!(codes, ["INVALID_REQUEST", "INVALID_REQUEST", "SOURCE_NOT_FOUND"]);
        assert_eq!(attempts(&rows), [1; 4]);
    }
}

#[test]
fn a_worker_that_starts_in_a_short_outage_waits() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    let id = place.submit(video::short(), &["-n", "1"]);
    let store = FaultyStore::start(&place, |_| Fault::Answer(503, "SlowDown"));
    let environment = [("AWS_ENDPOINT_URL_S3", store.proxy.address.as_str())];
    let mut stopped = place.worker(&environment, &[]);
    let mut worker = place.worker(&environment, &[]);
    // More than two startup attempts with all retries of the S3 client.
    wait("the starts go on", || store.proxy.count(|_| true) >= 13);
    stopped.signal("TERM");
    assert!(stopped.wait().success(), "{}", stopped.log());
    // A worker waits for a store for no more than a minute at startup.
    store.recover();
    place.wait_for(&id, |job| job["status"] == "completed");
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
}
