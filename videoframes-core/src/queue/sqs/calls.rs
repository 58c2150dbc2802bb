//! Requests to one queue.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    self, BatchResultErrorEntry, DeleteMessageBatchRequestEntry, MessageAttributeValue,
    MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};
use uuid::Uuid;

use super::batch::{Answers, BATCH};
use super::failure::Failure;
use super::validate::{self, STRING};
use crate::aws::{Measure, Service};
use crate::clock::UnixMillis;
use crate::queue::{Depth, MAX_VISIBILITY, MESSAGE_BYTES, Message, Outgoing, QueueError, ReceiptHandle};

/// Maximum wait of a receive.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// The address of a queue.
#[derive(Debug, Clone)]
pub(super) struct Address {
    url: String,
}

impl Address {
    /// Resolves a name or a URL.
    pub(super) async fn find(config: &SdkConfig, queue: &str, timeout: Duration) -> Result<Self, QueueError> {
        if queue.contains("://") {
            return Ok(Self {
                url: queue.to_owned(),
            });
        }
        let response = client(config, timeout)
            .get_queue_url()
            .queue_name(queue)
            .send()
            .await;
        let failed = |failure: Failure| QueueError::unavailable("find", queue, failure);
        let url = response
            .map_err(|error| failed(Failure::from_sdk(&error)))?
            .queue_url;
        let none = || failed(Failure::new("", "the response contains no queue URL"));
        url.map(|url| Self { url }).ok_or_else(none)
    }

    fn name(&self) -> &str {
        let path = self.url.trim_end_matches('/');
        path.rsplit('/').next().unwrap_or(path)
    }
}

/// Returns a client with separate connections, whose requests take at most `timeout` each.
fn client(config: &SdkConfig, timeout: Duration) -> Client {
    let timeouts = config.timeout_config().map(TimeoutConfig::to_builder);
    let timeouts = timeouts
        .unwrap_or_default()
        .read_timeout(timeout)
        .operation_attempt_timeout(timeout);
    let config = aws_sdk_sqs::config::Builder::from(config).interceptor(Measure(Service::Queue));
    Client::from_conf(config.timeout_config(timeouts.build()).build())
}

/// Requests to one queue; clones share connections.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    address: Arc<Address>,
    fifo: bool,
    client: Client,
    /// Client for requests that wait.
    polls: Client,
}

impl Calls {
    pub(super) fn new(config: &SdkConfig, address: Address, timeout: Duration) -> Self {
        Self {
            fifo: address.name().ends_with(".fifo"),
            address: Arc::new(address),
            client: client(config, timeout),
            polls: client(config, MAX_WAIT + timeout),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.address.url
    }

    pub(super) fn is_fifo(&self) -> bool {
        self.fifo
    }

    pub(super) fn name(&self) -> &str {
        self.address.name()
    }

    pub(super) async fn receive(
        &self,
        max_messages: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        let request = self.polls.receive_message().queue_url(self.url());
        let received = request
            .max_number_of_messages(i32::try_from(max_messages).unwrap_or(1))
            .visibility_timeout(seconds(visibility.min(MAX_VISIBILITY)))
            .wait_time_seconds(seconds(wait.min(MAX_WAIT)))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_system_attribute_names(MessageSystemAttributeName::AwsTraceHeader)
            .message_attribute_names("All")
            .send()
            .await;
        let received = received.map_err(|e| self.unavailable("receive from", Failure::from_sdk(&e)))?;
        Ok(received
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(message)
            .collect())
    }

    /// Sends messages and returns one answer per message.
    ///
    /// If a request fails after others succeeded, its messages and all later ones get the error.
    pub(super) async fn send(
        &self,
        messages: &[Outgoing],
    ) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let mut answers = Vec::with_capacity(messages.len());
        for message in messages {
            answers.push(validate::check(message, self.fifo));
        }
        let good: Vec<usize> = (0..messages.len()).filter(|n| answers[*n].is_ok()).collect();
        let sizes: Vec<usize> = good.iter().map(|n| validate::bytes(&messages[*n])).collect();
        let mut failed: Option<Failure> = None;
        for (nth, batch) in batches(&sizes).into_iter().enumerate() {
            let batch = &good[batch];
            if failed.is_none() {
                match self.send_batch(batch.iter().map(|n| &messages[*n])).await {
                    Ok(each) => {
                        for (n, answer) in batch.iter().zip(each) {
                            answers[*n] = answer.map_err(|failure| self.not_sent(failure));
                        }
                        continue;
                    }
                    Err(failure) if nth == 0 => return Err(self.not_sent(failure)),
                    Err(failure) => failed = Some(failure),
                }
            }
            for n in batch {
                answers[*n] = failed
                    .clone()
                    .map_or(Ok(()), |failure| Err(self.not_sent(failure)));
            }
        }
        Ok(answers)
    }

    /// Sends one message of any size.
    pub(super) async fn send_one(&self, message: &Outgoing) -> Result<(), Failure> {
        let mut answers = self.send_batch(std::iter::once(message)).await?;
        answers.pop().unwrap_or_else(unanswered)
    }

    fn unavailable(&self, action: &'static str, failure: Failure) -> QueueError {
        QueueError::unavailable(action, self.name(), failure)
    }

    fn not_sent(&self, failure: Failure) -> QueueError {
        if failure.is_invalid_message() {
            QueueError::Refused(failure.to_string())
        } else {
            self.unavailable("send to", failure)
        }
    }

    async fn send_batch<'a>(&self, batch: impl Iterator<Item = &'a Outgoing>) -> Result<Answers, Failure> {
        let entries = batch.enumerate().map(|(n, message)| self.entry(n, message));
        let entries = entries.collect::<Result<Vec<_>, _>>().map_err(unbuilt)?;
        let count = entries.len();
        let request = self.client.send_message_batch().queue_url(self.url());
        let sent = request.set_entries(Some(entries)).send().await;
        let sent = sent.map_err(|error| Failure::from_sdk(&error))?;
        Ok(each(
            count,
            sent.successful.iter().map(|entry| entry.id.as_str()),
            &sent.failed,
        ))
    }

    fn entry(&self, n: usize, message: &Outgoing) -> Result<SendMessageBatchRequestEntry, BuildError> {
        let attributes = message.attributes.iter().map(|(name, value)| {
            let value = MessageAttributeValue::builder()
                .data_type(STRING)
                .string_value(value);
            value.build().map(|value| (name.clone(), value))
        });
        let attributes = attributes.collect::<Result<HashMap<_, _>, _>>()?;
        let entry = SendMessageBatchRequestEntry::builder()
            .id(n.to_string())
            .message_body(&message.body)
            .set_message_attributes((!attributes.is_empty()).then_some(attributes));
        if !self.fifo {
            // SQS serves the groups of a standard queue fairly.
            let tenant = message.share.tenant.name().map(str::to_owned);
            let entry = entry.set_message_group_id(tenant);
            return entry.delay_seconds(seconds(message.delay)).build();
        }
        let own = || Uuid::new_v4().to_string();
        let id = message.deduplication_id.clone().unwrap_or_else(own);
        // A unique group, so that the message does not wait for others.
        let group = message.group.clone().unwrap_or_else(own);
        entry.message_deduplication_id(id).message_group_id(group).build()
    }

    pub(super) async fn set_visibility(
        &self,
        receipt: &ReceiptHandle,
        timeout: Duration,
    ) -> Result<(), Failure> {
        let request = self.client.change_message_visibility().queue_url(self.url());
        let set = request
            .receipt_handle(&receipt.0)
            .visibility_timeout(seconds(timeout.min(MAX_VISIBILITY)))
            .send()
            .await;
        set.map(|_| ()).map_err(|error| Failure::from_sdk(&error))
    }

    /// Deletes at most [`BATCH`] messages and returns one answer per message, in order.
    pub(super) async fn delete(&self, receipts: &[ReceiptHandle]) -> Answers {
        let all = |failure: Failure| vec![Err(failure); receipts.len()];
        let entries = receipts.iter().enumerate().map(|(n, receipt)| {
            let entry = DeleteMessageBatchRequestEntry::builder();
            entry.id(n.to_string()).receipt_handle(&receipt.0).build()
        });
        let entries = match entries.collect::<Result<Vec<_>, _>>() {
            Ok(entries) => entries,
            Err(error) => return all(unbuilt(error)),
        };
        let request = self.client.delete_message_batch().queue_url(self.url());
        match request.set_entries(Some(entries)).send().await {
            Ok(deleted) => each(
                receipts.len(),
                deleted.successful.iter().map(|entry| entry.id.as_str()),
                &deleted.failed,
            ),
            Err(error) => all(Failure::from_sdk(&error)),
        }
    }

    /// Returns the number of messages; `action` names the failed action in errors.
    pub(super) async fn depth(&self, action: &'static str) -> Result<Depth, QueueError> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let request = self.client.get_queue_attributes().queue_url(self.url());
        let response = request.set_attribute_names(Some(names.to_vec())).send().await;
        let response = response.map_err(|error| self.unavailable(action, Failure::from_sdk(&error)))?;
        let counts = response.attributes.unwrap_or_default();
        let [visible, in_flight, delayed] = names.map(|name| {
            counts
                .get(&name)
                .and_then(|count| count.parse().ok())
                .unwrap_or(0)
        });
        Ok(Depth {
            visible,
            in_flight,
            delayed,
            oldest: None,
        })
    }
}

/// Rounds up to whole seconds.
fn seconds(time: Duration) -> i32 {
    let whole = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    i32::try_from(whole).unwrap_or(i32::MAX)
}

/// Splits messages of these sizes into batches that fit into one request, in order.
fn batches(sizes: &[usize]) -> Vec<Range<usize>> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (n, size) in sizes.iter().enumerate() {
        if n > start && (n - start == BATCH || bytes + size > MESSAGE_BYTES) {
            batches.push(start..n);
            (start, bytes) = (n, 0);
        }
        bytes += size;
    }
    if start < sizes.len() {
        batches.push(start..sizes.len());
    }
    batches
}

/// Returns the answers of a batch whose entries have their index as id.
fn each<'a>(
    count: usize,
    successful: impl Iterator<Item = &'a str>,
    failed: &[BatchResultErrorEntry],
) -> Answers {
    let mut answers = Answers::new();
    answers.resize_with(count, unanswered);
    let mut set = |id: &str, answer| {
        let number = id.parse::<usize>().ok();
        if let Some(slot) = number.and_then(|number| answers.get_mut(number)) {
            *slot = answer;
        }
    };
    successful.for_each(|id| set(id, Ok(())));
    for entry in failed {
        let message = entry.message.as_deref().unwrap_or_default();
        set(&entry.id, Err(Failure::new(&entry.code, message)));
    }
    answers
}

fn unanswered() -> Result<(), Failure> {
    Err(Failure::new(
        "",
        "the response contains no result for the message",
    ))
}

fn unbuilt(error: BuildError) -> Failure {
    Failure::new("", &error.to_string())
}

fn message(received: types::Message) -> Message {
    let system = received.attributes.unwrap_or_default();
    let number = |name| system.get(&name).and_then(|number| number.parse().ok());
    let count = number(MessageSystemAttributeName::ApproximateReceiveCount);
    let sent_at = number(MessageSystemAttributeName::SentTimestamp);
    let attributes = received.message_attributes.unwrap_or_default().into_iter();
    Message {
        id: received.message_id.unwrap_or_default(),
        body: received.body.unwrap_or_default(),
        receive_count: count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
        sent_at: sent_at.map(UnixMillis),
        aws_trace_header: system.get(&MessageSystemAttributeName::AwsTraceHeader).cloned(),
        // Ignores binary attributes.
        attributes: attributes
            .filter_map(|(name, value)| Some((name, value.string_value?)))
            .collect(),
        receipt: ReceiptHandle(received.receipt_handle.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_have_at_most_ten_messages_and_the_size_of_one() {
        assert!(batches(&[]).is_empty());
        assert_eq!(batches(&[1; 25]), [0..10, 10..20, 20..25]);
        let half = MESSAGE_BYTES / 2;
        assert_eq!(
            batches(&[half, half, 1, MESSAGE_BYTES, 1]),
            [0..2, 2..3, 3..4, 4..5]
        );
    }

    #[test]
    fn every_entry_has_the_answer_of_its_id() {
        let failed = BatchResultErrorEntry::builder()
            .id("1")
            .code("InternalError")
            .sender_fault(false)
            .build();
        let failed = failed.map(|entry| vec![entry]).unwrap_or_default();
        let answers = each(4, ["2", "0", "77", "x"].into_iter(), &failed);
        assert_eq!(answers[0], Ok(()));
        assert_eq!(answers[1], Err(Failure::new("InternalError", "")));
        assert_eq!(answers[2], Ok(()));
        assert_eq!(answers[3], unanswered(), "an entry without a result failed");
    }

    #[test]
    fn times_are_rounded_up_to_whole_seconds() {
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_millis(2000)), 2);
        assert_eq!(seconds(Duration::MAX), i32::MAX);
    }
}
