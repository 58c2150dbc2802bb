//! Many jobs with several workers.

use std::collections::BTreeSet;

use super::place::{EVERYWHERE, Kind, Place};
use super::video;

fn many(kind: Kind, workers: usize) {
    const JOBS: usize = 40;
    let Some(place) = Place::of(kind) else { return };
    for _ in 0..JOBS {
        place.submit(video::short(), &["-n", "1", "-W", "32"]);
    }
    let env = [("VF_REUSE", "off")];
    let mut workers: Vec<_> = (0..workers)
        .map(|_| place.worker(&env, &["--until-idle"]))
        .collect();
    for worker in &mut workers {
        assert!(worker.wait().success(), "{}", worker.log());
    }
    let rows = place.check(JOBS);
    assert!(
        rows.iter()
            .all(|row| row["status"] == "completed" && row["attempts"] == 1)
    );
    let reported = place.notifications();
    let ids: BTreeSet<_> = reported
        .iter()
        .map(|event| event["id"].as_str().unwrap())
        .collect();
    assert_eq!((reported.len(), ids.len()), (JOBS, JOBS));
    assert_eq!(place.archives().len(), JOBS, "each job was done once");
}

#[test]
fn jobs_are_done_once_each_by_several_workers_on_sqlite() {
    many(Kind::Sqlite, 1);
    many(Kind::Sqlite, 4);
}

#[test]
fn jobs_are_done_once_each_by_several_workers_on_postgres() {
    many(Kind::Postgres, 1);
    many(Kind::Postgres, 4);
}

#[test]
fn jobs_are_done_once_each_by_several_workers_on_buckets_and_queues() {
    many(Kind::Deployed, 4);
}

#[test]
fn the_same_message_to_two_workers_runs_one_decoder() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        let id = place.submit(video::long(), &["--fps", "2", "-f", "png"]);
        for _ in 0..3 {
            place.send(&format!(r#"{{"version":1,"job_id":"{id}"}}"#));
        }
        let env = [("VF_CONCURRENCY", "2")];
        let mut workers = [
            place.worker(&env, &["--until-idle"]),
            place.worker(&env, &["--until-idle"]),
        ];
        for worker in &mut workers {
            assert!(worker.wait().success(), "{}", worker.log());
        }
        let rows = place.check(1);
        assert_eq!(
            (&rows[0]["lease_epoch"], &rows[0]["attempts"]),
            (&1.into(), &1.into())
        );
        assert_eq!(place.archives().len(), 1);
        assert_eq!(place.notifications().len(), 1);
    }
}

#[test]
fn an_identical_job_reuses_the_result_unless_disabled() {
    let place = Place::sqlite();
    for _ in 0..3 {
        place.submit(video::short(), &["-n", "2"]);
    }
    place.submit(video::short(), &["-n", "3"]);
    place.finish();
    let rows = place.check(4);
    let keys: BTreeSet<_> = rows
        .iter()
        .map(|row| row["result"]["key"].as_str().unwrap())
        .collect();
    assert_eq!((keys.len(), place.archives().len()), (2, 2));
}
