//! Fairness: tenants and priorities are served in proportion to their shares.

use std::time::Duration;

use super::harness::{QueueHarness, receive, send};
use crate::queue::{Message, Outgoing, Queue};
use crate::tenant::{Priority, Share};

pub(super) async fn check(harness: &dyn QueueHarness) {
    if !harness.abilities().fair {
        return;
    }
    checks!(
        harness,
        many_messages_of_a_tenant_do_not_delay_another,
        many_redeliveries_of_a_tenant_do_not_delay_another,
        a_redelivery_does_not_wait_for_its_tenant,
        a_released_message_keeps_its_position,
        priorities_are_served_in_order_and_none_starves,
    );
}

fn message(tenant: &str, priority: Priority, body: &str) -> Outgoing {
    let tenant = tenant.parse().unwrap_or_default();
    Outgoing::new(body).share(Share::new(tenant, priority))
}

fn many(tenant: &str, priority: Priority, count: usize) -> Vec<Outgoing> {
    (0..count).map(|_| message(tenant, priority, "many")).collect()
}

async fn send_all(queue: &dyn Queue, messages: &[Outgoing]) {
    let answers = queue.send(messages).await.expect("sending");
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

/// Receives messages until one has this body; returns it, and the number of messages before it.
async fn received(harness: &dyn QueueHarness, queue: &dyn Queue, body: &str) -> (Message, usize) {
    for others in 0..100 {
        let message = receive(queue, harness.unit() * 50).await;
        if message.body == body {
            return (message, others);
        }
    }
    panic!("the message '{body}' was not received");
}

async fn many_messages_of_a_tenant_do_not_delay_another(harness: &dyn QueueHarness) {
    let (queue, _) = harness.fresh().await;
    // Parallel senders of one tenant gain nothing.
    let batch = many("many", Priority::Normal, 15);
    let sender = || send_all(&*queue, &batch);
    tokio::join!(sender(), sender(), sender(), sender());
    for _ in 0..5 {
        receive(&*queue, harness.unit() * 50).await;
    }
    for tenant in ["one", "", "two"] {
        send(&*queue, message(tenant, Priority::Normal, tenant)).await;
        let (_, others) = received(harness, &*queue, tenant).await;
        assert!(others <= 1, "'{tenant}' waited for {others} messages");
    }
    // A tenant that was idle is not preferred for longer than others.
    send_all(&*queue, &many("late", Priority::Normal, 60)).await;
    send(&*queue, message("other", Priority::Normal, "last")).await;
    let (_, others) = received(harness, &*queue, "last").await;
    assert!(others <= 3, "the last tenant waited for {others} messages");
}

async fn many_redeliveries_of_a_tenant_do_not_delay_another(harness: &dyn QueueHarness) {
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    send_all(&*queue, &many("many", Priority::Normal, 20)).await;
    for _ in 0..20 {
        receive(&*queue, unit * 3).await;
    }
    harness.advance(unit * 4).await;
    send(&*queue, message("one", Priority::Normal, "one")).await;
    let (_, others) = received(harness, &*queue, "one").await;
    assert!(others <= 2, "the message waited for {others} redeliveries");
}

async fn a_redelivery_does_not_wait_for_its_tenant(harness: &dyn QueueHarness) {
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    send(&*queue, message("many", Priority::Normal, "retried")).await;
    receive(&*queue, unit * 3).await;
    send_all(&*queue, &many("many", Priority::Normal, 20)).await;
    harness.advance(unit * 4).await;
    let (retried, others) = received(harness, &*queue, "retried").await;
    assert_eq!(retried.receive_count, 2);
    assert!(others <= 2, "the redelivery waited for {others} messages");
}

async fn a_released_message_keeps_its_position(harness: &dyn QueueHarness) {
    let ((queue, _), unit) = (harness.fresh().await, harness.unit());
    send(&*queue, message("many", Priority::Normal, "first")).await;
    send_all(&*queue, &many("many", Priority::Normal, 3)).await;
    let first = receive(&*queue, unit * 50).await;
    assert_eq!(first.body, "first");
    let released = queue.set_visibility(&first.receipt, Duration::ZERO).await;
    assert!(released.is_ok(), "{released:?}");
    assert_eq!(receive(&*queue, unit * 50).await.body, "first");
}

async fn priorities_are_served_in_order_and_none_starves(harness: &dyn QueueHarness) {
    let (queue, _) = harness.fresh().await;
    send_all(&*queue, &many("many", Priority::Low, 3)).await;
    send_all(&*queue, &many("many", Priority::Normal, 40)).await;
    for tenant in ["many", "one"] {
        send(&*queue, message(tenant, Priority::High, "high")).await;
        let (_, others) = received(harness, &*queue, "high").await;
        assert_eq!(others, 0, "a high priority is served first");
    }
    send_all(&*queue, &many("many", Priority::High, 30)).await;
    send(&*queue, message("one", Priority::Normal, "normal")).await;
    let (_, others) = received(harness, &*queue, "normal").await;
    assert!(
        others <= 20,
        "the message waited for {others} of a higher priority"
    );
}
