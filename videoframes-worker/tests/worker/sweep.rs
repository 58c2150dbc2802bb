//! Jobs whose messages are gone, and files that nobody needs.

use super::place::{EVERYWHERE, Place, wait};
use super::video;

#[test]
fn jobs_whose_messages_are_gone_are_enqueued_again() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        for _ in 0..3 {
            place.submit(video::short(), &["-n", "1"]);
        }
        assert_eq!(place.purge(), 3);
        place.finish();
        let rows = place.check(3);
        assert!(rows.iter().all(|row| row["status"] == "completed"), "{rows:?}");
    }
}

#[test]
fn what_finished_jobs_leave_is_forgotten_after_its_retention() {
    let place = Place::sqlite();
    let id = place.submit(video::short(), &["-n", "1"]);
    place.finish();
    assert_eq!(place.archives().len(), 1);
    let env = [("VF_RETENTION", "1s"), ("VF_ORPHAN_AGE", "1s")];
    let _worker = place.worker(&env, &[]);
    wait("the job is forgotten", || place.jobs().is_empty());
    wait("its archive is removed", || place.archives().is_empty());
    wait("its notification is removed", || place.notifications().is_empty());
    assert_eq!(place.output(&["job", &id]).status.code(), Some(3));
}

#[test]
fn an_archive_that_another_job_uses_outlives_its_own_job() {
    let place = Place::sqlite();
    let first = place.submit(video::short(), &["-n", "1"]);
    place.finish();
    let second = place.submit(video::short(), &["-n", "1"]);
    place.finish();
    let key = place.job(&second)["result"]["key"].clone();
    assert!(key.as_str().unwrap().contains(&first));
    let env = [("VF_ORPHAN_AGE", "1s")];
    let worker = place.worker(&env, &[]);
    wait("it swept", || worker.log().contains("processor started"));
    // Where an archive that nobody has is gone, all others have been looked at.
    let orphan = place
        .objects()
        .join("results/ffffffff-ffff-7fff-bfff-ffffffffffff/1.zip");
    std::fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    std::fs::write(&orphan, "nobody's").unwrap();
    wait("the orphan is removed", || !orphan.exists());
    drop(worker);
    assert!(place.objects().join(key.as_str().unwrap()).exists());
}
