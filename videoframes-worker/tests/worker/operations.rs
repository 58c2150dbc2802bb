//! The operations port, the control socket and the story of a job in the log.

use std::collections::BTreeSet;
use std::io::{BufRead, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::log;
use super::place::{Kind, Place, wait};
use super::process::Worker;
use super::video;

/// Returns the address of the operations port of a worker.
pub(crate) fn address(worker: &Worker) -> String {
    let mut address = None;
    wait("the operations port opens", || {
        let log = worker.log();
        // The last line may be incomplete.
        let lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let opened = lines
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .find(|line| line["message"] == "operations port opened");
        address = opened.map(|line| line["address"].as_str().unwrap().to_owned());
        address.is_some()
    });
    address.unwrap()
}

/// Returns the status and the body of a response of the operations port.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// Returns the value of a series, by its name with labels.
pub(crate) fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{metrics}"))
        .parse()
        .unwrap()
}

#[test]
fn a_paused_worker_is_live_but_not_ready_and_starts_no_job() {
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    let worker = place.worker(&[], &[]);
    let address = address(&worker);
    wait("the worker is ready", || {
        get(&address, "/readyz") == (200, "ok\n".to_owned())
    });
    place.stdout(&["pause"]);
    assert_eq!(get(&address, "/readyz"), (503, "paused\n".to_owned()));
    assert_eq!(get(&address, "/livez"), (200, "ok\n".to_owned()));
    let check = |args: &[&str]| {
        let args = [&["health", "--address", &address], args].concat();
        let output = place.output(&args);
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    assert_eq!(check(&[]), (0, "ok\n".to_owned()));
    assert_eq!(check(&["--ready"]), (21, "paused\n".to_owned()));
    let id = place.submit(video::short(), &[]);
    // A poll that began before the pause receives the message and returns it.
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(place.job(&id)["status"], "pending");
    place.stdout(&["resume"]);
    place.wait_for(&id, |job| job["status"] == "completed");
    assert_eq!(get(&address, "/readyz").0, 200);
}

#[test]
fn a_blocked_runtime_is_not_live_and_the_port_still_answers() {
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    let worker = place.worker(
        &[("VF_FAULT", "claimed=block"), ("TOKIO_WORKER_THREADS", "1")],
        &[],
    );
    let address = address(&worker);
    wait("the worker is live", || get(&address, "/livez").0 == 200);
    place.submit(video::short(), &[]);
    wait("the blocked runtime is reported", || {
        let (status, reasons) = get(&address, "/livez");
        status == 503 && reasons.contains("loop:runtime")
    });
    assert_eq!(get(&address, "/metrics").0, 200);
}

#[test]
fn the_log_level_of_a_running_worker_can_be_changed() {
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    let worker = place.worker(&[], &[]);
    address(&worker);
    let refused = place.output(&["log-level", "core=loud"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.status.code() == Some(21) && error.contains("core=loud"),
        "{error}"
    );
    place.stdout(&["log-level", "debug"]);
    let id = place.submit(video::short(), &[]);
    place.wait_for(&id, |job| job["status"] == "completed");
    wait("debug lines", || worker.log().contains("entered stage"));
    let missing = place.output(&["pause", "--worker", "nobody"]);
    assert_eq!(missing.status.code(), Some(3), "{missing:?}");
}

#[test]
fn a_scrape_has_all_metrics_from_the_start_and_counts_jobs() {
    for kind in [Kind::Sqlite, Kind::Deployed] {
        let Some(place) = Place::of(kind) else { continue };
        place.stdout(&["migrate", "up"]);
        let worker = place.worker(&[], &[]);
        let address = address(&worker);
        wait("the worker is ready", || get(&address, "/readyz").0 == 200);
        let first = get(&address, "/metrics").1;
        assert_eq!(
            value(
                &first,
                r#"videoframes_jobs_total{outcome="completed",error_type=""}"#
            ),
            0.0
        );
        assert_eq!(
            value(
                &first,
                r#"videoframes_jobs_total{outcome="failed",error_type="NOT_A_VIDEO"}"#
            ),
            0.0
        );
        let id = place.submit(video::short(), &[]);
        place.wait_for(&id, |job| job["status"] == "completed");
        // The worker counts a job after its row is written.
        let mut last = String::new();
        wait("the job is counted", || {
            last = get(&address, "/metrics").1;
            value(
                &last,
                r#"videoframes_jobs_total{outcome="completed",error_type=""}"#,
            ) > 0.0
        });
        assert_eq!(
            value(
                &last,
                r#"videoframes_job_stage_duration_seconds_count{stage="commit"}"#
            ),
            1.0
        );
        assert_eq!(value(&last, "videoframes_job_queue_wait_seconds_count"), 1.0);
        assert_eq!(value(&last, "videoframes_slots"), 1.0);
        let series = |text: &str| -> BTreeSet<String> {
            let lines = text
                .lines()
                .filter(|line| !line.starts_with('#') && !line.is_empty());
            lines
                .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
                .collect()
        };
        let text = last;
        let (first, last) = (series(&first), series(&text));
        assert!(last.len() < 400, "{} series", last.len());
        let mut late: Vec<_> = last.difference(&first).collect();
        // Unknown before the first measurement.
        late.retain(|series| !series.starts_with("videoframes_queue_oldest_age_seconds"));
        assert!(late.is_empty(), "series that are missing at the start: {late:?}");
        // Rules, alarms and dashboard name metrics and labels of this scrape, and all metrics are documented.
        let scrape = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(scrape.path(), &text).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/check-monitoring");
        let check = std::process::Command::new("python3")
            .args([script, "--scrape"])
            .arg(scrape.path())
            .output()
            .unwrap();
        assert!(
            check.status.success(),
            "{}",
            String::from_utf8_lossy(&check.stdout)
        );
    }
}

#[test]
fn metrics_of_cloudwatch_are_lines_on_stdout() {
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    let mut command = place.command(&["run"]);
    command
        .env("VF_METRICS", "emf")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null());
    let mut worker = command.spawn().unwrap();
    let lines = std::io::BufReader::new(worker.stdout.take().unwrap()).lines();
    let described = |line: &Value, name: &str| {
        let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
            .as_array()
            .unwrap();
        metrics.iter().any(|metric| metric["Name"] == name)
    };
    let line = lines
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap())
        .find(|line| described(line, "videoframes_jobs_total") && line["error_type"] == "WORKER_CRASH_LOOP")
        .unwrap();
    assert_eq!(
        (&line["service"], &line["videoframes_jobs_total"]),
        (&"vf-worker".into(), &0.0.into())
    );
    worker.kill().unwrap();
    worker.wait().unwrap();
}

#[test]
fn an_operations_port_in_use_is_an_error() {
    let place = Place::sqlite();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut worker = place.worker(&[("VF_OPS_LISTEN", &address)], &[]);
    assert_eq!(worker.wait().code(), Some(21));
    let lines = log::check(&worker.log());
    let failed = lines
        .iter()
        .find(|line| line["message"] == "command failed")
        .unwrap();
    assert!(
        failed["error.message"].as_str().unwrap().contains(&address),
        "{failed}"
    );
    assert_eq!(failed["exit_code"], 21);
}

#[test]
fn the_log_tells_the_story_of_a_job_by_its_id() {
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    let id = place.submit(video::short(), &[]);
    // The first attempt panics.
    let mut worker = place.worker(
        &[("VF_FAULT", "extracting=panic"), ("VF_LOG", "debug")],
        &["--until-idle"],
    );
    assert!(worker.wait().success(), "{}", worker.log());
    let lines = log::check(&worker.log());
    let of_job: Vec<_> = lines.iter().filter(|line| line["job.id"] == *id).collect();
    let find = |attempt: u64, message: &str| {
        of_job
            .iter()
            .find(|line| line["job.attempt"] == attempt && line["message"] == message)
            .unwrap_or_else(|| panic!("no '{message}' of attempt {attempt} in {of_job:#?}"))
    };
    assert_eq!(
        find(1, "attempt failed; scheduled another")["error.retryable"],
        true
    );
    assert_eq!(
        find(2, "job completed")["output.key"],
        format!("results/{id}/2.zip")
    );
    let panic = lines.iter().find(|line| line["error.type"] == "panic").unwrap();
    assert!(
        panic["panic.location"].as_str().unwrap().contains("fault.rs:"),
        "{panic}"
    );
}
