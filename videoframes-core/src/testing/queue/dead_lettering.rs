//! Dead-lettering: messages that cannot be processed are kept with the reason.

use std::collections::BTreeMap;
use std::time::Duration;

use super::harness::{QueueHarness, nothing, receive, send};
use crate::queue::{DEAD_LETTER_REASON, Outgoing};

pub(super) async fn check(harness: &dyn QueueHarness) {
    checks!(
        harness,
        a_dead_letter_message_has_its_reason,
        a_message_is_delivered_a_limited_number_of_times,
    );
}

async fn a_dead_letter_message_has_its_reason(harness: &dyn QueueHarness) {
    let ((queue, dead), unit) = (harness.fresh().await, harness.unit());
    let attributes = BTreeMap::from([("trace".to_owned(), "7".to_owned())]);
    let message = Outgoing {
        attributes,
        ..Outgoing::new("frames, please")
    };
    send(&*queue, message).await;
    let message = receive(&*queue, unit * 3).await;
    nothing(&*dead, "no message is dead-lettered yet").await;
    let moved = queue
        .dead_letter(&message, "the message is not a JSON object: ü")
        .await;
    assert!(moved.is_ok(), "{moved:?}");

    let dead_letter = receive(&*dead, unit * 20).await;
    assert_eq!(dead_letter.body, message.body);
    assert_eq!(dead_letter.attributes["trace"], "7", "attributes are kept");
    assert_eq!(
        dead_letter.attributes[DEAD_LETTER_REASON],
        "the message is not a JSON object: ü"
    );
    nothing(&*dead, "there is one dead-letter message").await;
    harness.advance(unit * 4).await;
    nothing(&*queue, "the message is not redelivered").await;
}

async fn a_message_is_delivered_a_limited_number_of_times(harness: &dyn QueueHarness) {
    let Some(max_receives) = harness.abilities().max_receives else {
        return;
    };
    assert!(max_receives >= 3, "the suite receives messages up to three times");
    let ((queue, dead), unit) = (harness.fresh().await, harness.unit());
    send(&*queue, Outgoing::new("exhausted")).await;
    for count in 1..=max_receives {
        let message = receive(&*queue, unit * 20).await;
        assert_eq!(message.receive_count, count);
        nothing(&*queue, "a held message is hidden").await;
        nothing(
            &*dead,
            "a held message is not dead-lettered, even on its last receipt",
        )
        .await;
        let given = queue.set_visibility(&message.receipt, Duration::ZERO).await;
        assert!(given.is_ok(), "{given:?}");
    }
    nothing(&*queue, "the message is not delivered again").await;
    let dead_letter = receive(&*dead, unit).await;
    assert_eq!(dead_letter.body, "exhausted");
}
