//! A bucket and three queues for one test, in an S3 store and an SQS server.

use std::sync::Mutex;

use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;
use videoframes_core::aws::{AwsOptions, SdkConfig, sdk_config};
use videoframes_core::queue::{DEAD_LETTER_REASON, Queue, SqsOptions, SqsQueue};
use videoframes_core::storage::{S3Options, S3Storage};

use super::resources;

/// Credentials that the test store accepts.
const CREDENTIALS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "videoframes"),
    ("AWS_SECRET_ACCESS_KEY", "videoframes-secret"),
    ("AWS_REGION", "us-east-1"),
];

pub(crate) struct Cloud {
    /// Name of the bucket, and prefix of the queue names.
    pub(crate) name: String,
    pub(crate) s3: String,
    pub(crate) sqs: String,
    /// Notifications received so far.
    reported: Mutex<Vec<Value>>,
}

/// Returns the server in `variable`; `None` with a message if there is no server.
fn server(variable: &str) -> Option<String> {
    resources::named(variable, "skipped")
}

impl Cloud {
    /// Creates bucket and queues; returns `None` with a message if there is no server.
    pub(crate) async fn new() -> Option<Self> {
        let (s3, sqs) = (server("VF_TEST_S3")?, server("VF_TEST_SQS")?);
        Some(Self::make(s3, sqs).await)
    }

    /// Creates queues in another server.
    pub(crate) async fn at(sqs: &str) -> Option<Self> {
        Some(Self::make(server("VF_TEST_S3")?, sqs.to_owned()).await)
    }

    /// Uses the store of the queue server, which notifies the input queue of new objects.
    pub(crate) async fn telling() -> Option<Self> {
        let sqs = server("VF_TEST_SQS")?;
        let cloud = Self::make(sqs.clone(), sqs).await;
        let queue = QueueConfiguration::builder()
            .queue_arn(format!(
                "arn:aws:sqs:us-east-1:000000000000:{}",
                cloud.queue_name("input")
            ))
            .events(Event::from("s3:ObjectCreated:*"))
            .build()
            .unwrap();
        let put = cloud.buckets().await;
        let put = put.put_bucket_notification_configuration().bucket(&cloud.name);
        let reported = NotificationConfiguration::builder().queue_configurations(queue);
        put.notification_configuration(reported.build())
            .send()
            .await
            .unwrap();
        Some(cloud)
    }

    async fn make(s3: String, sqs: String) -> Self {
        let cloud = Self {
            name: format!("vf-{}", uuid::Uuid::new_v4().simple()),
            s3,
            sqs,
            reported: Mutex::default(),
        };
        let make = cloud.buckets().await;
        make.create_bucket().bucket(&cloud.name).send().await.unwrap();
        cloud.make_queues().await;
        cloud
    }

    pub(crate) async fn make_queues(&self) {
        let queues = aws_sdk_sqs::Client::new(&self.config(&self.sqs).await);
        let create = async |kind: &str, attributes: &[(QueueAttributeName, String)]| {
            let mut request = queues.create_queue().queue_name(self.queue_name(kind));
            for (name, value) in attributes {
                request = request.attributes(name.clone(), value);
            }
            request.send().await.unwrap().queue_url.unwrap()
        };
        let letters = create("dead-letters", &[]).await;
        let arn = queues
            .get_queue_attributes()
            .queue_url(letters)
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await
            .unwrap()
            .attributes
            .unwrap()[&QueueAttributeName::QueueArn]
            .clone();
        let redrive = serde_json::json!({"deadLetterTargetArn": arn, "maxReceiveCount": 50}).to_string();
        create("input", &[(QueueAttributeName::RedrivePolicy, redrive)]).await;
        create("notifier", &[]).await;
    }

    /// Sets the visibility timeout of the input queue, as an operator may.
    pub(crate) fn hide_input_for(&self, seconds: &str) {
        let set = async {
            let queues = aws_sdk_sqs::Client::new(&self.config(&self.sqs).await);
            let input = self.queue("input").await;
            let set = queues.set_queue_attributes().queue_url(input.url());
            let set = set.attributes(QueueAttributeName::VisibilityTimeout, seconds);
            set.send().await.unwrap();
        };
        super::place::runtime().block_on(set);
    }

    pub(crate) async fn buckets(&self) -> aws_sdk_s3::Client {
        let config = self.config(&self.s3).await;
        let config = aws_sdk_s3::config::Builder::from(&config).force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    pub(crate) async fn config(&self, endpoint: &str) -> SdkConfig {
        let [id, secret, region] = CREDENTIALS.map(|(_, value)| value);
        let options = AwsOptions::default().region(region).endpoint(endpoint);
        let credentials = aws_sdk_s3::config::Credentials::new(id, secret, None, None, "test");
        let config = sdk_config(&options).await.into_builder();
        config
            .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(credentials))
            .build()
    }

    fn queue_name(&self, kind: &str) -> String {
        format!("{}-{kind}", self.name)
    }

    pub(crate) async fn queue(&self, kind: &str) -> SqsQueue {
        let config = self.config(&self.sqs).await;
        SqsQueue::connect(&config, &self.queue_name(kind), &SqsOptions::default())
            .await
            .unwrap()
    }

    /// Returns the environment of a worker.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = CREDENTIALS.map(|(name, value)| (name, value.to_owned())).to_vec();
        environment.extend([
            ("AWS_ENDPOINT_URL_S3", self.s3.clone()),
            ("AWS_ENDPOINT_URL_SQS", self.sqs.clone()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("VF_STORAGE", format!("s3://{}", self.name)),
            ("VF_INPUT_QUEUE", format!("sqs:{}", self.queue_name("input"))),
            (
                "VF_NOTIFIER_QUEUE",
                format!("sqs:{}", self.queue_name("notifier")),
            ),
            (
                "VF_DEAD_LETTER_QUEUE",
                format!("sqs:{}", self.queue_name("dead-letters")),
            ),
        ]);
        environment
    }

    /// Receives notifications like a client; returns all notifications so far.
    pub(crate) async fn reported(&self) -> Vec<Value> {
        let notifier = self.queue("notifier").await;
        loop {
            let minute = std::time::Duration::from_secs(60);
            let messages = notifier
                .receive(10, minute, std::time::Duration::ZERO)
                .await
                .unwrap();
            if messages.is_empty() {
                return self.reported.lock().unwrap().clone();
            }
            let events = messages
                .iter()
                .map(|message| serde_json::from_str(&message.body).unwrap());
            self.reported
                .lock()
                .unwrap()
                .extend(events.collect::<Vec<Value>>());
            let receipts: Vec<_> = messages.into_iter().map(|message| message.receipt).collect();
            for deleted in notifier.delete(&receipts).await.unwrap() {
                deleted.unwrap();
            }
        }
    }

    /// Returns the reasons of the dead-letter messages without removing the messages.
    pub(crate) async fn dead_letter_messages(&self) -> Vec<String> {
        let letters = self.queue("dead-letters").await;
        let now = std::time::Duration::ZERO;
        let found = letters
            .receive(10, std::time::Duration::from_secs(1), now)
            .await
            .unwrap();
        for letter in &found {
            letters.set_visibility(&letter.receipt, now).await.unwrap();
        }
        found
            .iter()
            .map(|letter| letter.attributes[DEAD_LETTER_REASON].clone())
            .collect()
    }

    pub(crate) async fn storage(&self) -> S3Storage {
        let options = S3Options::new(&self.name).path_style(true);
        S3Storage::new(&self.config(&self.s3).await, options)
    }

    /// Returns the number of incomplete uploads.
    pub(crate) async fn uploads(&self) -> usize {
        let buckets = self.buckets().await;
        let uploads = buckets.list_multipart_uploads().bucket(&self.name).send().await;
        uploads.unwrap().uploads.unwrap_or_default().len()
    }

    /// Purges the input queue; returns the number of purged messages.
    pub(crate) async fn purge_input(&self) -> u64 {
        let input = self.queue("input").await;
        let mut purged = 0;
        loop {
            let minute = std::time::Duration::from_secs(60);
            let messages = input
                .receive(10, minute, std::time::Duration::ZERO)
                .await
                .unwrap();
            if messages.is_empty() {
                return purged;
            }
            purged += messages.len() as u64;
            let receipts: Vec<_> = messages.into_iter().map(|message| message.receipt).collect();
            input.delete(&receipts).await.unwrap();
        }
    }
}
