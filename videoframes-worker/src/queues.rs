//! The configured queues, in the database or in SQS.

use std::sync::Arc;

use videoframes_core::aws::SdkConfig;
use videoframes_core::database::Database;
use videoframes_core::queue::{DatabaseQueue, InputQueue, InputQueues, Queue, SqsOptions, SqsQueue};

use crate::config::{Config, InputPlace, QueuePlace};
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

/// The queues of a worker.
#[derive(Clone)]
pub(crate) struct Queues {
    /// The input queues.
    pub(crate) inputs: Vec<Messages>,
    /// The same with weights and priorities.
    pub(crate) input: InputQueues,
    /// The input queue for messages of unknown priority.
    pub(crate) main_input: Messages,
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
        let (input, inputs) = servers.inputs(config).await?;
        let mut with_places = places.inputs.iter().zip(&inputs);
        let main = with_places.find(|(place, _)| place.queue == *places.inputs.main());
        Ok(Self {
            main_input: main.map_or(&inputs[0], |(_, messages)| messages).clone(),
            input,
            inputs,
            notifier: servers.open(&places.notifier, None).await?,
            dead_letter_queue: servers.open(&places.dead_letter_queue, None).await?,
        })
    }
}

fn input(place: &InputPlace, messages: &Messages) -> InputQueue {
    InputQueue::new(messages.queue())
        .weight(place.weight)
        .priorities(place.priorities.clone())
}

/// The servers of queues.
pub(crate) struct Servers<'a> {
    pub(crate) database: &'a Database,
    pub(crate) aws: Option<&'a SdkConfig>,
}

impl Servers<'_> {
    /// Connects to the input queues. Returns them with weights and priorities, and one by one.
    pub(crate) async fn inputs(&self, config: &Config) -> Result<(InputQueues, Vec<Messages>), Unready> {
        let places = &config.places;
        let dead_letter_queue = Some((&places.dead_letter_queue, config.max_receives));
        let first = self.open(&places.inputs.first.queue, dead_letter_queue).await?;
        let (mut inputs, mut others) = (vec![first.clone()], Vec::new());
        for place in &places.inputs.others {
            let messages = self.open(&place.queue, dead_letter_queue).await?;
            others.push(input(place, &messages));
            inputs.push(messages);
        }
        Ok((
            InputQueues::new(input(&places.inputs.first, &first), others),
            inputs,
        ))
    }

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
