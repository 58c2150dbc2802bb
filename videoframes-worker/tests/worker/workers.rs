//! The list of workers.

use serde_json::Value;

use super::place::{EVERYWHERE, Place, wait};
use super::video;

fn workers(place: &Place) -> Vec<Value> {
    serde_json::from_str(&place.stdout(&["workers", "--json"])).unwrap()
}

#[test]
fn workers_are_listed_with_their_jobs() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        let id = place.submit(video::short(), &["--fps", "5"]);
        assert_eq!(workers(&place), Vec::<Value>::new());
        let mut worker = place.worker(&[("VF_FAULT", "extracting=block"), ("VF_CONCURRENCY", "3")], &[]);
        let listed = || workers(&place).pop().unwrap_or(Value::Null);
        wait("the job is listed with its worker", || {
            listed()["jobs"][0]["stage"] == "extract"
        });
        let found = listed();
        assert_eq!(
            (&found["slots"], &found["state"]),
            (&3.into(), &"ready".into()),
            "{found}"
        );
        let job = &found["jobs"][0];
        assert_eq!(
            (&job["id"], &job["attempts"]),
            (&id.as_str().into(), &1.into()),
            "{found}"
        );
        let text = place.stdout(&["workers"]);
        assert!(text.contains("1/3") && text.contains(&id), "{text}");

        worker.signal("KILL");
        worker.wait();
        wait("the worker is lost", || listed()["state"] == "lost");
        place.finish();
        place.check(1);
        let states: Vec<Value> = workers(&place)
            .iter()
            .map(|worker| worker["state"].clone())
            .collect();
        assert_eq!(states, ["lost", "stopped"]);
    }
}
