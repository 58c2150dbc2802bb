//! Waiting: a receive waits for new messages.

use std::time::{Duration, Instant};

use super::harness::{QueueHarness, TIMEOUT, delete, nothing, receive, send};
use crate::queue::Outgoing;

pub(super) async fn check(harness: &dyn QueueHarness) {
    checks!(
        harness,
        a_receive_returns_after_its_wait,
        a_waiting_receive_gets_a_new_message,
        a_waiting_receive_gets_a_released_message,
        a_dropped_receive_loses_no_message,
    );
}

async fn a_receive_returns_after_its_wait(harness: &dyn QueueHarness) {
    let (queue, _) = harness.fresh().await;
    let received = queue
        .receive(10, harness.unit(), Duration::from_millis(100))
        .await;
    assert_eq!(received.expect("no message is not an error"), []);
}

async fn a_waiting_receive_gets_a_new_message(harness: &dyn QueueHarness) {
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    let begun = Instant::now();
    let (received, ()) = tokio::join!(queue.receive(10, unit * 20, TIMEOUT), async {
        tokio::task::yield_now().await;
        send(&*queue, Outgoing::new("at last")).await;
    });
    let bodies: Vec<String> = received.expect("receiving").into_iter().map(|m| m.body).collect();
    assert_eq!(bodies, ["at last"]);
    assert!(
        begun.elapsed() < TIMEOUT / 2,
        "the message arrives when it is sent rather than after the wait"
    );
}

async fn a_waiting_receive_gets_a_released_message(harness: &dyn QueueHarness) {
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    send(&*queue, Outgoing::new("back")).await;
    let held = receive(&*queue, unit * 20).await;
    let begun = Instant::now();
    let (received, given) = tokio::join!(queue.receive(10, unit * 20, TIMEOUT), async {
        tokio::task::yield_now().await;
        queue.set_visibility(&held.receipt, Duration::ZERO).await
    });
    assert!(given.is_ok(), "{given:?}");
    assert_eq!(received.expect("receiving").len(), 1);
    assert!(
        begun.elapsed() < TIMEOUT / 2,
        "the message arrives when it is released rather than after the wait"
    );
}

async fn a_dropped_receive_loses_no_message(harness: &dyn QueueHarness) {
    const ROUNDS: u32 = 10;
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    for round in 0..ROUNDS {
        let waits = async {
            // Drops the receive at a different step in every round: before, during and after a send.
            for step in 0..ROUNDS {
                if step == round / 2 {
                    send(&*queue, Outgoing::new(round.to_string())).await;
                }
                if step == round {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let mut received = tokio::select! {
            biased;
            received = queue.receive(1, unit, TIMEOUT) => received.expect("receiving"),
            () = waits => Vec::new(),
        };
        let message = match received.pop() {
            Some(message) => message,
            None => {
                harness.advance(unit * 2).await;
                receive(&*queue, unit).await
            }
        };
        assert_eq!(message.body, round.to_string());
        delete(&*queue, &message.receipt).await;
    }
    harness.advance(unit * 2).await;
    nothing(&*queue, "each message was delivered once").await;
}
