//! A receive waits for what is to come.

use std::time::{Duration, Instant};

use super::{PATIENCE, QueueHarness, nothing, receive, send};
use crate::queue::Outgoing;

pub(super) async fn check(harness: &dyn QueueHarness) {
    checks!(
        harness,
        a_receive_ends_when_its_wait_is_over,
        a_waiting_receive_gets_what_is_sent,
        a_waiting_receive_gets_what_is_given_back,
        a_dropped_receive_loses_nothing,
    );
}

async fn a_receive_ends_when_its_wait_is_over(harness: &dyn QueueHarness) {
    let (queue, _) = harness.fresh().await;
    let received = queue
        .receive(10, harness.unit(), Duration::from_millis(100))
        .await;
    assert_eq!(received.expect("no message is no failure"), []);
}

async fn a_waiting_receive_gets_what_is_sent(harness: &dyn QueueHarness) {
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    let begun = Instant::now();
    let (received, ()) = tokio::join!(queue.receive(10, unit * 20, PATIENCE), async {
        tokio::task::yield_now().await;
        send(&*queue, Outgoing::new("at last")).await;
    });
    let bodies: Vec<String> = received.expect("receiving").into_iter().map(|m| m.body).collect();
    assert_eq!(bodies, ["at last"]);
    assert!(
        begun.elapsed() < PATIENCE / 2,
        "it comes when it is sent, not when the wait is over"
    );
}

async fn a_waiting_receive_gets_what_is_given_back(harness: &dyn QueueHarness) {
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    send(&*queue, Outgoing::new("back")).await;
    let held = receive(&*queue, unit * 20).await;
    let begun = Instant::now();
    let (received, given) = tokio::join!(queue.receive(10, unit * 20, PATIENCE), async {
        tokio::task::yield_now().await;
        queue.set_visibility(&held.receipt, Duration::ZERO).await
    });
    assert!(given.is_ok(), "{given:?}");
    assert_eq!(received.expect("receiving").len(), 1);
    assert!(
        begun.elapsed() < PATIENCE / 2,
        "it comes when it is given back, not when the wait is over"
    );
}

async fn a_dropped_receive_loses_nothing(harness: &dyn QueueHarness) {
    const ROUNDS: u32 = 10;
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    for round in 0..ROUNDS {
        let waits = async {
            // Drops the receive at another moment in every round: before, while and after something is sent.
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
            received = queue.receive(1, unit, PATIENCE) => received.expect("receiving"),
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
        super::delete(&*queue, &message.receipt).await;
    }
    harness.advance(unit * 2).await;
    nothing(&*queue, "each came once").await;
}
