//! `vf-worker notifications`: prints or receives the notifications to clients.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use videoframes_console::{Delivery, Failure, cancelled_by_signals, exit, print};
use videoframes_core::jobs::JobRepo;
use videoframes_core::queue::{DatabaseQueue, Message, Queue, QueueError};
use videoframes_core::text::printable_json;

use crate::args::NotificationsArgs;
use crate::config::Config;
use crate::connections::{Connections, open, open_existing};
use crate::jobs::unavailable;
use crate::outage::Outage;
use crate::queues::Messages;
use crate::stdout;

/// Number of notifications per page.
const PAGE: u32 = 500;
/// Visibility timeout of a received message.
const VISIBILITY: Duration = Duration::from_secs(30);
/// Interval at which the visibility is extended while the reader is slow.
const EXTEND_INTERVAL: Duration = Duration::from_secs(10);

/// Prints notifications. A queue in the database lists sent messages in order and keeps them. SQS hides listed
/// messages from other receivers, so that notifications in SQS are only received with `--take`.
pub(crate) async fn run(config: &Config, args: &NotificationsArgs) -> Result<ExitCode, Failure> {
    // With --follow, the database may be created by this command, so that no notification is missed.
    let connections = match args.follow {
        true => Some(open(config).await?),
        false => open_existing(config).await?,
    };
    let Some(connections) = connections else {
        return Ok(ExitCode::SUCCESS);
    };
    if args.refused {
        return refused(&connections, args.resend).await;
    }
    let notifier = connections.queues(config).await?.notifier;
    let outage = Outage::new(config.outage);
    match &notifier {
        _ if args.take => {
            let queue = notifier.queue();
            let stop = cancelled_by_signals(Duration::ZERO).map_err(|e| Failure::internal(&e))?;
            Receiver {
                notifier: queue.as_ref(),
                stop,
                outage,
            }
            .run(args.follow)
            .await
        }
        Messages::Database(notifier) => show(notifier, args.follow, outage).await,
        Messages::Sqs(_) => Err(Failure::new(
            exit::USAGE,
            "notifications in SQS cannot be listed without receiving them",
        )
        .hint("--take receives and deletes the notifications")),
    }
}

/// Prints the messages that a queue refused permanently, or requests to send them again.
async fn refused(connections: &Connections, resend: bool) -> Result<ExitCode, Failure> {
    if resend {
        let count = connections
            .repo
            .resend_refused()
            .await
            .map_err(|e| unavailable(&e))?;
        eprintln!("requested to send {count} messages again");
        return Ok(ExitCode::SUCCESS);
    }
    for refused in connections
        .repo
        .refused(PAGE)
        .await
        .map_err(|e| unavailable(&e))?
    {
        let line = serde_json::json!({
            "id": refused.message.id,
            "job_id": refused.message.job,
            "destination": refused.message.destination.as_str(),
            "reason": refused.reason,
            "body": refused.message.body,
        });
        if print(&format!("{}\n", printable_json(&line.to_string())))? == Delivery::Closed {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints all messages of a queue without removing them.
async fn show(notifier: &DatabaseQueue, follow: bool, mut outage: Outage) -> Result<ExitCode, Failure> {
    let mut after = None;
    loop {
        let page = match notifier.browse(after, PAGE).await {
            Ok(page) => page,
            Err(error) if follow && error.is_retryable() => {
                outage.wait(&error).await?;
                continue;
            }
            Err(error) => return Err(Failure::because(exit::UNAVAILABLE, &error)),
        };
        outage.end();
        if page.is_empty() {
            if !follow || stdout::is_closed() {
                return Ok(ExitCode::SUCCESS);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        for message in page {
            if print(&format!("{}\n", printable_json(&message.body)))? == Delivery::Closed {
                return Ok(ExitCode::SUCCESS);
            }
            after = Some(message.arrival);
        }
    }
}

/// Receives notifications like a client, and deletes each after the reader has read the line.
struct Receiver<'a> {
    notifier: &'a dyn Queue,
    stop: CancellationToken,
    outage: Outage,
}

impl Receiver<'_> {
    async fn run(mut self, follow: bool) -> Result<ExitCode, Failure> {
        let wait = Duration::from_secs(if follow { 5 } else { 1 });
        while !self.stop.is_cancelled() && !stdout::is_closed() {
            let received = match self.notifier.receive(10, VISIBILITY, wait).await {
                Ok(received) => received,
                Err(error) if follow && error.is_retryable() => {
                    self.outage.wait(&error).await?;
                    continue;
                }
                Err(error) => return Err(Failure::because(exit::UNAVAILABLE, &error)),
            };
            self.outage.end();
            if received.is_empty() && !follow {
                break;
            }
            let mut left = VecDeque::from(received);
            let printed = self.print(&mut left).await;
            // Makes unread messages visible at once; after an error, they become visible at the visibility timeout.
            for message in &left {
                let _ = self
                    .notifier
                    .set_visibility(&message.receipt, Duration::ZERO)
                    .await;
            }
            printed?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Prints messages one by one, and deletes each before printing the next. Unread messages stay in `left`.
    async fn print(&mut self, left: &mut VecDeque<Message>) -> Result<(), Failure> {
        while let Some(message) = left.front() {
            if print(&format!("{}\n", printable_json(&message.body)))? == Delivery::Closed
                || !self.is_read(left).await
            {
                return Ok(());
            }
            if let Some(message) = left.pop_front() {
                self.delete(message).await?;
            }
        }
        Ok(())
    }

    /// Waits until the reader has read the printed lines; returns `false` if the reader is closed or on a stop.
    async fn is_read(&self, left: &VecDeque<Message>) -> bool {
        let mut pause = Duration::from_millis(1);
        let mut extended = Instant::now();
        while !stdout::is_read() {
            if self.stop.is_cancelled() || stdout::is_closed() {
                return false;
            }
            if extended.elapsed() >= EXTEND_INTERVAL {
                for message in left {
                    let _ = self.notifier.set_visibility(&message.receipt, VISIBILITY).await;
                }
                extended = Instant::now();
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
        true
    }

    async fn delete(&mut self, message: Message) -> Result<(), Failure> {
        let receipts = [message.receipt];
        loop {
            let deleted = self.notifier.delete(&receipts).await;
            let deleted = deleted.and_then(|each| each.into_iter().collect::<Result<(), QueueError>>());
            match deleted {
                Ok(()) => break,
                Err(error) if error.is_retryable() => self.outage.wait(&error).await?,
                Err(error) => return Err(Failure::because(exit::UNAVAILABLE, &error)),
            }
        }
        self.outage.end();
        Ok(())
    }
}
