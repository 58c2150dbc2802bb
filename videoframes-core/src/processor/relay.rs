//! Sends the messages of the outbox to their queues.

use std::time::Duration;

use tracing::Span;
use uuid::Uuid;

use super::fault::{self, Point};
use super::parts::Parts;
use super::telemetry;
use crate::error::chain;
use crate::jobs::{JobRepo, JobRepoError, OutboxDestination, OutboxMessage};
use crate::queue::{InputQueues, MESSAGE_BYTES, Outgoing, Queue, QueueError};
use crate::tenant::Tenants;
use crate::trace::{self, TraceContext};

/// Number of messages per batch.
const BATCH: u32 = 10;
/// Bytes that the types of two attributes add to the size of a message in SQS.
const ATTRIBUTE_TYPES: usize = 2 * "String".len();

/// The result of one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Relayed {
    /// Number of sent messages.
    pub sent: u64,
    /// Number of messages that no queue accepted for now; they are retried after their hold expires.
    pub failed: u64,
    /// Number of messages that their queue rejected permanently.
    pub refused: u64,
}

/// Sends messages from the outbox until none is left, with the weights of `tenants`. A message about a job goes to the
/// queue for the priority of the job.
///
/// A message is marked only after it was sent, so it may be sent twice with the same identifier. A message
/// that its queue rejects permanently is not retried.
///
/// # Errors
/// Returns errors of the repository. Errors of a queue are counted.
pub async fn relay(
    repo: &dyn JobRepo,
    input: &InputQueues,
    notifier: &dyn Queue,
    tenants: &Tenants,
    hold: Duration,
) -> Result<Relayed, JobRepoError> {
    let mut done = Relayed::default();
    loop {
        let messages = repo.take_outbox(BATCH, hold).await?;
        if messages.is_empty() {
            return Ok(done);
        }
        fault::reached(Point::RelayTaken);
        let mut answers = Answers::default();
        let (notifications, to_workers): (Vec<_>, Vec<_>) = messages
            .iter()
            .partition(|message| message.destination == OutboxDestination::Notifier);
        send(notifier, &notifications, tenants, &mut answers).await;
        for (position, queue) in input.iter().enumerate() {
            let batch = to_workers.iter().copied();
            let batch = batch.filter(|message| input.position_for(message.priority) == position);
            let batch: Vec<&OutboxMessage> = batch.collect();
            send(queue.as_ref(), &batch, tenants, &mut answers).await;
        }
        fault::reached(Point::RelaySent);
        let Answers {
            sent,
            refused,
            failed,
        } = answers;
        if !sent.is_empty() {
            repo.outbox_sent(&sent).await?;
        }
        if !refused.is_empty() {
            repo.outbox_refused(&refused).await?;
        }
        done.sent += sent.len() as u64;
        done.refused += refused.len() as u64;
        done.failed += failed;
        telemetry::published("ok", sent.len() as u64);
        telemetry::published("refused", refused.len() as u64);
        telemetry::published("error", failed);
        if failed > 0 {
            return Ok(done);
        }
    }
}

/// The answers of the queues.
#[derive(Default)]
struct Answers {
    sent: Vec<Uuid>,
    /// With the reason for each message.
    refused: Vec<(Uuid, String)>,
    failed: u64,
}

async fn send(queue: &dyn Queue, batch: &[&OutboxMessage], tenants: &Tenants, answers: &mut Answers) {
    if batch.is_empty() {
        return;
    }
    let spans: Vec<Span> = batch.iter().map(|message| span_of(message)).collect();
    let outgoing = batch.iter().zip(&spans);
    let outgoing: Vec<Outgoing> = outgoing
        .map(|(message, span)| outgoing_of(message, tenants, span))
        .collect();
    match queue.send(&outgoing).await {
        Ok(each) => {
            for (message, answer) in batch.iter().zip(each) {
                answers.add(queue, message, answer);
            }
        }
        // Only separate sends show which of the messages the queue rejects.
        Err(error) if batch.len() > 1 && !error.is_retryable() => {
            for (message, outgoing) in batch.iter().zip(outgoing) {
                let sent = queue.send(&[outgoing]).await;
                let sent = sent.and_then(|each| each.into_iter().next().unwrap_or(Ok(())));
                answers.add(queue, message, sent);
            }
        }
        Err(error) if !error.is_retryable() => {
            if let [message] = batch {
                answers.add(queue, message, Err(error));
            }
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                queue = queue.name(),
                "failed to send messages from the outbox"
            );
            answers.failed += batch.len() as u64;
        }
    }
}

/// Returns the span of the sending of a message, a child of the span of the job's producer.
fn span_of(message: &OutboxMessage) -> Span {
    let name = match message.destination {
        OutboxDestination::Notifier => "notify",
        OutboxDestination::Input => "enqueue",
    };
    let span = tracing::info_span!("send", otel.name = name, otel.kind = "producer", job.id = %message.job);
    if let Some(producer) = &message.trace {
        trace::set_parent(&span, producer);
    }
    span
}

fn outgoing_of(message: &OutboxMessage, tenants: &Tenants, span: &Span) -> Outgoing {
    let mut outgoing = Outgoing::new(message.body.clone())
        .deduplication_id(message.id.to_string())
        .group(message.job.to_string())
        .share(
            tenants
                .share(&message.tenant, message.priority)
                .redelivery(message.redelivery),
        );
    if let Some(context) = trace::context_of(span).or_else(|| message.trace.clone()) {
        let mut attribute = |name: &str, value: &str| {
            outgoing.attributes.insert(name.to_owned(), value.to_owned());
        };
        attribute(TraceContext::TRACEPARENT, context.traceparent());
        if let Some(state) = context.tracestate() {
            attribute(TraceContext::TRACESTATE, state);
        }
    }
    // A message must not be rejected because of its trace.
    if outgoing.bytes() + ATTRIBUTE_TYPES > MESSAGE_BYTES {
        outgoing.attributes.clear();
    }
    outgoing
}

impl Answers {
    fn add(&mut self, queue: &dyn Queue, message: &OutboxMessage, answer: Result<(), QueueError>) {
        let Err(error) = answer else {
            self.sent.push(message.id);
            return;
        };
        let (name, job) = (queue.name(), message.job);
        if error.is_retryable() {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, queue = name, "failed to send a message from the outbox");
            self.failed += 1;
        } else {
            let reason = chain(&error);
            tracing::error!(
                error = reason,
                queue = name,
                job.id = %job,
                "queue rejected a message permanently; run 'vf-worker notifications --refused' to list such messages"
            );
            self.refused.push((message.id, reason));
        }
    }
}

impl Parts {
    pub(super) async fn relay(&self, hold: Duration) -> Result<Relayed, JobRepoError> {
        let repo = self.repo.as_ref();
        relay(repo, &self.input, self.notifier.as_ref(), &self.tenants, hold).await
    }
}
