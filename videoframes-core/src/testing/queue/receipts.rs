//! Receipt handles, valid and stale.

use std::time::Duration;

use super::harness::{QueueHarness, accepted_or_lost, delete, nothing, receive, send};
use crate::queue::{Message, Outgoing, Queue, QueueError};

pub(super) async fn check(harness: &dyn QueueHarness) {
    checks!(
        harness,
        zero_visibility_makes_a_message_visible_at_once,
        visibility_counts_from_the_call,
        deleting_is_idempotent,
        the_latest_handle_deletes_even_after_its_timeout,
        a_stale_handle_deletes_nothing,
        a_stale_handle_hides_nothing,
    );
}

async fn zero_visibility_makes_a_message_visible_at_once(harness: &dyn QueueHarness) {
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    send(&*queue, Outgoing::new("back")).await;
    let first = receive(&*queue, unit * 20).await;
    let given = queue.set_visibility(&first.receipt, Duration::ZERO).await;
    assert!(given.is_ok(), "{given:?}");
    accepted_or_lost(&queue.set_visibility(&first.receipt, Duration::ZERO).await);
    let second = receive(&*queue, unit * 20).await;
    assert_eq!((second.body.as_str(), second.receive_count), ("back", 2));
}

async fn visibility_counts_from_the_call(harness: &dyn QueueHarness) {
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    send(&*queue, Outgoing::new("held")).await;
    let message = receive(&*queue, unit * 4).await;
    for _ in 0..3 {
        harness.advance(unit * 3).await;
        let held = queue.set_visibility(&message.receipt, unit * 4).await;
        assert!(
            held.is_ok(),
            "the visibility can be extended repeatedly: {held:?}"
        );
        nothing(&*queue, "a held message is hidden").await;
    }
    let shortened = queue.set_visibility(&message.receipt, unit * 2).await;
    assert!(shortened.is_ok(), "{shortened:?}");
    harness.advance(unit).await;
    nothing(&*queue, "the new timeout has not passed").await;
    harness.advance(unit * 2).await;
    assert_eq!(receive(&*queue, unit).await.receive_count, 2);
}

async fn deleting_is_idempotent(harness: &dyn QueueHarness) {
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    let batch = ["a", "b"].map(Outgoing::new);
    queue.send(&batch).await.expect("sending");
    let first = receive(&*queue, unit * 20).await;
    delete(&*queue, &first.receipt).await;
    delete(&*queue, &first.receipt).await;
    let second = receive(&*queue, unit * 20).await;
    let both = [first.receipt.clone(), second.receipt.clone()];
    let answers = queue.delete(&both).await.expect("deleting");
    assert!(
        matches!(answers[..], [Ok(()), Ok(())]),
        "a missing message is not an error and does not affect others: {answers:?}"
    );
    let lost = queue.set_visibility(&first.receipt, unit).await;
    accepted_or_lost(&lost);
    if harness.abilities().detects_stale_receipts {
        assert!(matches!(lost, Err(QueueError::ReceiptLost)), "{lost:?}");
    }
    harness.advance(unit * 21).await;
    nothing(&*queue, "both messages are deleted permanently").await;
}

async fn the_latest_handle_deletes_even_after_its_timeout(harness: &dyn QueueHarness) {
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    send(&*queue, Outgoing::new("late")).await;
    let message = receive(&*queue, unit).await;
    harness.advance(unit * 2).await;
    delete(&*queue, &message.receipt).await;
    nothing(&*queue, "the message was not received since").await;
}

/// Receives a message twice; returns the stale receipt, and the valid one, which holds for 3 units.
async fn received_twice(harness: &dyn QueueHarness, queue: &dyn Queue) -> (Message, Message) {
    let unit = harness.unit();
    send(queue, Outgoing::new("twice")).await;
    let stale = receive(queue, unit).await;
    harness.advance(unit * 2).await;
    let valid = receive(queue, unit * 3).await;
    (stale, valid)
}

async fn a_stale_handle_deletes_nothing(harness: &dyn QueueHarness) {
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    let (stale, _) = received_twice(harness, &*queue).await;
    let answers = queue.delete(std::slice::from_ref(&stale.receipt)).await;
    let answers = answers.expect("a stale handle is not an error");
    assert_eq!(answers.len(), 1);
    accepted_or_lost(&answers[0]);
    nothing(&*queue, "a stale handle does not make the message visible").await;
    harness.advance(unit * 4).await;
    let third = receive(&*queue, unit * 3).await;
    assert_eq!(
        (third.body.as_str(), third.receive_count),
        ("twice", 3),
        "the message still exists"
    );
    delete(&*queue, &third.receipt).await;
    harness.advance(unit * 4).await;
    nothing(&*queue, "the latest handle deletes").await;
}

async fn a_stale_handle_hides_nothing(harness: &dyn QueueHarness) {
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    let (stale, valid) = received_twice(harness, &*queue).await;
    for timeout in [Duration::ZERO, unit * 20] {
        let answer = queue.set_visibility(&stale.receipt, timeout).await;
        accepted_or_lost(&answer);
        if harness.abilities().detects_stale_receipts {
            assert!(matches!(answer, Err(QueueError::ReceiptLost)), "{answer:?}");
            nothing(&*queue, "the message stays hidden").await;
        }
    }
    if harness.abilities().detects_stale_receipts {
        harness.advance(unit * 4).await;
        assert_eq!(receive(&*queue, unit).await.receive_count, 3);
    } else {
        delete(&*queue, &valid.receipt).await;
    }
}
