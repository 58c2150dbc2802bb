//! The outbox: messages wait until they are sent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::harness::{HOUR, JobRepoHarness, MINUTE, Subject, about, failed, new_job};
use crate::jobs::{Backlog, Enqueue, JobId, NewJob, OutboxDestination, OutboxMessage};
use crate::tenant::Priority;

const HOLD: Duration = Duration::from_secs(600);

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    the_oldest_messages_are_taken_first(harness).await;
    a_taken_message_is_held_for_a_while(harness).await;
    a_sent_message_is_never_taken_again(harness).await;
    the_backlog_has_the_age_of_the_oldest_message(harness).await;
    two_relays_never_take_the_same_message(harness).await;
    a_rejected_message_is_kept_and_not_taken(harness).await;
    many_messages_of_a_tenant_do_not_delay_others(harness).await;
    notifications_do_not_wait_behind_messages_to_workers(harness).await;
}

fn of_tenant(key: &str, tenant: &str, priority: Priority) -> NewJob {
    NewJob {
        tenant: tenant.parse().unwrap_or_default(),
        priority,
        ..new_job(key)
    }
}

async fn many_messages_of_a_tenant_do_not_delay_others(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let submit = async |jobs: &[NewJob]| {
        let submitted = on.repo.submit(jobs, Enqueue::ThroughOutbox).await;
        assert!(submitted.is_ok(), "{submitted:?}");
    };
    let many: Vec<NewJob> = (0..150)
        .map(|n| of_tenant(&format!("many {n:03}"), "many", Priority::Normal))
        .collect();
    submit(&many).await;
    assert_eq!(take(&on, 10).await.len(), 10);
    let others = [
        of_tenant("one", "one", Priority::Normal),
        of_tenant("urgent", "many", Priority::High),
        of_tenant("unnamed", "", Priority::Normal),
    ];
    for job in &others {
        submit(std::slice::from_ref(job)).await;
    }
    let mut next = Vec::new();
    for _ in 0..3 {
        next.extend(take(&on, 10).await);
    }
    let taken = jobs(&next);
    for job in &others {
        assert!(
            taken.contains(&job.id),
            "'{}' is among the next 30",
            job.idempotency_key
        );
    }
    let urgent = next.iter().find(|message| message.job == others[1].id);
    let urgent = urgent.expect("the message is among the next 30");
    assert_eq!(
        (urgent.tenant.as_str(), urgent.priority),
        ("many", Priority::High)
    );
    let rest = jobs(&on.drain().await);
    let many: Vec<JobId> = many
        .iter()
        .map(|job| job.id)
        .filter(|id| rest.contains(id))
        .collect();
    assert_eq!(rest, many, "messages of a tenant are taken in order");
}

async fn notifications_do_not_wait_behind_messages_to_workers(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    for n in 0..20 {
        enqueue(&on, &n.to_string()).await;
    }
    let (id, lease) = on.claimed("ended").await;
    on.finish(&lease, &failed()).await;
    let taken = take(&on, 5).await;
    let to_clients = |message: &&OutboxMessage| message.destination == OutboxDestination::Notifier;
    let notifications: Vec<JobId> = taken
        .iter()
        .filter(to_clients)
        .map(|message| message.job)
        .collect();
    assert_eq!(
        (notifications, taken.len()),
        (vec![id], 6),
        "five messages to the workers, and the notification"
    );
}

async fn a_rejected_message_is_kept_and_not_taken(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let a = enqueue(&on, "a").await;
    // The message of `b` waits until the end: only jobs older than it can be abandoned.
    on.advance(HOUR).await;
    let b = enqueue(&on, "b").await;
    let messages = take(&on, 10).await;
    assert_eq!(jobs(&messages), [a, b]);
    let refused = [
        (messages[0].id, "too large: ü".to_owned()),
        (Uuid::now_v7(), "unknown".to_owned()),
    ];
    for _ in 0..2 {
        on.repo
            .outbox_refused(&refused)
            .await
            .expect("marking as rejected");
    }
    on.advance(HOUR).await;
    assert_eq!(jobs(&take(&on, 10).await), [b], "other messages are not blocked");
    on.advance(HOUR).await;
    let listed = on.repo.refused(10).await.expect("listing");
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0].message, listed[0].reason.as_str()),
        (&messages[0], "too large: ü")
    );
    let backlog = on.repo.outbox_backlog().await.expect("a backlog");
    assert_eq!((backlog.pending, backlog.refused), (1, 1));
    // The job's message counts as lost.
    assert_eq!(on.sweep().await.enqueued, 1);
    assert_eq!(on.repo.resend_refused().await.expect("rescheduling"), 1);
    assert_eq!(on.repo.resend_refused().await.expect("rescheduling"), 0);
    assert_eq!(on.repo.refused(10).await.expect("listing"), []);
    let mut again = jobs(&on.drain().await);
    again.sort_unstable();
    let mut expected = [a, a, b];
    expected.sort_unstable();
    assert_eq!(again, expected);
}

async fn enqueue(on: &Subject<'_>, key: &str) -> JobId {
    let jobs = [new_job(key)];
    let submitted = on.repo.submit(&jobs, Enqueue::ThroughOutbox).await;
    assert!(submitted.is_ok(), "{submitted:?}");
    jobs[0].id
}

async fn take(on: &Subject<'_>, limit: u32) -> Vec<OutboxMessage> {
    on.repo.take_outbox(limit, HOLD).await.expect("taking")
}

fn jobs(messages: &[OutboxMessage]) -> Vec<JobId> {
    messages.iter().map(|message| message.job).collect()
}

async fn the_oldest_messages_are_taken_first(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    assert_eq!(take(&on, 10).await, []);
    let mut ids = Vec::new();
    for key in ["a", "b", "c", "d", "e"] {
        ids.push(enqueue(&on, key).await);
        on.advance(MINUTE).await;
    }
    assert_eq!(jobs(&take(&on, 2).await), ids[..2]);
    assert_eq!(jobs(&take(&on, 2).await), ids[2..4]);
    assert_eq!(jobs(&take(&on, 2).await), ids[4..]);
    assert_eq!(take(&on, 2).await, []);
}

async fn a_taken_message_is_held_for_a_while(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    enqueue(&on, "a").await;
    let first = take(&on, 10).await;
    assert_eq!(first.len(), 1);
    on.advance(HOLD - MINUTE * 2).await;
    assert_eq!(take(&on, 10).await, [], "another relay holds the message");
    on.advance(MINUTE * 3).await;
    assert_eq!(take(&on, 10).await, first, "the same message with the same id");
    on.advance(HOLD - MINUTE * 2).await;
    assert_eq!(take(&on, 10).await, [], "the hold starts again");
}

async fn a_sent_message_is_never_taken_again(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (a, b) = (enqueue(&on, "a").await, enqueue(&on, "b").await);
    let messages = take(&on, 10).await;
    let id_of = |job| {
        let message = messages.iter().find(|message| message.job == job);
        message.expect("a message of each").id
    };
    for ids in [
        vec![id_of(a)],
        vec![id_of(a)],
        vec![],
        vec![Uuid::now_v7(), id_of(a)],
    ] {
        let sent = on.repo.outbox_sent(&ids).await;
        assert!(sent.is_ok(), "repeated or unknown ids are not an error: {sent:?}");
    }
    on.advance(HOUR).await;
    assert_eq!(jobs(&take(&on, 10).await), [b], "only the other message is left");
    // A message can be marked without being taken: another relay may have sent it.
    on.repo.outbox_sent(&[id_of(b)]).await.expect("marking");
    on.advance(HOUR).await;
    assert_eq!(take(&on, 10).await, []);
}

async fn the_backlog_has_the_age_of_the_oldest_message(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let backlog = async || on.repo.outbox_backlog().await.expect("a backlog");
    assert_eq!(backlog().await, Backlog::default());
    enqueue(&on, "a").await;
    on.advance(HOUR).await;
    enqueue(&on, "b").await;
    on.advance(MINUTE).await;
    let waiting = backlog().await;
    assert_eq!(waiting.pending, 2);
    about(waiting.oldest, HOUR + MINUTE * 2);
    let oldest = take(&on, 1).await;
    let waiting = backlog().await;
    assert_eq!(waiting.pending, 2, "a taken message is not sent yet");
    about(waiting.oldest, HOUR + MINUTE * 2);
    on.repo.outbox_sent(&[oldest[0].id]).await.expect("marking");
    let waiting = backlog().await;
    assert_eq!(waiting.pending, 1);
    about(waiting.oldest, MINUTE * 2);
    on.drain().await;
    assert_eq!(backlog().await, Backlog::default());
}

async fn two_relays_never_take_the_same_message(harness: &dyn JobRepoHarness) {
    const MESSAGES: usize = 40;
    let on = Subject::fresh(harness).await;
    let batch: Vec<_> = (0..MESSAGES).map(|n| new_job(&n.to_string())).collect();
    let submitted = on.repo.submit(&batch, Enqueue::ThroughOutbox).await;
    assert!(submitted.is_ok(), "{submitted:?}");
    let relays: Vec<_> = (1..=4)
        .map(|limit| {
            let repo = Arc::clone(&on.repo);
            tokio::spawn(async move {
                let mut taken = Vec::new();
                // Enough iterations for one relay to take all messages, so that none stops early.
                for _ in 0..MESSAGES {
                    let messages = repo.take_outbox(limit, HOLD).await.expect("taking");
                    taken.extend(messages.into_iter().map(|message| message.id));
                    tokio::task::yield_now().await;
                }
                taken
            })
        })
        .collect();
    let mut taken = Vec::new();
    for relay in relays {
        taken.extend(relay.await.expect("a relay"));
    }
    let distinct: BTreeSet<&Uuid> = taken.iter().collect();
    assert_eq!((taken.len(), distinct.len()), (MESSAGES, MESSAGES), "each once");
}
