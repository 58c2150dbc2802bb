//! The bucket and the queues, without any proxy.

use std::collections::BTreeSet;

use anyhow::Context;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::QueueAttributeName;

/// Name of the bucket.
pub(crate) const BUCKET: &str = "vf-chaos";
/// Access keys that the store accepts.
pub(crate) const ACCESS_KEYS: [&str; 2] = ["videoframes", "videoframes-rotated"];
pub(crate) const SECRET: &str = "videoframes-secret";
pub(crate) const REGION: &str = "us-east-1";

/// Clients of the store and the queues.
#[derive(Debug)]
pub(crate) struct Cloud {
    pub(crate) s3_address: String,
    pub(crate) sqs_address: String,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) input: String,
    pub(crate) notifier: String,
    pub(crate) dead_letters: String,
}

impl Cloud {
    /// Creates the bucket and the queues.
    pub(crate) async fn new(s3_address: &str, sqs_address: &str) -> anyhow::Result<Self> {
        let credentials = Credentials::new(ACCESS_KEYS[0], SECRET, None, None, "chaos");
        let s3 = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(s3_address)
            .force_path_style(true)
            .credentials_provider(credentials.clone())
            .build();
        let sqs = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(sqs_address)
            .credentials_provider(credentials)
            .build();
        let (s3, sqs) = (
            aws_sdk_s3::Client::from_conf(s3),
            aws_sdk_sqs::Client::from_conf(sqs),
        );
        s3.create_bucket().bucket(BUCKET).send().await?;
        let create = async |name: &str| -> anyhow::Result<String> {
            let created = sqs.create_queue().queue_name(format!("vf-{name}"));
            // A worker that is killed before its first heartbeat leaves the message hidden for this time.
            let created = created.attributes(QueueAttributeName::VisibilityTimeout, "5");
            created.send().await?.queue_url.context("the queue has no URL")
        };
        Ok(Self {
            s3_address: s3_address.to_owned(),
            sqs_address: sqs_address.to_owned(),
            input: create("input").await?,
            notifier: create("notifier").await?,
            dead_letters: create("dead-letters").await?,
            s3,
            sqs,
        })
    }

    /// Returns the content of an object; `None` if the object does not exist.
    pub(crate) async fn get(&self, bucket: &str, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match self.s3.get_object().bucket(bucket).key(key).send().await {
            Ok(found) => Ok(Some(found.body.collect().await?.to_vec())),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_no_such_key()) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns all keys below a prefix.
    pub(crate) async fn keys(&self, prefix: &str) -> anyhow::Result<BTreeSet<String>> {
        let list = self.s3.list_objects_v2().bucket(BUCKET).prefix(prefix);
        let mut pages = list.into_paginator().send();
        let mut keys = BTreeSet::new();
        while let Some(page) = pages.next().await {
            keys.extend(
                page?
                    .contents
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|object| object.key),
            );
        }
        Ok(keys)
    }

    /// Returns the keys of incomplete uploads.
    pub(crate) async fn uploads(&self) -> anyhow::Result<BTreeSet<String>> {
        let uploads = self.s3.list_multipart_uploads().bucket(BUCKET).send().await?;
        let keys = uploads
            .uploads
            .unwrap_or_default()
            .into_iter()
            .filter_map(|upload| upload.key);
        Ok(keys.collect())
    }

    pub(crate) async fn send(&self, queue: &str, body: &str) -> anyhow::Result<()> {
        self.sqs
            .send_message()
            .queue_url(queue)
            .message_body(body)
            .send()
            .await?;
        Ok(())
    }

    /// Receives and deletes messages; returns their bodies.
    pub(crate) async fn take(&self, queue: &str) -> anyhow::Result<Vec<String>> {
        let receive = self
            .sqs
            .receive_message()
            .queue_url(queue)
            .max_number_of_messages(10);
        let messages = receive
            .wait_time_seconds(1)
            .send()
            .await?
            .messages
            .unwrap_or_default();
        let mut bodies = Vec::new();
        for message in messages {
            if let (Some(body), Some(receipt)) = (message.body, message.receipt_handle) {
                bodies.push(body);
                self.sqs
                    .delete_message()
                    .queue_url(queue)
                    .receipt_handle(receipt)
                    .send()
                    .await?;
            }
        }
        Ok(bodies)
    }

    /// Returns the number of messages in a queue, visible or not.
    pub(crate) async fn depth(&self, queue: &str) -> anyhow::Result<u64> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let mut get = self.sqs.get_queue_attributes().queue_url(queue);
        for name in names {
            get = get.attribute_names(name);
        }
        let attributes = get.send().await?.attributes.unwrap_or_default();
        Ok(attributes
            .values()
            .filter_map(|number| number.parse::<u64>().ok())
            .sum())
    }

    /// Removes all messages of the input queue.
    pub(crate) async fn purge_input(&self) -> anyhow::Result<()> {
        self.sqs.purge_queue().queue_url(&self.input).send().await?;
        Ok(())
    }
}
