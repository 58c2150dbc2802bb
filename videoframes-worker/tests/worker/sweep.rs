//! Abandoned jobs, expired results and orphaned files.

use super::place::{EVERYWHERE, Place, wait};
use super::video;

#[test]
fn abandoned_jobs_are_enqueued_again() {
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
fn results_and_notifications_of_finished_jobs_expire() {
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
fn an_archive_shared_with_another_job_outlives_its_job() {
    let place = Place::sqlite();
    let first = place.submit(video::short(), &["-n", "1"]);
    place.finish();
    let second = place.submit(video::short(), &["-n", "1"]);
    place.finish();
    let key = place.job(&second)["result"]["key"].clone();
    assert!(key.as_str().unwrap().contains(&first));
    let env = [("VF_ORPHAN_AGE", "1s")];
    let worker = place.worker(&env, &[]);
    wait("the worker sweeps", || worker.log().contains("processor started"));
    // After the removal of the orphaned archive, the sweep has checked all archives.
    let orphan = place
        .objects()
        .join("results/ffffffff-ffff-7fff-bfff-ffffffffffff/1.zip");
    std::fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    std::fs::write(&orphan, "orphan").unwrap();
    // Without a row, a result is an orphan only after the retention of rows.
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(31 * 24 * 3600);
    let file = std::fs::File::options().write(true).open(&orphan).unwrap();
    file.set_modified(old).unwrap();
    wait("the orphan is removed", || !orphan.exists());
    drop(worker);
    assert!(place.objects().join(key.as_str().unwrap()).exists());
}

#[test]
fn a_kept_job_outlives_its_retention_with_its_results() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        let rendition = ["-n", "1", "--rendition", "max_height=48"];
        let kept = place.submit(video::short(), &rendition);
        let other = place.submit(video::short(), &["-n", "2"]);
        place.finish();
        place.stdout(&["keep", &kept]);
        assert!(place.stdout(&["job", &kept]).contains("kept"));
        let listed = place.stdout(&["jobs", "--kept", "--json"]);
        assert!(listed.contains(&kept) && !listed.contains(&other), "{listed}");
        let env = [
            ("VF_RETENTION", "1s"),
            ("VF_ORPHAN_AGE", "1s"),
            ("VF_SWEEP_INTERVAL", "300ms"),
        ];
        let worker = place.worker(&env, &[]);
        wait("the other job is forgotten", || place.jobs().len() == 1);
        let results = |id: &str| place.results().iter().filter(|key| key.contains(id)).count();
        wait("its archive is removed", || results(&other) == 0);
        assert_eq!(place.job(&kept)["status"], "completed");
        assert!(
            results(&kept) >= 2,
            "archive and rendition are kept: {:?}",
            place.results()
        );
        place.stdout(&["release", &kept]);
        wait("the job is forgotten", || place.jobs().is_empty());
        wait("its results are removed", || results(&kept) == 0);
        assert_eq!(place.output(&["keep", &kept]).status.code(), Some(3));
        drop(worker);
    }
}
