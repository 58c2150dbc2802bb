//! Workers with several input queues.

use serde_json::{Value, json};
use videoframes_core::queue::{DatabaseQueue, Queue};

use super::place::{Kind, Place, wait};
use super::video;

const QUEUES: (&str, &str) = ("VF_INPUT_QUEUE", "urgent=16/high,input,bulk=1/low");

fn submit(place: &Place, priority: &str) {
    let video = video::short().to_str().unwrap();
    let mut submit = place.command(&[
        "submit",
        video,
        "-n",
        "1",
        "--priority",
        priority,
        "--tenant",
        "acme",
    ]);
    let output = submit.env(QUEUES.0, QUEUES.1).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn depth(place: &Place, name: &str) -> u64 {
    let depth = place.queue(name, async |queue: DatabaseQueue| queue.depth().await.unwrap());
    depth.visible + depth.in_flight
}

#[test]
fn a_worker_receives_from_several_queues() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let Some(place) = Place::of(kind) else { continue };
        for priority in ["low", "high", "normal"] {
            submit(&place, priority);
        }
        // Each message is in the queue for its priority.
        for name in ["urgent", "input", "bulk"] {
            assert_eq!(depth(&place, name), 1, "{name}");
        }
        // Clients may use any of the queues.
        place.put("own.mp4", &std::fs::read(video::short()).unwrap());
        let request = json!({"version": 1, "source": {"key": "own.mp4"}, "selection": {"count": 1}});
        place.send_to("bulk", &request.to_string());
        place.send_to("urgent", "not JSON");
        place.finish_with(&[QUEUES]);
        let jobs = place.check(4);
        assert!(jobs.iter().all(|job| job["status"] == "completed"), "{jobs:?}");
        for name in ["urgent", "input", "bulk"] {
            assert_eq!(depth(&place, name), 0, "{name}");
        }
        assert_eq!(place.dead_letter_messages().len(), 1);
        let redriven = place
            .command(&["dlq", "redrive", "--all", "--to", "urgent"])
            .env(QUEUES.0, QUEUES.1)
            .output();
        assert!(redriven.unwrap().status.success());
        assert_eq!(depth(&place, "urgent"), 1);
    }
}

/// A poll of an empty queue takes 20 seconds here.
#[test]
fn a_message_does_not_wait_for_the_poll_of_another_queue() {
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    let env = [QUEUES, ("VF_LONG_POLL", "20s"), ("VF_CONCURRENCY", "1")];
    let worker = place.worker(&env, &[]);
    wait("the worker polls", || worker.log().contains("worker started"));
    for priority in ["low", "high", "normal"] {
        let began = std::time::Instant::now();
        submit(&place, priority);
        wait("the job is completed", || {
            let jobs: Vec<Value> = place.jobs();
            jobs.iter()
                .any(|job| job["priority"] == priority && job["status"] == "completed")
        });
        let took = began.elapsed();
        let job = place
            .jobs()
            .into_iter()
            .find(|job| job["priority"] == priority)
            .unwrap();
        assert!(took.as_secs() < 15, "{took:?}: {job}");
    }
}
