//! Lists and changes of jobs.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::client::{Client, open};
use crate::place::{EVERYWHERE, Place, wait};

/// Submits jobs for the object `key`, one per idempotency key.
fn submit(client: &Client, key: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let submitted = names.map(|name| {
        let request = json!({"source": {"key": key}, "client_metadata": {"name": name}});
        let submitted = client.with("idempotency-key", &name).post("/jobs", &request);
        assert_eq!(submitted.status, StatusCode::CREATED, "{submitted:?}");
        submitted.json()["id"].as_str().unwrap().to_owned()
    });
    submitted.collect()
}

/// Returns all jobs of a list, page by page.
fn list(client: &Client, query: &str) -> Vec<Value> {
    let (mut jobs, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/jobs?{query}&limit=7&after={after}")).json();
        jobs.extend(page["jobs"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => return jobs,
        }
    }
}

#[test]
fn failed_jobs_are_found_and_retried_together() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        place.put("bad.mp4", b"not a video");
        let (_worker, client) = open(&place, &[]);
        let ids = submit(
            &client,
            "bad.mp4",
            (0..20).map(|number| format!("job {number:02}")),
        );
        wait("all jobs failed", || {
            list(&client, "status=failed").len() == ids.len()
        });
        let listed = list(&client, "status=failed,cancelled&error_code=NOT_A_VIDEO");
        let listed: BTreeSet<&str> = listed.iter().map(|job| job["id"].as_str().unwrap()).collect();
        assert_eq!(listed, ids.iter().map(String::as_str).collect());
        assert_eq!(list(&client, "text=job%2007").len(), 1);
        assert_eq!(list(&client, "status=completed").len(), 0);
        assert_eq!(list(&client, "older_than=1h").len(), 0);

        let stats = client.get("/stats").json();
        assert_eq!(stats["ended"]["24h"]["failed"], 20, "{stats}");
        let filter = json!({"filter": {"error_code": ["NOT_A_VIDEO"]}, "dry_run": true});
        let dry_run = client.post("/jobs/retry", &filter).json();
        assert_eq!(
            (&dry_run["changed"], &dry_run["more"]),
            (&json!(20), &json!(false))
        );
        place.stdout(&["pause"]);
        let some = json!({"ids": &ids[..2]});
        assert_eq!(client.post("/jobs/retry", &some).json()["changed"], 2);
        let rest = client.post("/jobs/retry", &json!({"filter": {}})).json();
        assert_eq!(rest["changed"], 18, "{rest}");
        let again = client.post("/jobs/retry", &some).json();
        assert_eq!(
            (&again["changed"], &again["skipped"]),
            (&json!(0), &json!({"pending": 2}))
        );
        let cancelled = client
            .post("/jobs/cancel", &json!({"filter": {"text": "job 07"}}))
            .json();
        assert_eq!(cancelled["changed"], 1, "{cancelled}");
        place.stdout(&["resume"]);
        wait("the other jobs failed again", || {
            list(&client, "status=failed").len() == 19
        });
        assert!(
            list(&client, "status=failed")
                .iter()
                .all(|job| job["generation"] == 1)
        );
    }
}

#[test]
fn a_job_in_progress_is_cancelled_and_retried() {
    let place = Place::sqlite();
    place.put("v.mp4", &std::fs::read(crate::video::long()).unwrap());
    let (worker, client) = open(&place, &[]);
    let request =
        json!({"source": {"key": "v.mp4"}, "selection": {"all": true}, "picture": {"format": "png"}});
    let id = client.post("/jobs", &request).json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/jobs/{id}");
    wait("the job is in progress", || {
        client.get(&path).json()["stage"] == "extract"
    });
    assert_eq!(
        client.post(&format!("{path}/retry"), &json!({})).status,
        StatusCode::CONFLICT
    );
    let workers = client.get("/workers").json();
    assert_eq!(workers[0]["jobs"][0]["id"], id, "{workers}");
    let requested = client.post(&format!("{path}/cancel"), &json!({}));
    assert_eq!(requested.json()["cancel_requested"], true);
    wait("the job is cancelled", || {
        client.get(&path).json()["status"] == "cancelled"
    });
    assert_ne!(
        client.post(&format!("{path}/keep"), &json!({})).json()["kept_at"],
        Value::Null
    );
    assert_eq!(list(&client, "kept=true").len(), 1);
    assert_eq!(
        client.post(&format!("{path}/release"), &json!({})).json()["kept_at"],
        Value::Null
    );
    assert_eq!(client.events(&id).last().unwrap().0, "end");
    place.stdout(&["pause"]);
    assert_eq!(
        client.post(&format!("{path}/retry"), &json!({})).json()["status"],
        "pending"
    );
    let first = client.first_event(&id);
    assert_eq!(
        first["status"], "pending",
        "followers see no earlier state: {first}"
    );
    let log = worker.log();
    for action in ["submit", "cancel", "keep", "release", "retry"] {
        let line = |line: &&str| {
            line.contains("HTTP request changed a job") && line.contains(&format!("\"action\":\"{action}\""))
        };
        assert!(
            log.lines().any(|text| line(&text) && text.contains(&id)),
            "{action}: {log}"
        );
    }
}

#[test]
fn invalid_queries_name_the_mistake() {
    let place = Place::sqlite();
    let (_worker, client) = open(&place, &[]);
    let missing = "0192d5f2-7c1e-7cc2-8f5e-000000000000";
    for (path, status, detail) in [
        ("/jobs?limit=0", StatusCode::BAD_REQUEST, "1 to 200"),
        ("/jobs?limit=x", StatusCode::BAD_REQUEST, "limit"),
        ("/jobs?after=x", StatusCode::BAD_REQUEST, "after"),
        ("/jobs?status=done", StatusCode::BAD_REQUEST, "retry_wait"),
        (
            "/jobs?state=failed",
            StatusCode::BAD_REQUEST,
            "'state' is unknown",
        ),
        ("/jobs?older_than=soon", StatusCode::BAD_REQUEST, "older_than"),
        ("/jobs/x", StatusCode::NOT_FOUND, "UUID"),
        (
            &format!("/jobs/{missing}"),
            StatusCode::NOT_FOUND,
            "does not exist",
        ),
        (
            &format!("/jobs/{missing}/events"),
            StatusCode::NOT_FOUND,
            "does not exist",
        ),
        ("/nothing", StatusCode::NOT_FOUND, "does not exist"),
    ] {
        let response = client.get(path);
        assert_eq!(response.status, status, "{path}");
        assert!(
            response.json()["detail"].as_str().unwrap().contains(detail),
            "{path}: {response:?}"
        );
    }
}

/// Returns paths and bodies, each with the status and a part of the detail of the response.
fn invalid_bodies() -> Vec<(&'static str, Value, StatusCode, &'static str)> {
    let source = json!({"key": "v.mp4"});
    vec![
        ("/jobs", json!({}), StatusCode::BAD_REQUEST, "source"),
        ("/jobs", json!([]), StatusCode::BAD_REQUEST, "object"),
        (
            "/jobs",
            json!({"source": {"key": "../x"}}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "source.key",
        ),
        (
            "/jobs",
            json!({"source": {"key": "none.mp4"}}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "does not exist",
        ),
        (
            "/jobs",
            json!({"source": {"key": "v.mp4", "bucket": "other"}}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "not configured",
        ),
        (
            "/jobs",
            json!({"source": source, "selection": {"fps": 0}}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "fps",
        ),
        (
            "/jobs",
            json!({"source": source, "output": {"key": "/etc"}}),
            StatusCode::UNPROCESSABLE_ENTITY,
            "output.key",
        ),
        (
            "/jobs",
            json!({"source": source, "x": "y".repeat(300_000)}),
            StatusCode::PAYLOAD_TOO_LARGE,
            "256 KiB",
        ),
        (
            "/jobs/retry",
            json!({}),
            StatusCode::BAD_REQUEST,
            "either ids or a filter",
        ),
        (
            "/jobs/retry",
            json!({"ids": [], "filter": {}}),
            StatusCode::BAD_REQUEST,
            "either ids or a filter",
        ),
        (
            "/jobs/retry",
            json!({"filter": {"state": "failed"}}),
            StatusCode::BAD_REQUEST,
            "'state'",
        ),
        (
            "/jobs/retry",
            json!({"filter": {}, "all": true}),
            StatusCode::BAD_REQUEST,
            "all",
        ),
        (
            "/dead-letters/redrive",
            json!({"ids": []}),
            StatusCode::BAD_REQUEST,
            "1 to 1000",
        ),
    ]
}

#[test]
fn invalid_bodies_name_the_mistake() {
    let place = Place::sqlite();
    place.put("v.mp4", b"x");
    let (_worker, client) = open(&place, &[]);
    for (path, body, status, detail) in invalid_bodies() {
        let response = client.post(path, &body);
        assert_eq!(response.status, status, "{path}: {response:?}");
        assert!(
            response.json()["detail"].as_str().unwrap().contains(detail),
            "{path}: {response:?}"
        );
    }
    submit(&client, "v.mp4", ["taken".to_owned()].into_iter());
    std::fs::remove_file(place.objects().join("v.mp4")).unwrap();
    let same = json!({"source": {"key": "v.mp4"}, "client_metadata": {"name": "taken"}});
    let repeated = client.with("idempotency-key", "taken").post("/jobs", &same);
    assert_eq!(
        repeated.status,
        StatusCode::OK,
        "the source is not needed: {repeated:?}"
    );
    place.put("v.mp4", b"x");
    let other = json!({"source": {"key": "v.mp4"}, "selection": {"fps": 3}});
    let conflict = client.with("idempotency-key", "taken").post("/jobs", &other);
    assert_eq!(
        (conflict.status, &conflict.json()["code"]),
        (StatusCode::CONFLICT, &json!("idempotency_conflict"))
    );
}

#[test]
fn dead_letter_messages_are_listed_and_redriven() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        place.stdout(&["migrate", "up"]);
        place.send("<script>alert(1)</script>");
        let (_worker, client) = open(&place, &[]);
        let mut listed = Value::Null;
        wait("the message is dead-lettered", || {
            listed = client.get("/dead-letters").json();
            listed["messages"][0].is_object()
        });
        let message = &listed["messages"][0];
        assert_eq!(message["body"], "<script>alert(1)</script>", "{listed}");
        place.stdout(&["pause"]);
        let ids = json!({"ids": [message["id"], "none"]});
        let redriven = client.post("/dead-letters/redrive", &ids).json();
        assert_eq!(
            redriven,
            json!({"redriven": [message["id"]], "missing": ["none"]})
        );
    }
}
