//! Received notifications are deleted only after the reader has read them, and refused notifications are kept.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use videoframes_core::testing::{Fault, ProxiedRequest};

use super::faults::FaultProxy;
use super::place::{Kind, Place, wait};
use super::video;

/// The kinds of queues.
const QUEUES: [Kind; 2] = [Kind::Sqlite, Kind::Deployed];
const FLAGS: [&[&str]; 2] = [&[], &["--follow"]];

fn place_with(kind: Kind, notifications: usize) -> Option<Place> {
    let place = Place::of(kind)?;
    place.stdout(&["migrate", "up"]);
    let bodies: Vec<String> = (0..notifications).map(|n| format!("{{\"n\":{n}}}")).collect();
    place.notify(&bodies);
    Some(place)
}

fn taking(place: &Place, flags: &[&str]) -> Child {
    let mut taking = place.command(&[&["notifications", "--take"], flags].concat());
    taking.stdout(Stdio::piped()).spawn().unwrap()
}

/// Waits until `expected` notifications are visible, for less than the visibility timeout of unreturned messages.
fn wait_for_visible(place: &Place, expected: u64) {
    let since = std::time::Instant::now();
    wait("the other notifications are visible", || {
        place.visible_notifications() == expected
    });
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
}

#[test]
fn notifications_that_head_does_not_read_stay_in_the_queue() {
    for (kind, flags) in QUEUES
        .into_iter()
        .flat_map(|kind| FLAGS.map(|flags| (kind, flags)))
    {
        let Some(place) = place_with(kind, 8) else {
            continue;
        };
        let mut worker = taking(&place, flags);
        let head = Command::new("head")
            .arg("-1")
            .stdin(worker.stdout.take().unwrap())
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&head.stdout).lines().count(),
            1,
            "{kind:?} {flags:?}"
        );
        let mut status = None;
        wait("the command ends", || {
            status = worker.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "{status:?}");
        wait_for_visible(&place, 7);
    }
}

#[test]
fn all_notifications_are_deleted_if_all_are_read() {
    for kind in QUEUES {
        let Some(place) = place_with(kind, 25) else {
            continue;
        };
        let taken = place.stdout(&["notifications", "--take"]);
        assert_eq!(taken.lines().count(), 25, "{kind:?}");
        assert_eq!(place.visible_notifications(), 0);
        assert_eq!(place.stdout(&["notifications", "--take"]), "");
    }
}

#[test]
fn unread_notifications_are_redelivered_after_a_kill() {
    for kind in QUEUES {
        let Some(place) = place_with(kind, 3) else {
            continue;
        };
        let mut worker = taking(&place, &["--follow"]);
        // The command prints the first notification and waits for the reader.
        wait("the notifications are received", || {
            place.visible_notifications() == 0
        });
        let mut printed = [0; 1];
        let mut stdout = worker.stdout.take().unwrap();
        stdout.read_exact(&mut printed).unwrap();
        worker.kill().unwrap();
        worker.wait().unwrap();
        assert_eq!(place.all_notifications(), 3, "{kind:?}: none was deleted");
    }
}

#[test]
fn a_stop_makes_unread_notifications_visible() {
    for kind in QUEUES {
        let Some(place) = place_with(kind, 5) else {
            continue;
        };
        let mut worker = taking(&place, &["--follow"]);
        wait("the notifications are received", || {
            place.visible_notifications() == 0
        });
        let id = worker.id().to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &id]).status();
        assert!(sent.unwrap().success());
        assert!(worker.wait().unwrap().success());
        wait_for_visible(&place, 5);
    }
}

#[test]
fn following_ends_when_the_reader_is_closed() {
    for flags in [&["--follow"][..], &["--follow", "--take"]] {
        for kind in QUEUES {
            if kind == Kind::Deployed && flags.len() == 1 {
                // Notifications in SQS require --take.
                continue;
            }
            let Some(place) = place_with(kind, 1) else {
                continue;
            };
            let mut follow = place.command(&[&["notifications"], flags].concat());
            let mut worker = follow.stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            let mut stdout = BufReader::new(worker.stdout.take().unwrap());
            stdout.read_line(&mut line).unwrap();
            assert_eq!(line, "{\"n\":0}\n");
            drop(stdout);
            let mut status = None;
            wait("the command ends", || {
                status = worker.try_wait().unwrap();
                status.is_some()
            });
            assert!(status.unwrap().success(), "{kind:?} {flags:?}: {status:?}");
        }
    }
}

#[test]
fn a_refused_notification_is_kept_and_sent_again_on_request() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    let refused = || -> Vec<Value> {
        let text = place.stdout(&["notifications", "--refused"]);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let id = place.submit(video::short(), &["-n", "1"]);
    assert_eq!(refused(), Vec::<Value>::new());
    let sends = |request: &ProxiedRequest| request.asks("SendMessageBatch");
    let queues = FaultProxy::to_queues(&place, move |request| match sends(request) {
        true => Fault::Answer(400, "InvalidMessageContents"),
        false => Fault::None,
    });
    let mut worker = place.worker(&[("AWS_ENDPOINT_URL_SQS", &queues.proxy.address)], &[]);
    wait("the queue refuses the notification", || !refused().is_empty());
    worker.signal("TERM");
    assert!(worker.wait().success(), "{}", worker.log());
    assert_eq!(queues.proxy.count(sends), 1, "a refused message is not retried");

    // A queue that accepts every message does not get the message without a request.
    place.finish();
    assert_eq!(place.notifications(), Vec::<Value>::new());
    let kept = refused();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(
        (&kept[0]["job_id"], &kept[0]["destination"]),
        (&id.as_str().into(), &"notifier".into())
    );
    let reason = kept[0]["reason"].as_str().unwrap();
    assert!(reason.contains("InvalidMessageContents"), "{reason}");
    let body: Value = serde_json::from_str(kept[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["data"]["status"], "completed", "{body}");

    for count in [1, 0] {
        let resent = place.output(&["notifications", "--refused", "--resend"]);
        let stderr = String::from_utf8(resent.stderr).unwrap();
        assert!(resent.status.success(), "{stderr}");
        assert_eq!(stderr, format!("requested to send {count} messages again\n"));
        assert_eq!(resent.stdout, b"");
    }
    assert_eq!(refused(), Vec::<Value>::new());
    place.finish();
    assert_eq!(place.notifications(), [body]);
    place.check(1);
}
