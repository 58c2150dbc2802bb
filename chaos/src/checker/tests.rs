//! The checker finds each violation in a recorded state, and none in the correct state.

use std::io::{Cursor, Write};

use serde_json::json;

use super::archive;
use super::invariant::violations;
use super::observed::{Event, Observed, Row};
use super::watch::Watch;
use crate::load::ledger::{Accepted, COMPLETED, Entries, Letter};
use crate::servers::cloud::BUCKET;

const RESULT: &str = "results/done/1.zip";

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in files {
        zip.start_file(*name, stored).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn picture() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::RgbImage::new(8, 8)
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

fn event(id: &str, row: &Row) -> Event {
    let result = row
        .result_key
        .as_ref()
        .map(|key| json!({"bucket": BUCKET, "key": key, "sha256": row.result_sha256}));
    let data =
        json!({"job_id": row.id, "generation": row.generation, "status": row.status, "result": result});
    Event::from_json(&json!({"id": id, "data": data})).unwrap()
}

/// Returns a state with a completed job, a failed job, and a dead-letter message.
fn correct() -> (Entries, Observed) {
    let picture = picture();
    let bytes = zip(&[("a.png", &picture), ("b.png", &picture), ("manifest.json", b"{}")]);
    let archive = archive::read(&bytes).unwrap();
    let done = Row {
        id: "done".to_owned(),
        source: "in/1.mp4".to_owned(),
        status: "completed".to_owned(),
        result_key: Some(RESULT.to_owned()),
        result_sha256: Some(archive.sha256.clone()),
        result_size: Some(archive.size),
        result_frames: Some(2),
        ..Row::default()
    };
    let bad = Row {
        id: "bad".to_owned(),
        source: "in/2.mp4".to_owned(),
        status: "failed".to_owned(),
        error_code: Some("NOT_A_VIDEO".to_owned()),
        ..Row::default()
    };
    // At-least-once delivery: the same notification twice is no violation.
    let events = vec![event("e1", &done), event("e2", &bad), event("e2", &bad)];
    let observed = Observed {
        rows: vec![done, bad],
        events,
        letters: vec!["{poison-3- is no JSON".to_owned()],
        archives: [((BUCKET.to_owned(), RESULT.to_owned()), Ok(archive))].into(),
        results: [RESULT.to_owned(), "results/restore-mark.json".to_owned()].into(),
        ..Observed::default()
    };
    let entries = Entries {
        accepted: vec![
            Accepted::new(1, "Message".to_owned(), "in/1.mp4", &[COMPLETED]).frames(&[2]),
            Accepted::new(2, "Text".to_owned(), "in/2.mp4", &["NOT_A_VIDEO"]),
        ],
        letters: vec![Letter {
            ticket: 3,
            text: "poison-3-".to_owned(),
            may_vanish: false,
        }],
        ..Entries::default()
    };
    (entries, observed)
}

type Damage = fn(&mut Entries, &mut Observed);

const DAMAGES: &[(&str, Damage)] = &[
    ("accepted, but has 0 jobs", |_, seen| drop(seen.rows.remove(1))),
    ("accepted, but has 2 jobs", |_, seen| {
        let row = Row {
            id: "again".to_owned(),
            ..seen.rows[1].clone()
        };
        seen.events.push(event("e3", &row));
        seen.rows.push(row);
    }),
    ("names an unknown job", |_, seen| drop(seen.rows.remove(0))),
    ("nobody requested", |entries, _| drop(entries.accepted.remove(0))),
    ("processing is not terminal", |_, seen| {
        seen.rows[1].status = "processing".to_owned()
    }),
    ("failed and parked", |_, seen| seen.rows[1].is_parked = true),
    ("instead of [\"NOT_A_VIDEO\"]", |_, seen| {
        seen.rows[1].error_code = Some("INTERNAL".to_owned())
    }),
    ("3 frames instead of [2]", |_, seen| {
        seen.rows[0].result_frames = Some(3)
    }),
    ("2 pictures instead of Some(3)", |entries, seen| {
        entries.accepted[0].frames.clear();
        seen.rows[0].result_frames = Some(3);
    }),
    ("0 notifications of generation 0", |_, seen| {
        seen.events.retain(|event| event.job != "bad")
    }),
    ("2 notifications of generation 0", |_, seen| {
        seen.events[2].id = "e3".to_owned()
    }),
    ("has another status", |_, seen| {
        seen.events[1].status = "cancelled".to_owned()
    }),
    ("differ", |_, seen| seen.events[1].content["more"] = json!(1)),
    ("results/done/1.zip: the object does not exist", |_, seen| {
        seen.archives
            .values_mut()
            .for_each(|archive| *archive = Err("the object does not exist".to_owned()));
    }),
    ("another checksum or size than the row", |_, seen| {
        seen.rows[0].result_size = Some(1)
    }),
    ("completed without a result", |_, seen| {
        seen.rows[0].result_key = None
    }),
    ("the row has results/other.zip", |_, seen| {
        seen.rows[0].result_key = Some("results/other.zip".to_owned())
    }),
    ("the rendition results/done/1.1.mp4 is missing", |_, seen| {
        seen.rows[0]
            .renditions
            .push(("results/done/1.1.mp4".to_owned(), "aa".to_owned()));
    }),
    ("no dead-letter message has 'poison-3-'", |_, seen| {
        seen.letters.clear()
    }),
    ("a valid message", |_, seen| {
        seen.letters.push("{\"version\":1}".to_owned())
    }),
    ("an object without a job", |_, seen| {
        _ = seen.results.insert("results/bad/1.zip".to_owned())
    }),
    ("an incomplete upload", |_, seen| {
        _ = seen.uploads.insert("results/x/1.zip".to_owned())
    }),
    ("another program", |_, seen| {
        seen.changed.push("out/1.zip".to_owned())
    }),
    ("1 unsent messages", |_, seen| seen.unsent = 1),
    ("1 messages are left", |_, seen| seen.waiting = 1),
    ("retried once, but in generation 0", |entries, _| {
        entries.accepted[1].retried = true
    }),
    ("no job is completed", |entries, _| {
        entries.accepted[1].one_of = Some(COMPLETED)
    }),
];

#[test]
fn the_correct_state_has_no_violation() {
    let (entries, observed) = correct();
    assert_eq!(violations(&entries, &observed), []);
}

#[test]
fn every_damage_is_found() {
    for (expected, damage) in DAMAGES {
        let (mut entries, mut observed) = correct();
        damage(&mut entries, &mut observed);
        let found = violations(&entries, &observed);
        assert!(
            found.iter().any(|violation| violation.text.contains(expected)),
            "{expected}: {found:?}"
        );
    }
}

#[test]
fn a_request_whose_message_was_removed_may_have_no_job() {
    let (mut entries, mut observed) = correct();
    observed.rows.remove(1);
    observed.events.truncate(1);
    entries.accepted[1].may_vanish = true;
    assert_eq!(violations(&entries, &observed), []);
}

#[test]
fn damaged_archives_are_recognised() {
    let picture = picture();
    let (manifest, name) = (("manifest.json", &b"{}"[..]), "a.png");
    assert_eq!(
        archive::read(&zip(&[(name, &picture), manifest]))
            .unwrap()
            .pictures,
        1
    );
    assert!(archive::read(b"no archive").is_err());
    assert!(
        archive::read(&zip(&[(name, &picture)]))
            .unwrap_err()
            .contains("0 manifests")
    );
    assert!(
        archive::read(&zip(&[(name, b"no picture"), manifest]))
            .unwrap_err()
            .contains("'a.png'")
    );
    let mut damaged = zip(&[(name, &picture), manifest]);
    damaged[60] ^= 1;
    assert!(archive::read(&damaged).unwrap_err().contains("'a.png'"));
}

#[test]
fn an_ended_job_changes_only_by_a_retry() {
    let (_, observed) = correct();
    let watch = Watch::default();
    watch.compare(observed.rows.clone());
    watch.compare(observed.rows.clone());
    let mut retried = observed.rows.clone();
    (retried[1].generation, retried[1].status) = (1, "pending".to_owned());
    watch.compare(retried);
    assert_eq!(watch.violations(), []);
    let mut changed = observed.rows.clone();
    changed[0].result_key = Some("results/done/2.zip".to_owned());
    watch.compare(changed);
    assert!(watch.violations()[0].text.contains("changed from"));
    watch.compare(Vec::new());
    assert_eq!(watch.violations().len(), 3);
}
