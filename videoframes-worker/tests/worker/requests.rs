//! Invalid requests, and inputs that are not videos.

use std::path::Path;

use super::place::{EVERYWHERE, Place};
use super::video;

/// Sends one message; returns the status, the error code and the attempts of the job.
fn outcome(place: &Place, message: &str) -> (String, String, u64) {
    let before = place.jobs().len();
    place.send(message);
    place.finish();
    let rows = place.check(before + 1);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&rows[0]["status"]),
        text(&rows[0]["error_code"]),
        rows[0]["attempts"].as_u64().unwrap(),
    )
}

/// Messages with the error codes and the attempts of their jobs.
const BAD: [(&str, &str, u64); 17] = [
    (
        r#"{"version":1,"source":{"key":"v.mp4"},"picture":{"format":"bmp"}}"#,
        "INVALID_REQUEST",
        0,
    ),
    (
        r#"{"version":1,"source":{"key":"v.mp4"},"limits":{"frames":-1}}"#,
        "INVALID_REQUEST",
        0,
    ),
    (
        r#"{"version":1,"source":{"key":"v.mp4"},"limits":{"frames":1e99}}"#,
        "INVALID_REQUEST",
        0,
    ),
    (
        r#"{"version":1,"source":{"key":"v.mp4"},"selection":{"fps":"fast"}}"#,
        "INVALID_REQUEST",
        0,
    ),
    (
        r#"{"version":1,"source":{"key":"../../etc/passwd"}}"#,
        "INVALID_REQUEST",
        0,
    ),
    (
        r#"{"version":1,"source":{"key":"v.mp4"},"output":{"key":"../x.zip"}}"#,
        "INVALID_REQUEST",
        0,
    ),
    (
        r#"{"version":1,"source":{"key":"v.mp4"},"renditions":[{"codec":"divx"}]}"#,
        "INVALID_REQUEST",
        0,
    ),
    (
        r#"{"version":1,"source":{"key":"v.mp4"},"output":{"key":"taken.zip"}}"#,
        "OUTPUT_EXISTS",
        1,
    ),
    (
        r#"{"version":1,"source":{"key":"v.mp4","etag":"other"}}"#,
        "INPUT_CHANGED",
        1,
    ),
    (
        r#"{"version":1,"source":{"key":"v.mp4"},"limits":{"frames":2}}"#,
        "LIMIT_EXCEEDED",
        1,
    ),
    (
        r#"{"version":1,"source":{"key":"v.mp4"},"selection":{"at":["1h"]}}"#,
        "SELECTION_OUT_OF_RANGE",
        1,
    ),
    (
        r#"{"version":1,"source":{"key":"missing.mp4"}}"#,
        "SOURCE_NOT_FOUND",
        1,
    ),
    (r#"{"version":1,"source":{"key":"empty.mp4"}}"#, "EMPTY_SOURCE", 1),
    (r#"{"version":1,"source":{"key":"text.mp4"}}"#, "NOT_A_VIDEO", 1),
    (
        r#"{"version":1,"source":{"key":"sound.m4a"}}"#,
        "NO_VIDEO_STREAM",
        1,
    ),
    (r#"{"version":1,"source":{"key":"half.mp4"}}"#, "DAMAGED_VIDEO", 1),
    (
        r#"{"version":1,"source":{"key":"zeroed.mp4"}}"#,
        "DAMAGED_VIDEO",
        1,
    ),
];

#[test]
fn bad_requests_are_failed_jobs_without_retries() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        let movie = std::fs::read(video::short()).unwrap();
        place.put("v.mp4", &movie);
        place.put("empty.mp4", b"");
        place.put("text.mp4", &b"this is no video\n".repeat(100));
        place.put("half.mp4", &movie[..movie.len() / 2]);
        place.put("zeroed.mp4", &zeroed(&movie));
        place.put("taken.zip", b"something else");
        let sound = place.folder.path().join("sound.m4a");
        make_sound(&sound);
        place.put("sound.m4a", &std::fs::read(sound).unwrap());
        place.stdout(&["migrate", "up"]);
        // One worker processes all messages; idempotency keys identify their jobs.
        for (case, (message, ..)) in BAD.iter().enumerate() {
            place.send(&message.replacen('{', &format!("{{\"idempotency_key\":\"case {case}\","), 1));
        }
        place.finish();
        let rows = place.check(BAD.len());
        for (case, (message, code, attempts)) in BAD.into_iter().enumerate() {
            let key = format!("case {case}");
            let row = rows
                .iter()
                .find(|row| row["idempotency_key"] == *key)
                .expect(message);
            assert_eq!(
                (&row["status"], &row["error_code"], &row["attempts"]),
                (&"failed".into(), &code.into(), &attempts.into()),
                "{message}"
            );
        }
        assert_eq!(place.get("taken.zip").unwrap(), b"something else");
    }
}

/// Returns the movie with its samples zeroed.
fn zeroed(movie: &[u8]) -> Vec<u8> {
    let mut movie = movie.to_vec();
    let at = movie.windows(4).position(|kind| kind == b"mdat").unwrap();
    let size = u32::from_be_bytes(movie[at - 4..at].try_into().unwrap()) as usize;
    movie[at + 4..at - 4 + size].fill(0);
    movie
}

fn make_sound(path: &Path) {
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", "sine=d=1"])
        .arg(path)
        .status();
    assert!(made.unwrap().success());
}

#[test]
fn messages_without_a_valid_job_are_dead_lettered_and_the_worker_continues() {
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    for message in [
        "frames, please",
        r#"{"version":7,"source":{"key":"v"}}"#,
        r#"{"version":1}"#,
        "[]",
    ] {
        place.send(message);
    }
    place.submit(video::short(), &[]);
    place.finish();
    assert_eq!(place.check(1)[0]["status"], "completed");
    assert_eq!(place.dead_letter_messages().len(), 4);
    assert!(
        place
            .dead_letter_messages()
            .iter()
            .all(|reason| !reason.is_empty())
    );
}

#[test]
fn a_message_produces_a_result_at_the_requested_key() {
    let place = Place::sqlite();
    place.put("a folder/ü 100%+.mp4", &std::fs::read(video::short()).unwrap());
    place.stdout(&["migrate", "up"]);
    let message = r#"{"version":1,"source":{"key":"a folder/ü 100%+.mp4"},"selection":{"count":3},
        "output":{"key":"out/mine.zip"},"client_metadata":{"user":7},"of_a_newer_sender":true}"#;
    assert_eq!(outcome(&place, message).0, "completed");
    let reported = place.notifications();
    assert_eq!(reported[0]["data"]["client_metadata"]["user"], 7);
    assert_eq!(reported[0]["data"]["result"]["key"], "out/mine.zip");
    assert_eq!(
        (&reported[0]["specversion"], &reported[0]["type"]),
        (&"1.0".into(), &"videoframes.job.completed".into())
    );
    // The same message again is the same job.
    place.send(message);
    place.finish();
    place.check(1);
    assert_eq!(place.notifications().len(), 1);
}
