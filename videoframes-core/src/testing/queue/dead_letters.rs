//! What cannot be worked on is kept where people look for it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{QueueHarness, nothing, receive, send};
use crate::queue::{DEAD_LETTER_REASON, Outgoing};

pub(super) async fn check(harness: &dyn QueueHarness) {
    checks!(
        harness,
        a_dead_letter_tells_its_reason,
        a_message_is_delivered_only_so_often,
    );
}

async fn a_dead_letter_tells_its_reason(harness: &dyn QueueHarness) {
    let ((queue, dead), unit) = (harness.fresh().await, harness.unit());
    let attributes = BTreeMap::from([("trace".to_owned(), "7".to_owned())]);
    let message = Outgoing {
        attributes,
        ..Outgoing::new("frames, please")
    };
    send(&*queue, message).await;
    let message = receive(&*queue, unit * 3).await;
    nothing(&*dead, "nothing is dead yet").await;
    let moved = queue.dead_letter(&message, "it is not a JSON object: ü").await;
    assert!(moved.is_ok(), "{moved:?}");

    let letter = receive(&*dead, unit * 20).await;
    assert_eq!(letter.body, message.body);
    assert_eq!(letter.attributes["trace"], "7", "attributes are kept");
    assert_eq!(
        letter.attributes[DEAD_LETTER_REASON],
        "it is not a JSON object: ü"
    );
    nothing(&*dead, "there is one").await;
    harness.advance(unit * 4).await;
    nothing(&*queue, "it does not come again").await;
}

async fn a_message_is_delivered_only_so_often(harness: &dyn QueueHarness) {
    let Some(max_receives) = harness.abilities().max_receives else {
        return;
    };
    assert!(max_receives >= 3, "the suite receives messages up to three times");
    let ((queue, dead), unit) = (harness.fresh().await, harness.unit());
    send(&*queue, Outgoing::new("spent")).await;
    for count in 1..=max_receives {
        let message = receive(&*queue, unit * 20).await;
        assert_eq!(message.receive_count, count);
        nothing(&*queue, "a message that is held is hidden").await;
        nothing(
            &*dead,
            "a message that is held is not dead, be it for the last time",
        )
        .await;
        let given = queue.set_visibility(&message.receipt, Duration::ZERO).await;
        assert!(given.is_ok(), "{given:?}");
    }
    nothing(&*queue, "it is not delivered once more").await;
    let letter = receive(&*dead, unit).await;
    assert_eq!(letter.body, "spent");
}
