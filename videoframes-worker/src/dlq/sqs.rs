//! Dead-letter messages in SQS.

use std::collections::BTreeMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use videoframes_console::{Failure, exit};
use videoframes_core::clock::UnixMillis;
use videoframes_core::queue::DEAD_LETTER_REASON;

use super::message::{DeadLetterMessage, share};
use super::queue::{DeadLetterQueue, Next, each};
use crate::aws::Refusal;
use crate::config::QueueAddress;

/// Visibility timeout in seconds of a message while others are received.
const VISIBILITY: i32 = 120;
/// Wait time in seconds of a receive: with a wait (long polling), SQS queries all its servers.
const WAIT: i32 = 1;

/// The queue of dead-letter messages in SQS.
pub(crate) struct SqsDeadLetterQueue {
    client: Client,
    name: String,
    url: String,
}

/// The destination of redriven messages.
pub(crate) struct SqsDestination {
    name: String,
    url: String,
    fifo: bool,
}

impl SqsDeadLetterQueue {
    pub(super) async fn open(client: Client, address: &QueueAddress) -> Result<Self, Failure> {
        Ok(Self {
            url: url(&client, address).await?,
            name: address.name().to_owned(),
            client,
        })
    }

    pub(super) async fn destination(&self, address: &QueueAddress) -> Result<SqsDestination, Failure> {
        let url = url(&self.client, address).await?;
        if url == self.url {
            return Err(Failure::new(
                exit::USAGE,
                format!("'{address}' is the queue of the dead-letter messages itself"),
            ));
        }
        Ok(SqsDestination {
            name: address.name().to_owned(),
            fifo: address.is_fifo(),
            url,
        })
    }

    fn what(&self, what: &str) -> String {
        format!("{what} the queue '{}'", self.name)
    }
}

async fn url(client: &Client, address: &QueueAddress) -> Result<String, Failure> {
    let name = match address {
        QueueAddress::Url(url) => return Ok(url.clone()),
        QueueAddress::Name(name) => name,
    };
    let response = client.get_queue_url().queue_name(name).send().await;
    let refused = |error| Refusal::new("sqs:GetQueueUrl", format!("find the queue '{name}'"), &error);
    let found = response.map_err(refused).map_err(|refusal| {
        let missing = refusal.has_code(&["NonExistentQueue", "QueueDoesNotExist"]);
        match missing {
            true => Failure::new(exit::NOT_FOUND, format!("queue '{name}' does not exist"))
                .hint("'vf-worker provision' creates the queue; otherwise, check AWS_REGION"),
            false => refusal.into(),
        }
    })?;
    Ok(found.queue_url.unwrap_or_default())
}

fn system(message: &Message, name: &MessageSystemAttributeName) -> Option<String> {
    message.attributes.as_ref()?.get(name).cloned()
}

impl DeadLetterQueue for SqsDeadLetterQueue {
    type Held = Message;
    type Destination = SqsDestination;

    fn dead_letter(&self, held: &Message) -> DeadLetterMessage {
        let mut attributes: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in held.message_attributes.iter().flatten() {
            let value = value.string_value.clone();
            attributes.insert(name.clone(), value.unwrap_or_else(|| "(bytes)".to_owned()));
        }
        let number = |name| system(held, &name)?.parse::<i64>().ok();
        let receives = number(MessageSystemAttributeName::ApproximateReceiveCount);
        DeadLetterMessage {
            id: held.message_id.clone().unwrap_or_default(),
            reason: attributes.remove(DEAD_LETTER_REASON),
            receive_count: receives.and_then(|count| count.try_into().ok()).unwrap_or(1),
            sent_at: number(MessageSystemAttributeName::SentTimestamp).map(UnixMillis::new),
            attributes,
            body: held.body.clone().unwrap_or_default(),
        }
    }

    async fn take(&self) -> Result<Vec<Message>, Failure> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .visibility_timeout(VISIBILITY)
            .wait_time_seconds(WAIT)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await;
        let received =
            received.map_err(|e| Refusal::new("sqs:ReceiveMessage", self.what("receive from"), &e))?;
        Ok(received.messages.unwrap_or_default())
    }

    async fn give_back(&self, held: &Message) -> Result<(), Failure> {
        let request = self.client.change_message_visibility().queue_url(&self.url);
        let request = request
            .set_receipt_handle(held.receipt_handle.clone())
            .visibility_timeout(0);
        let done = request.send().await;
        let what = self.what("return a message to");
        done.map_err(|e| Refusal::new("sqs:ChangeMessageVisibility", what, &e))?;
        Ok(())
    }

    async fn delete(&self, held: &Message) -> Result<(), Failure> {
        let request = self.client.delete_message().queue_url(&self.url);
        let done = request
            .set_receipt_handle(held.receipt_handle.clone())
            .send()
            .await;
        done.map_err(|e| Refusal::new("sqs:DeleteMessage", self.what("delete a message from"), &e))?;
        Ok(())
    }

    async fn copy(&self, held: &Message, queue: &SqsDestination) -> Result<(), Failure> {
        // Copied unchanged, since attributes may have any type.
        let mut attributes = held.message_attributes.clone().unwrap_or_default();
        attributes.remove(DEAD_LETTER_REASON);
        let mut request = self
            .client
            .send_message()
            .queue_url(&queue.url)
            .message_body(held.body.clone().unwrap_or_default())
            .set_message_attributes((!attributes.is_empty()).then_some(attributes));
        let group = system(held, &MessageSystemAttributeName::MessageGroupId);
        if queue.fifo {
            let id = held.message_id.clone().unwrap_or_default();
            // Must differ from the original deduplication ID: the queue would drop the message as a duplicate.
            request = request
                .message_deduplication_id(format!("redrive-{id}"))
                .message_group_id(group.unwrap_or(id));
        } else {
            // The group of a standard queue is the tenant; messages from a FIFO queue have another group.
            let tenant = share(held.body.as_deref().unwrap_or_default()).tenant;
            request = request.set_message_group_id(tenant.name().map(str::to_owned));
        }
        let what = format!("send to the queue '{}'", queue.name);
        request
            .send()
            .await
            .map_err(|e| Refusal::new("sqs:SendMessage", what, &e))?;
        Ok(())
    }

    async fn list(&self, max: usize) -> Result<Vec<DeadLetterMessage>, Failure> {
        let mut messages = Vec::new();
        each(self, async |held| {
            if messages.len() < max {
                messages.push(self.dead_letter(held));
            }
            Ok(match messages.len() < max {
                true => Next::Keep,
                false => Next::Stop,
            })
        })
        .await?;
        messages.sort_by(|a, b| (a.sent_at, &a.id).cmp(&(b.sent_at, &b.id)));
        Ok(messages)
    }

    async fn find(&self, id: &str) -> Result<Option<DeadLetterMessage>, Failure> {
        let mut found = None;
        each(self, async |held| {
            if held.message_id.as_deref() != Some(id) {
                return Ok(Next::Keep);
            }
            found = Some(self.dead_letter(held));
            Ok(Next::Stop)
        })
        .await?;
        Ok(found)
    }

    async fn depth(&self) -> Result<u64, Failure> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let response = request.set_attribute_names(Some(names.to_vec())).send().await;
        let response = response
            .map_err(|e| Refusal::new("sqs:GetQueueAttributes", self.what("count the messages in"), &e))?;
        let counts = response.attributes.unwrap_or_default();
        let count = |name| counts.get(name)?.parse::<u64>().ok();
        Ok(names.iter().filter_map(count).sum())
    }

    async fn purge(&self) -> Result<(), Failure> {
        let done = self.client.purge_queue().queue_url(&self.url).send().await;
        match done.map_err(|e| Refusal::new("sqs:PurgeQueue", self.what("purge"), &e)) {
            Err(refusal) if refusal.has_code(&["PurgeQueueInProgress"]) => {
                Err(Failure::from(refusal).hint("SQS purges a queue at most once per minute; retry later"))
            }
            done => {
                done?;
                Ok(())
            }
        }
    }
}
