//! The dead-letter messages of a running worker.

use std::collections::BTreeSet;

use aws_sdk_sqs::Client;
use serde::Serialize;
use videoframes_console::{Failure, exit};

use super::database::{DatabaseDeadLetterQueue, DatabaseDestination};
use super::message::DeadLetterMessage;
use super::queue::{DeadLetterQueue, Which, redrive};
use super::sqs::{SqsDeadLetterQueue, SqsDestination};
use crate::aws;
use crate::config::{Config, QueuePlace};
use crate::queues::{Messages, Queues};

/// The dead-letter messages, and the input queue as the destination of redriven messages.
pub(crate) enum DeadLetters {
    Database(DatabaseDeadLetterQueue, DatabaseDestination),
    Sqs(SqsDeadLetterQueue, SqsDestination),
}

/// The result of a request to redrive messages.
#[derive(Debug, Serialize)]
pub(crate) struct Redriven {
    redriven: Vec<String>,
    /// Identifiers without a visible message.
    missing: BTreeSet<String>,
}

impl DeadLetters {
    pub(crate) async fn open(config: &Config, queues: &Queues) -> Result<Self, Failure> {
        let places = &config.places;
        match (&places.dead_letter_queue, places.inputs.main()) {
            (QueuePlace::Sqs(letters), QueuePlace::Sqs(input)) => {
                let client = Client::new(&aws::environment().await?);
                let letters = SqsDeadLetterQueue::open(client, letters).await?;
                let destination = letters.destination(input).await?;
                Ok(Self::Sqs(letters, destination))
            }
            _ => match (&queues.dead_letter_queue, &queues.main_input) {
                (Messages::Database(letters), Messages::Database(input)) => Ok(Self::Database(
                    DatabaseDeadLetterQueue(letters.clone()),
                    DatabaseDestination {
                        queue: input.clone(),
                        tenants: config.tenants.clone(),
                    },
                )),
                _ => Err(Failure::new(
                    exit::USAGE,
                    "the queues must both be in SQS, or both in the database",
                )),
            },
        }
    }

    /// Returns the approximate number of messages.
    pub(crate) async fn depth(&self) -> Result<u64, Failure> {
        match self {
            Self::Database(letters, _) => letters.depth().await,
            Self::Sqs(letters, _) => letters.depth().await,
        }
    }

    /// Lists up to `max` messages that are not in flight.
    pub(crate) async fn list(&self, max: usize) -> Result<Vec<DeadLetterMessage>, Failure> {
        match self {
            Self::Database(letters, _) => letters.list(max).await,
            Self::Sqs(letters, _) => letters.list(max).await,
        }
    }

    /// Sends messages to the input queue again.
    pub(crate) async fn redrive(&self, ids: BTreeSet<String>) -> Result<Redriven, Failure> {
        let mut redriven = Vec::new();
        let which = Which::Ids(ids);
        let report = |id: &str| {
            redriven.push(id.to_owned());
            Ok(())
        };
        let missing = match self {
            Self::Database(letters, to) => redrive(letters, &which, to, report).await?,
            Self::Sqs(letters, to) => redrive(letters, &which, to, report).await?,
        };
        Ok(Redriven { redriven, missing })
    }
}
