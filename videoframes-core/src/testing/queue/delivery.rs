//! Delivery: messages are delivered unchanged until they are deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;

use super::harness::{QueueHarness, delete, nothing, receive, receive_now, send};
use crate::queue::{MESSAGE_BYTES, Message, Outgoing, Queue, QueueError};
use crate::tenant::{Priority, Share};

pub(super) async fn check(harness: &dyn QueueHarness) {
    checks!(
        harness,
        messages_are_delivered_unchanged,
        messages_are_redelivered_until_they_are_deleted,
        a_delayed_message_is_delivered_later,
        every_message_of_a_batch_has_an_answer,
        many_messages_are_sent_and_deleted_at_once,
        a_message_of_the_maximum_size_is_accepted,
        one_message_is_kept_per_deduplication_id,
        messages_of_a_group_are_delivered_in_order,
        two_receivers_never_hold_the_same_message,
        depth_counts_visible_held_and_delayed_messages,
    );
}

async fn messages_are_delivered_unchanged(harness: &dyn QueueHarness) {
    let (queue, _) = harness.fresh().await;
    assert!(!queue.name().is_empty());
    nothing(&*queue, "a new queue is empty").await;
    assert!(queue.send(&[]).await.expect("sending nothing").is_empty());
    assert!(queue.delete(&[]).await.expect("deleting nothing").is_empty());

    let attributes = [
        ("kind", "ü ✓"),
        ("trace", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let attributes: BTreeMap<_, _> = attributes.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let body = "{\"key\": \"Größe 100% + 日本語 🎞\"}\n\t'\\u0000'";
    let message = Outgoing {
        attributes: attributes.clone(),
        // A queue that is not fair ignores tenant and priority.
        share: Share::new("Acme-2.eu_west".parse().unwrap_or_default(), Priority::High),
        ..Outgoing::new(body)
    };
    send(&*queue, message).await;
    let received = receive(&*queue, harness.unit() * 2).await;
    assert_eq!(received.body, body);
    assert_eq!(received.attributes, attributes);
    assert_eq!(received.receive_count, 1);
    assert!(!received.id.is_empty());
}

async fn messages_are_redelivered_until_they_are_deleted(harness: &dyn QueueHarness) {
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    send(&*queue, Outgoing::new("again")).await;
    let first = receive(&*queue, unit * 3).await;
    nothing(&*queue, "a received message is hidden").await;
    harness.advance(unit * 2).await;
    nothing(&*queue, "the message is hidden for the requested time").await;
    harness.advance(unit * 2).await;

    let second = receive(&*queue, unit * 3).await;
    assert_eq!(second.body, first.body);
    assert_eq!(second.id, first.id, "the id stays the same");
    assert_eq!(second.receive_count, 2, "receipts are counted");
    assert_ne!(second.receipt, first.receipt, "every receipt has a new handle");
    delete(&*queue, &second.receipt).await;
    harness.advance(unit * 4).await;
    nothing(&*queue, "a deleted message is never redelivered").await;
}

async fn a_delayed_message_is_delivered_later(harness: &dyn QueueHarness) {
    if !harness.abilities().delays {
        return;
    }
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    let delayed = Outgoing {
        delay: unit * 3,
        ..Outgoing::new("later")
    };
    let sent = queue
        .send(&[delayed, Outgoing::new("now")])
        .await
        .expect("sending");
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    let first = receive(&*queue, unit * 20).await;
    assert_eq!(first.body, "now", "a delay affects only its own message");
    nothing(&*queue, "a delayed message cannot be received").await;
    harness.advance(unit * 2).await;
    nothing(&*queue, "the delay has not passed").await;
    harness.advance(unit * 2).await;
    let second = receive(&*queue, unit * 20).await;
    assert_eq!((second.body.as_str(), second.receive_count), ("later", 1));
}

async fn every_message_of_a_batch_has_an_answer(harness: &dyn QueueHarness) {
    let (queue, _) = harness.fresh().await;
    let bytes = MESSAGE_BYTES + 1;
    let attributes = BTreeMap::from([("name".to_owned(), "x".repeat(10))]);
    let with_attributes = Outgoing {
        attributes,
        ..Outgoing::new("x".repeat(MESSAGE_BYTES - 13))
    };
    let batch = [
        Outgoing::new("one"),
        Outgoing::new("x".repeat(bytes)),
        Outgoing::new("two"),
        with_attributes,
        Outgoing::new("three"),
    ];
    let answers = queue.send(&batch).await.expect("some messages are accepted");
    assert!(
        matches!(
            answers[..],
            [
                Ok(()),
                Err(QueueError::TooLarge {
                    bytes: a,
                    limit: MESSAGE_BYTES
                }),
                Ok(()),
                Err(QueueError::TooLarge { bytes: b, .. }),
                Ok(()),
            ] if a == bytes && b == bytes
        ),
        "a message that is too large, by its body or in total, does not affect others: {answers:?}"
    );
    let bodies = collect(&*queue, harness, 3).await;
    let bodies: BTreeSet<String> = bodies.into_iter().map(|message| message.body).collect();
    assert_eq!(bodies, ["one", "three", "two"].map(str::to_owned).into());
}

async fn many_messages_are_sent_and_deleted_at_once(harness: &dyn QueueHarness) {
    let (queue, _) = harness.fresh().await;
    let batch: Vec<Outgoing> = (0..25).map(|n| Outgoing::new(n.to_string())).collect();
    let answers = queue.send(&batch).await.expect("sending");
    assert_eq!(answers.len(), batch.len());
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");

    let two = queue.receive(2, harness.unit() * 20, harness.unit()).await;
    let mut messages = two.expect("receiving");
    assert!(
        (1..=2).contains(&messages.len()),
        "at most the requested number: {messages:?}"
    );
    let left = batch.len() - messages.len();
    messages.extend(collect(&*queue, harness, left).await);
    let bodies: BTreeSet<&str> = messages.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(bodies.len(), batch.len(), "every message was delivered once");

    let receipts: Vec<_> = messages.iter().map(|message| message.receipt.clone()).collect();
    let answers = queue.delete(&receipts).await.expect("deleting");
    assert_eq!(answers.len(), receipts.len());
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    harness.advance(harness.unit() * 21).await;
    nothing(&*queue, "all were deleted").await;
}

/// Receives `count` messages, hidden for 20 units.
async fn collect(queue: &dyn Queue, harness: &dyn QueueHarness, count: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    while messages.len() < count {
        messages.push(receive(queue, harness.unit() * 20).await);
    }
    nothing(queue, "a hidden message is not redelivered").await;
    messages
}

async fn a_message_of_the_maximum_size_is_accepted(harness: &dyn QueueHarness) {
    let (queue, _) = harness.fresh().await;
    let body = "ü".repeat(MESSAGE_BYTES / 2);
    send(&*queue, Outgoing::new(body.as_str())).await;
    let received = receive(&*queue, harness.unit()).await;
    assert!(received.body == body, "the largest body is delivered unchanged");
}

async fn one_message_is_kept_per_deduplication_id(harness: &dyn QueueHarness) {
    if !harness.abilities().deduplicates {
        return;
    }
    let (queue, _) = harness.fresh().await;
    let message = |body: &str, id: &str| Outgoing {
        deduplication_id: Some(id.to_owned()),
        ..Outgoing::new(body)
    };
    let batch = [
        message("first", "a"),
        message("second", "a"),
        message("other", "b"),
    ];
    let answers = queue.send(&batch).await.expect("sending");
    assert!(
        answers.len() == 3 && answers.iter().all(Result::is_ok),
        "{answers:?}"
    );
    send(&*queue, message("third", "a")).await;
    let messages = collect(&*queue, harness, 2).await;
    let bodies: BTreeSet<&str> = messages.iter().map(|message| message.body.as_str()).collect();
    assert_eq!(
        bodies,
        ["first", "other"].into(),
        "the first message of each id is kept"
    );
    send(&*queue, message("fourth", "a")).await;
    nothing(&*queue, "a held message counts too").await;
}

async fn messages_of_a_group_are_delivered_in_order(harness: &dyn QueueHarness) {
    if !harness.abilities().keeps_order {
        return;
    }
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    let in_group = |body: &str, group: &str| Outgoing {
        group: Some(group.to_owned()),
        ..Outgoing::new(body)
    };
    let batch = [in_group("1", "a"), in_group("2", "a"), in_group("other", "b")];
    let answers = queue.send(&batch).await.expect("sending");
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let first = receive(&*queue, unit * 20).await;
    assert_eq!(first.body, "1");
    let other = receive(&*queue, unit * 20).await;
    assert_eq!(other.body, "other", "groups do not wait for each other");
    nothing(&*queue, "a message waits for the one before it").await;
    let given = queue.set_visibility(&first.receipt, Duration::ZERO).await;
    assert!(given.is_ok(), "{given:?}");
    let again = receive(&*queue, unit * 20).await;
    assert_eq!(again.body, "1", "a released message keeps its position");
    delete(&*queue, &again.receipt).await;
    assert_eq!(receive(&*queue, unit * 20).await.body, "2");
}

async fn two_receivers_never_hold_the_same_message(harness: &dyn QueueHarness) {
    for _ in 0..4 {
        let (queue, _) = harness.fresh().await;
        race(queue, harness.unit() * 20).await;
    }
}

/// Lets four receivers empty a queue concurrently.
async fn race(queue: Arc<dyn Queue>, visibility: Duration) {
    const MESSAGES: usize = 40;
    let batch: Vec<Outgoing> = (0..MESSAGES).map(|n| Outgoing::new(n.to_string())).collect();
    let answers = queue.send(&batch).await.expect("sending");
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    // Without a common start, the first receiver finishes before the others have started.
    let start = Arc::new(Barrier::new(4));
    let receivers: Vec<_> = (1..=4)
        .map(|max_messages| {
            let (queue, start) = (Arc::clone(&queue), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                drain(&*queue, max_messages, visibility).await
            })
        })
        .collect();
    let mut bodies = Vec::new();
    for receiver in receivers {
        bodies.extend(receiver.await.expect("a receiver"));
    }
    // Messages that the last receives missed are still in the queue, and nowhere else.
    while bodies.len() < MESSAGES {
        bodies.push(receive(&*queue, visibility).await.body);
    }
    let distinct: BTreeSet<&String> = bodies.iter().collect();
    assert_eq!(
        (bodies.len(), distinct.len()),
        (MESSAGES, MESSAGES),
        "each once: {bodies:?}"
    );
}

async fn drain(queue: &dyn Queue, max_messages: usize, visibility: Duration) -> Vec<String> {
    let mut bodies = Vec::new();
    loop {
        let received = queue
            .receive(max_messages, visibility, Duration::from_millis(100))
            .await;
        let messages = received.expect("receiving");
        if messages.is_empty() {
            return bodies;
        }
        bodies.extend(messages.into_iter().map(|message| message.body));
        tokio::task::yield_now().await;
    }
}

async fn depth_counts_visible_held_and_delayed_messages(harness: &dyn QueueHarness) {
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    let mut batch = ["a", "b", "c"].map(Outgoing::new).to_vec();
    let delayed = u64::from(harness.abilities().delays);
    if delayed > 0 {
        batch.push(Outgoing {
            delay: unit * 9,
            ..Outgoing::new("later")
        });
    }
    queue.send(&batch).await.expect("sending");
    receive(&*queue, unit * 3).await;
    let depth = queue.depth().await.expect("a depth");
    if !harness.abilities().counts_exactly {
        return;
    }
    assert_eq!((depth.visible, depth.in_flight, depth.delayed), (2, 1, delayed));
    harness.advance(unit * 4).await;
    let depth = queue.depth().await.expect("a depth");
    assert_eq!(
        (depth.visible, depth.in_flight, depth.delayed),
        (3, 0, delayed),
        "held messages can be received again"
    );
    let oldest = depth.oldest.expect("an age of visible messages");
    assert!((unit * 4..unit * 8).contains(&oldest), "{oldest:?}");
    harness.advance(unit * 6).await;
    for message in receive_now(&*queue, unit * 3).await {
        delete(&*queue, &message.receipt).await;
    }
    let depth = queue.depth().await.expect("a depth");
    assert_eq!((depth.visible, depth.in_flight, depth.delayed), (0, 0, 0));
    assert_eq!(depth.oldest, None);
}
