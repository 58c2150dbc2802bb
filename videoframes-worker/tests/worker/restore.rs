//! Databases that are restored to an earlier moment: workers stop, and `reconcile` brings the jobs back.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};

use super::operations::{address, get, value};
use super::place::{EVERYWHERE, Kind, Place, RESTORE_MARK, wait};
use super::process::Worker;
use super::video;

const TABLES: [&str; 6] = [
    "video_jobs",
    "videoframes_attempts",
    "outbox",
    "queue_messages",
    "videoframes_flows",
    "videoframes_restore",
];

impl Place {
    /// Saves the database, as a backup of this moment.
    fn save(&self) {
        let copies = TABLES.map(|table| format!("CREATE TABLE saved_{table} AS SELECT * FROM {table};"));
        self.sql(&copies.concat());
        // A restore is recognized by the marks that follow the moment.
        let saved = self.find_etag(RESTORE_MARK);
        wait("a later mark", || self.find_etag(RESTORE_MARK) != saved);
        let first = self.find_etag(RESTORE_MARK);
        wait("another mark", || self.find_etag(RESTORE_MARK) != first);
    }

    /// Restores the saved moment; running workers notice nothing.
    fn restore(&self) {
        let restored = TABLES
            .map(|table| format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM saved_{table};"));
        self.sql(&format!("BEGIN; {} COMMIT;", restored.concat()));
    }

    fn completed(&self, id: &str) -> Value {
        self.wait_for(id, |job| job["status"] == "completed")["result"].clone()
    }

    /// Runs `reconcile` and returns its exit code and report.
    fn reconcile(&self, args: &[&str]) -> (i32, Value) {
        let output = self.output(&[&["reconcile", "--json"], args].concat());
        let report = serde_json::from_slice(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let report = report.unwrap_or_else(|error| panic!("{error}: {stderr}"));
        (output.status.code().unwrap(), report)
    }
}

/// A place whose database lost the changes since a moment.
struct Story {
    place: Place,
    /// Accepted before the moment, completed after it.
    before: String,
    /// Accepted and completed after the moment.
    after: String,
    /// Failed before the moment, retried and completed after it.
    retried: String,
    /// Accepted after the moment, and never processed.
    queued: String,
    /// Results before the restore.
    results: BTreeMap<String, Value>,
    worker: Worker,
}

/// Runs the story until the restore, with a worker that never notices the restore by a lost connection.
fn story(kind: Kind) -> Option<Story> {
    let place = Place::of(kind)?;
    place.stdout(&["migrate", "up"]);
    let worker = place.worker(&[], &[]);
    place.send(r#"{"version": 1, "source": {"key": "later.mp4"}, "selection": {"count": 3}, "client_metadata": "ü"}"#);
    let mut retried = String::new();
    wait("a failed job", || {
        let jobs = place.jobs();
        let failed = jobs.iter().find(|job| job["status"] == "failed");
        retried = failed.map_or(String::new(), |job| job["id"].as_str().unwrap().to_owned());
        !retried.is_empty()
    });
    place.stdout(&["pause"]);
    let before = place.submit(video::short(), &["-n", "1"]);
    place.save();
    place.stdout(&["resume"]);
    let after = place.submit(video::short(), &["-n", "2"]);
    place.put("later.mp4", &std::fs::read(video::short()).unwrap());
    place.stdout(&["retry", &retried]);
    let ids = [&before, &after, &retried];
    let results = ids.map(|id| (id.clone(), place.completed(id))).into();
    place.stdout(&["pause"]);
    let queued = place.submit(video::short(), &["-n", "4"]);
    // The relay of the paused worker sends the message.
    wait("the message is sent", || {
        let stats: Value = serde_json::from_str(&place.stdout(&["stats", "--json"])).unwrap();
        stats["outbox"]["unsent"] == 0
    });
    place.restore();
    Some(Story {
        place,
        before,
        after,
        retried,
        queued,
        results,
        worker,
    })
}

impl Story {
    fn stop(&mut self) {
        self.worker.signal("TERM");
        assert!(self.worker.wait().success(), "{}", self.worker.log());
    }

    /// Checks that the database is as at the moment, and that no archive is lost.
    fn is_unchanged(&self) {
        let status = |id: &str| self.place.job(id)["status"].clone();
        assert_eq!(status(&self.before), "pending");
        assert_eq!(status(&self.retried), "failed");
        assert_eq!(self.place.jobs().len(), 2);
        self.has_all_archives();
    }

    fn has_all_archives(&self) {
        let archives = self.place.archives();
        for result in self.results.values() {
            let key = result["key"].as_str().unwrap();
            assert!(
                archives.iter().any(|archive| archive == key),
                "{key}: {archives:?}"
            );
        }
    }

    /// Waits for all jobs, and checks that each has the result from before the restore.
    fn is_complete(&mut self, kind: Kind) {
        for (id, result) in &self.results {
            assert_eq!(self.place.completed(id), *result, "{id}");
        }
        // The queues in the database went back with the database.
        let is_queued = kind == Kind::Deployed;
        if is_queued {
            self.place.completed(&self.queued);
        }
        wait("the notifications are sent", || {
            let reported = self.place.notifications();
            let reported = |id: &String| {
                reported
                    .iter()
                    .any(|event| event["data"]["job_id"] == id.as_str())
            };
            self.results.keys().all(reported)
        });
        self.stop();
        let jobs = self.place.check(3 + usize::from(is_queued));
        assert_eq!(jobs.iter().filter(|job| job["client_metadata"] == "ü").count(), 1);
        self.has_all_archives();
    }
}

fn a_worker_stops_and_continues(kind: Kind) {
    let Some(mut story) = story(kind) else { return };
    let (place, worker) = (&story.place, &story.worker);
    let address = address(worker);
    place.stdout(&["resume"]);
    wait("the worker recognizes the restore", || {
        get(&address, "/readyz") == (503, "restored\n".to_owned())
    });
    assert_eq!(get(&address, "/livez").0, 200);
    let metrics = get(&address, "/metrics").1;
    assert_eq!(value(&metrics, r#"videoframes_ready{reason="restored"}"#), 1.0);
    // Several sweeps and polls.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let log = worker.log();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("vf-worker reconcile"))
        .collect();
    assert!(lines.len() == 1 && lines[0].contains("was restored"), "{lines:?}");
    story.is_unchanged();

    let (code, dry) = place.reconcile(&["--dry-run"]);
    assert_eq!((code, &dry["state"]), (24, &json!("restored")), "{dry}");
    assert_eq!(dry["accepted"], Value::Null);
    story.is_unchanged();
    let (code, report) = place.reconcile(&[]);
    assert_eq!(code, 0, "{report}");
    for report in [&dry, &report] {
        assert_eq!(report["rebuilt"], json!([story.after]));
        assert_eq!(report["retried"], json!([story.retried]));
        assert_eq!(
            (&report["unfinished"], &report["adoptable"]),
            (&json!(1), &json!(1))
        );
    }
    wait("the worker is ready", || get(&address, "/readyz").0 == 200);
    assert!(
        worker.log().contains("was accepted; continuing"),
        "{}",
        worker.log()
    );
    story.is_complete(kind);
}

#[test]
fn a_worker_stops_after_a_restore_and_continues_after_reconcile_on_sqlite() {
    a_worker_stops_and_continues(Kind::Sqlite);
}

#[test]
fn a_worker_stops_after_a_restore_and_continues_after_reconcile_on_postgres() {
    a_worker_stops_and_continues(Kind::Postgres);
}

#[test]
fn a_worker_stops_after_a_restore_and_continues_after_reconcile_on_buckets_and_queues() {
    a_worker_stops_and_continues(Kind::Deployed);
}

const POINTS: [&str; 6] = [
    "reconcilelisted",
    "reconcilerebuilt",
    "reconcileretried",
    "reconcileenqueued",
    "reconcileaccepted",
    "reconcilemarked",
];

fn killed_at(kind: Kind, point: &str) {
    let Some(mut story) = story(kind) else { return };
    story.stop();
    let mut reconcile = story.place.command(&["reconcile"]);
    let fault = format!("{point}=kill");
    let killed = reconcile.env("VF_FAULT", &fault).output().unwrap();
    let stderr = String::from_utf8_lossy(&killed.stderr);
    assert_eq!(killed.status.signal(), Some(9), "{point}: {stderr}");
    assert_eq!(story.place.reconcile(&[]).0, 0, "{point}");
    story.worker = story.place.worker(&[], &[]);
    story.is_complete(kind);
}

#[test]
fn reconcile_killed_at_any_step_is_repeated() {
    std::thread::scope(|scope| {
        for (index, point) in POINTS.into_iter().enumerate() {
            scope.spawn(move || killed_at(EVERYWHERE[index % EVERYWHERE.len()], point));
        }
    });
}

fn a_frozen_worker_changes_nothing(kind: Kind) {
    let Some(place) = Place::of(kind) else { return };
    place.stdout(&["migrate", "up"]);
    let mut frozen = place.worker(&[("VF_FAULT", "prepared=stop")], &[]);
    address(&frozen);
    place.stdout(&["pause"]);
    let id = place.submit(video::short(), &["-n", "1"]);
    place.save();
    place.stdout(&["resume"]);
    wait("the worker is frozen", || frozen.is_stopped());
    assert_eq!(place.job(&id)["lease_epoch"], 1);
    place.restore();
    let mut other = place.worker(&[], &[]);
    wait("the worker recognizes the restore", || {
        other.log().contains("vf-worker reconcile")
    });
    assert_eq!(place.job(&id)["lease_epoch"], 0);
    assert_eq!(place.reconcile(&[]).0, 0);
    let result = place.completed(&id);
    let key = format!("results/{id}/{}.zip", (1 << 20) + 1);
    assert_eq!(result["key"], key, "a new epoch, above the forgotten one");
    frozen.signal("CONT");
    wait("the frozen worker lost its lease", || {
        frozen.log().contains("lost the lease")
    });
    assert_eq!(place.completed(&id), result);
    for worker in [&mut frozen, &mut other] {
        worker.signal("TERM");
        assert!(worker.wait().success(), "{}", worker.log());
    }
    place.check(1);
}

#[test]
fn a_worker_frozen_since_before_the_restore_changes_nothing() {
    std::thread::scope(|scope| {
        for kind in EVERYWHERE {
            scope.spawn(move || a_frozen_worker_changes_nothing(kind));
        }
    });
}

#[test]
fn accept_continues_without_the_lost_jobs_and_keeps_their_archives() {
    let Some(mut story) = story(Kind::Sqlite) else {
        return;
    };
    story.stop();
    let text = story.place.stdout(&["reconcile", "--accept"]);
    assert!(
        text.contains("workers continue\nlost jobs were left out"),
        "{text}"
    );
    story.is_unchanged();
    story.worker = story.place.worker(&[("VF_ORPHAN_AGE", "1s")], &[]);
    story.place.completed(&story.before);
    wait("the sweep finds the result of an unknown job", || {
        story
            .worker
            .log()
            .contains("found results whose jobs have no row")
    });
    assert_eq!(story.place.job(&story.retried)["status"], "failed");
    for lost in [&story.after, &story.retried] {
        let key = story.results[lost]["key"].as_str().unwrap().to_owned();
        assert!(story.place.archives().contains(&key), "{key}");
    }
    // The results are still there for a later reconciliation.
    let (code, report) = story.place.reconcile(&[]);
    assert_eq!((code, &report["rebuilt"]), (0, &json!([story.after])), "{report}");
    assert_eq!(report["retried"], json!([story.retried]), "{report}");
    assert_eq!(report["state"], "current");
}

#[test]
fn another_database_is_recognized() {
    let place = Place::sqlite();
    let id = place.submit(video::short(), &["-n", "1"]);
    place.finish();
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(place.folder.path().join(format!("videoframes.sqlite{end}")));
    }
    let mut worker = place.worker(&[], &[]);
    wait("the worker recognizes the store", || {
        worker.log().contains("another database")
    });
    let (code, report) = place.reconcile(&[]);
    assert_eq!((code, &report["state"]), (0, &json!("foreign")), "{report}");
    wait("the worker continues", || {
        worker.log().contains("was accepted; continuing")
    });
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    assert_eq!(place.check(1)[0]["id"], id.as_str());
}

#[test]
fn a_worker_that_cannot_read_the_mark_says_so_until_reconcile_replaces_it() {
    let place = Place::sqlite();
    place.put(RESTORE_MARK, b"no mark");
    let mut worker = place.worker(&[], &[]);
    let address = address(&worker);
    wait("the reason restore_mark", || {
        get(&address, "/readyz") == (503, "restore_mark\n".to_owned())
    });
    // Several attempts to read the mark.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let log = worker.log();
    let errors = log.lines().filter(|line| line.contains("starts no jobs until"));
    assert_eq!(errors.count(), 1, "{log}");
    assert_eq!(get(&address, "/livez").0, 200);
    assert_eq!(place.reconcile(&[]).0, 0);
    wait("the worker is ready", || get(&address, "/readyz").0 == 200);
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
}
