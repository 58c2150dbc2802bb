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
        let open = async |place: &QueuePlace, dead_letter_queue: Option<&QueuePlace>| match place {
            QueuePlace::Database(name) => {
                let queue = DatabaseQueue::new(database.clone(), name);
                Ok(Messages::Database(match dead_letter_queue {
                    Some(QueuePlace::Database(letters)) => {
                        queue.with_dead_letter_queue(letters, config.max_receives)
                    }
                    _ => queue,
                }))
            }
            QueuePlace::Sqs(address) => {
                let mut options = SqsOptions::default();
                if let Some(QueuePlace::Sqs(letters)) = dead_letter_queue {
                    options = options.dead_letter_queue(letters.as_str());
                }
                let aws = aws.unwrap_or_else(|| unreachable!("an SQS queue requires an AWS configuration"));
                let queue = SqsQueue::connect(aws, address.as_str(), &options).await;
                queue.map(Messages::Sqs).map_err(Unready::from)
            }
        };
        Ok(Self {
            input: open(&places.input, Some(&places.dead_letter_queue)).await?,
            notifier: open(&places.notifier, None).await?,
            dead_letter_queue: open(&places.dead_letter_queue, None).await?,
        })
    }
}
