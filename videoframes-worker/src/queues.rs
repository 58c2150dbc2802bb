//! The configured queues, in the database or in SQS.

use std::sync::Arc;

use videoframes_core::aws::SdkConfig;
use videoframes_core::database::Database;
use videoframes_core::queue::{DatabaseQueue, Queue, SqsOptions, SqsQueue};

use crate::config::{Config, QueuePlace};
use crate::start::Unready;

/// A queue in the database or in SQS.
#[derive(Clone)]
pub(crate) enum Messages {
    Database(DatabaseQueue),
    Sqs(SqsQueue),
}

impl Messages {
    pub(crate) fn queue(&self) -> Arc<dyn Queue> {
        match self {
            Self::Database(queue) => Arc::new(queue.clone()),
            Self::Sqs(queue) => Arc::new(queue.clone()),
        }
    }

    /// Fails if the SQS queue is missing or inaccessible. A queue in the database always exists.
    pub(crate) async fn check(&self) -> Result<(), Unready> {
        match self {
            Self::Database(_) => Ok(()),
            Self::Sqs(queue) => Ok(queue.check().await?),
        }
    }
}

/// The three queues of a worker.
#[derive(Clone)]
pub(crate) struct Queues {
    pub(crate) input: Messages,
    pub(crate) notifier: Messages,
    pub(crate) dead_letter_queue: Messages,
}

impl Queues {
    pub(crate) async fn connect(
        config: &Config,
        database: &Database,
        aws: Option<&SdkConfig>,
    ) -> Result<Self, Unready> {
        let places = &config.places;
        let servers = Servers { database, aws };
        let max_receives = config.max_receives;
        Ok(Self {
            input: servers
                .open(&places.input, Some((&places.dead_letter_queue, max_receives)))
                .await?,
            notifier: servers.open(&places.notifier, None).await?,
            dead_letter_queue: servers.open(&places.dead_letter_queue, None).await?,
        })
    }
}

/// The servers of queues.
pub(crate) struct Servers<'a> {
    pub(crate) database: &'a Database,
    pub(crate) aws: Option<&'a SdkConfig>,
}

impl Servers<'_> {
    /// Connects to one queue, with its dead-letter queue and the maximum number of receives.
    pub(crate) async fn open(
        &self,
        place: &QueuePlace,
        dead_letter_queue: Option<(&QueuePlace, u32)>,
    ) -> Result<Messages, Unready> {
        match place {
            QueuePlace::Database(name) => {
                let queue = DatabaseQueue::new(self.database.clone(), name);
                Ok(Messages::Database(match dead_letter_queue {
                    Some((QueuePlace::Database(letters), max_receives)) => {
                        queue.with_dead_letter_queue(letters, max_receives)
                    }
                    _ => queue,
                }))
            }
            QueuePlace::Sqs(address) => {
                let mut options = SqsOptions::default();
                if let Some((QueuePlace::Sqs(letters), _)) = dead_letter_queue {
                    options = options.dead_letter_queue(letters.as_str());
                }
                let aws = self
                    .aws
                    .unwrap_or_else(|| unreachable!("an SQS queue requires an AWS configuration"));
                let queue = SqsQueue::connect(aws, address.as_str(), &options).await;
                queue.map(Messages::Sqs).map_err(Unready::from)
            }
        }
    }
}
