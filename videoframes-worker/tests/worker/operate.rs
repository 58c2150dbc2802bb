//! Operation of buckets and queues: provisioning, and redrive of dead-letter messages.

use super::place::{Kind, Place};
use super::video;

#[test]
fn provisioning_creates_buckets_and_queues_once() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    let missing = place.output(&["provision", "--check"]);
    assert_eq!(missing.status.code(), Some(24), "{missing:?}");
    let first = place.stdout(&["provision"]);
    assert!(first.contains("settings changed"), "{first}");
    for again in [&["provision"][..], &["provision", "--check"]] {
        let text = place.stdout(again);
        assert!(text.contains("everything is up to date"), "{again:?}: {text}");
    }
    // Manual changes are detected and fixed.
    place.cloud.as_ref().unwrap().hide_input_for("7");
    let differs = place.output(&["provision", "--check"]);
    let text = String::from_utf8_lossy(&differs.stdout).into_owned();
    assert_eq!(differs.status.code(), Some(24), "{text}");
    assert!(text.contains("- VisibilityTimeout: 7"), "{text}");
    let fixed = place.stdout(&["provision"]);
    assert!(
        fixed.contains("1 settings changed") || fixed.contains("1 setting changed"),
        "{fixed}"
    );
    place.stdout(&["provision", "--check"]);
}

#[test]
fn dead_letter_messages_can_be_listed_and_redriven() {
    for kind in [Kind::Sqlite, Kind::Deployed] {
        let Some(place) = Place::of(kind) else { continue };
        place.stdout(&["migrate", "up"]);
        place.send(r#"{"version": 1, "source": {"key": "later.mp4"}, "#);
        place.finish();
        assert_eq!(place.dead_letter_messages().len(), 1);
        let list = |place: &Place| -> Vec<serde_json::Value> {
            serde_json::from_str(&place.stdout(&["dlq", "list", "--json"])).unwrap()
        };
        let letters = list(&place);
        assert_eq!(letters.len(), 1, "{letters:?}");
        let id = letters[0]["id"].as_str().unwrap();
        assert!(
            letters[0]["reason"].as_str().unwrap().contains("JSON"),
            "{letters:?}"
        );
        assert!(place.stdout(&["dlq", "show", id]).contains("later.mp4"));
        // The redriven message is still invalid, and is dead-lettered again.
        place.stdout(&["dlq", "redrive", "--all"]);
        assert_eq!(list(&place), Vec::<serde_json::Value>::new());
        place.finish();
        assert_eq!(list(&place).len(), 1);
        let unasked = place.output(&["dlq", "purge"]);
        assert_eq!(unasked.status.code(), Some(2), "stdin is not a terminal");
        place.stdout(&["dlq", "purge", "--yes"]);
        assert_eq!(list(&place), Vec::<serde_json::Value>::new());
        place.put("later.mp4", &std::fs::read(video::short()).unwrap());
        assert_eq!(place.output(&["dlq", "show", "none"]).status.code(), Some(3));
    }
}
