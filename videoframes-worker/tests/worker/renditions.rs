//! Renditions in addition to the archive, with failures of workers.

use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};

use super::place::{EVERYWHERE, Kind, Place, wait};
use super::signals::frozen_at;
use super::video;

// These tests count renditions, to which `VF_TEST_RENDITIONS` would add.

/// Two renditions: one from the shared decode with the pictures, one with a maximum size.
const TWO: &[&str] = &[
    "--fps",
    "5",
    "--rendition",
    "max_height=48,quality=30",
    "--rendition",
    "max_bytes=20000",
];

fn keys(job: &Value) -> Vec<&str> {
    let made = job["result"]["renditions"].as_array().unwrap();
    made.iter()
        .map(|rendition| rendition["key"].as_str().unwrap_or("-"))
        .collect()
}

#[test]
fn renditions_are_written_and_reported_with_the_archive() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        let id = place.submit(video::short(), TWO);
        place.finish();
        // `check` compares the reported values.
        let job = place.check(1).remove(0);
        let key = |name: &str| format!("results/{id}/1.{name}");
        assert_eq!(job["result"]["key"], key("zip"));
        assert_eq!(keys(&job), [key("1.mp4"), key("2.mp4")]);
        let (first, second) = (&job["result"]["renditions"][0], &job["result"]["renditions"][1]);
        assert_eq!((&first["height"], &first["frames"]), (&48.into(), &30.into()));
        assert_eq!(
            (&second["height"], &second["media_type"]),
            (&90.into(), &"video/mp4".into())
        );
        assert!(second["size"].as_u64().unwrap() <= 20_000);
        // Fetches the rendition like a client.
        let file = place.folder.path().join("fetched.mp4");
        place.stdout(&["result", &id, "--rendition", "2", "-o", file.to_str().unwrap()]);
        assert_eq!(std::fs::read(file).unwrap(), place.get(&key("2.mp4")).unwrap());
        assert_eq!(
            place
                .output(&["result", &id, "--rendition", "3", "-o", "-"])
                .status
                .code(),
            Some(2)
        );
        assert!(place.stdout(&["job", &id]).contains("1.1.mp4: h264 "));
    }
}

fn killed_at(kind: Kind, point: &str, chosen: bool) {
    let Some(place) = Place::of(kind) else { return };
    let chosen_key = ["--output-key", "chosen/a.zip"];
    let options = [TWO, if chosen { &chosen_key } else { &[] }].concat();
    let id = place.submit(video::short(), &options);
    let fault = format!("{point}=kill");
    let mut worker = place.worker(&[("VF_FAULT", &fault)], &[]);
    assert_eq!(worker.wait().signal(), Some(9), "{point}\n{}", worker.log());
    let before = match chosen {
        true => place.get("chosen/a.1.mp4"),
        false => None,
    };
    place.finish();
    let job = place.check(1).remove(0);
    assert_eq!(job["status"], "completed", "{point}: {job}");
    // Objects that were complete at the crash are the result, and no object is written twice. On a busy machine,
    // a later claim than the next may complete the job.
    let archive = job["result"]["key"].as_str().unwrap();
    let stem = archive.strip_suffix(".zip").unwrap();
    match chosen {
        true => assert_eq!(stem, "chosen/a", "{point}"),
        false => {
            let epoch = stem.strip_prefix(&format!("results/{id}/")).unwrap();
            let adopted = ["uploaded", "committed"].contains(&point);
            assert_eq!(epoch == "1", adopted, "{point}: {archive}");
        }
    }
    assert_eq!(
        keys(&job),
        [format!("{stem}.1.mp4"), format!("{stem}.2.mp4")],
        "{point}"
    );
    if let Some(before) = before {
        assert!(
            place.get("chosen/a.1.mp4").unwrap() == before,
            "{point}: it is not made again"
        );
    }
}

#[test]
fn a_worker_killed_around_renditions_loses_nothing() {
    for kind in EVERYWHERE {
        for chosen in [false, true] {
            std::thread::scope(|scope| {
                for point in ["extracting", "compressed", "beside", "uploaded", "committed"] {
                    scope.spawn(move || killed_at(kind, point, chosen));
                }
            });
        }
    }
}

#[test]
fn a_frozen_worker_changes_no_rendition_afterwards() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        let options = [TWO, &["--output-key", "chosen.zip"]].concat();
        let id = place.submit(video::short(), &options);
        let mut frozen = place.worker(&frozen_at("compressed=stop"), &[]);
        wait("the worker is frozen", || frozen.is_stopped());
        let mut other = place.worker(&[], &[]);
        let job = place.wait_for(&id, |job| job["status"] == "completed");
        frozen.signal("CONT");
        wait("it sees that the job is another's", || {
            frozen.log().contains("lost the lease")
        });
        for worker in [&mut frozen, &mut other] {
            worker.signal("TERM");
            assert!(worker.wait().success(), "{}", worker.log());
        }
        assert_eq!(place.check(1)[0]["result"], job["result"]);
    }
}

#[test]
fn a_failed_rendition_fails_the_job_unless_optional() {
    let place = Place::sqlite();
    let impossible = "max_bytes=500";
    let failed = place.submit(video::short(), &["-n", "2", "--rendition", impossible]);
    let optional = format!("{impossible},optional=true");
    let args = ["-n", "2", "--rendition", &optional, "--rendition", "quality=20"];
    let completed = place.submit(video::short(), &args);
    place.finish();
    place.check(2);
    let job = place.job(&failed);
    assert_eq!((&job["status"], &job["attempts"]), (&"failed".into(), &1.into()));
    assert_eq!(job["error_code"], "RENDITION_FAILED");
    let message = job["error_message"].as_str().unwrap();
    assert!(
        message.contains("cannot be made as small as 500 bytes"),
        "{message}"
    );
    let job = place.job(&completed);
    assert_eq!(job["status"], "completed", "{job}");
    let renditions = &job["result"]["renditions"];
    assert_eq!(renditions[0]["status"], "failed");
    let why = renditions[0]["message"].as_str().unwrap();
    assert!(why.contains("cannot be made as small as 500 bytes"), "{why}");
    assert_eq!(renditions[1]["status"], "made");
    let refused = place.output(&["result", &completed, "--rendition", "1", "-o", "-"]);
    assert!(!refused.status.success());
    // The failed job leaves only objects that a later sweep removes.
    assert!(
        place
            .archives()
            .iter()
            .all(|key| !key.ends_with(".zip") || key.contains(&completed))
    );
}

#[test]
fn identical_renditions_are_reused_and_missing_renditions_are_made_again() {
    let place = Place::sqlite();
    let ids = [(); 3].map(|()| {
        let id = place.submit(video::short(), TWO);
        place.finish();
        id
    });
    let result = |id: &str| place.job(id)["result"].clone();
    assert_eq!(result(&ids[0]), result(&ids[1]));
    assert_eq!(result(&ids[0]), result(&ids[2]));
    let gone = place
        .objects()
        .join(result(&ids[0])["renditions"][1]["key"].as_str().unwrap());
    std::fs::remove_file(gone).unwrap();
    let again = place.submit(video::short(), TWO);
    place.finish();
    assert_eq!(result(&again)["key"], json!(format!("results/{again}/1.zip")));
    // Another size is a different rendition.
    let other = place.submit(
        video::short(),
        &["--fps", "5", "--rendition", "max_height=50,quality=30"],
    );
    place.finish();
    assert_eq!(result(&other)["key"], json!(format!("results/{other}/1.zip")));
}

#[test]
fn renditions_expire_with_their_archive() {
    let place = Place::sqlite();
    let id = place.submit(video::short(), TWO);
    place.finish();
    // The sweep removes objects of a dead attempt, and keeps objects of the job.
    place.put(&format!("results/{id}/7.1.mp4"), b"left by a dead attempt");
    let mut worker = place.worker(&[("VF_ORPHAN_AGE", "1s")], &[]);
    wait("orphans are swept", || place.results().len() == 3);
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    place.check(1);
    let mut worker = place.worker(&[("VF_RETENTION", "1s"), ("VF_ORPHAN_AGE", "1s")], &[]);
    wait("all results are removed", || place.results().is_empty());
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
}
