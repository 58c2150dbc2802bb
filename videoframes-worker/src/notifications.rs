//! `vf-worker notifications`: what clients were told.

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
use crate::jobs::unavailable;
use crate::outage::Outage;
use crate::parts::{Place, open, open_existing};
use crate::queues::Messages;
use crate::stdout;

/// Notifications that are read together.
const PAGE: u32 = 500;
/// How long a received message stays hidden unless that is extended.
const HIDDEN: Duration = Duration::from_secs(30);
/// How often it is extended while the reader is slow.
const EXTEND: Duration = Duration::from_secs(10);

/// Prints them. A queue in the database keeps them, in the order in which they were sent; one of SQS shows
/// nothing that it does not hide from others, so that there they are only taken on demand.
pub(crate) async fn run(config: &Config, args: &NotificationsArgs) -> Result<ExitCode, Failure> {
    // Whoever waits for what is to come waits for it from the start.
    let place = match args.follow {
        true => Some(open(config).await?),
        false => open_existing(config).await?,
    };
    let Some(place) = place else {
        return Ok(ExitCode::SUCCESS);
    };
    if args.refused {
        return refused(&place, args.resend).await;
    }
    let notifier = place.queues(config).await?.notifier;
    let outage = Outage::new(config.outage);
    match &notifier {
        _ if args.take => {
            let queue = notifier.queue();
            let stop = cancelled_by_signals(Duration::ZERO).map_err(|e| Failure::internal(&e))?;
            Taker {
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

/// Prints those that a queue refused for good, or has them sent again.
async fn refused(place: &Place, resend: bool) -> Result<ExitCode, Failure> {
    if resend {
        let count = place.repo.resend_refused().await.map_err(|e| unavailable(&e))?;
        eprintln!("requested to send {count} messages again");
        return Ok(ExitCode::SUCCESS);
    }
    for refused in place.repo.refused(PAGE).await.map_err(|e| unavailable(&e))? {
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

/// Prints all that lie in a queue, and leaves them there.
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
        outage.is_over();
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

/// Receives notifications as a client does, and deletes each once it was read.
struct Taker<'a> {
    notifier: &'a dyn Queue,
    stop: CancellationToken,
    outage: Outage,
}

impl Taker<'_> {
    async fn run(mut self, follow: bool) -> Result<ExitCode, Failure> {
        let wait = Duration::from_secs(if follow { 5 } else { 1 });
        while !self.stop.is_cancelled() && !stdout::is_closed() {
            let received = match self.notifier.receive(10, HIDDEN, wait).await {
                Ok(received) => received,
                Err(error) if follow && error.is_retryable() => {
                    self.outage.wait(&error).await?;
                    continue;
                }
                Err(error) => return Err(Failure::because(exit::UNAVAILABLE, &error)),
            };
            self.outage.is_over();
            if received.is_empty() && !follow {
                break;
            }
            let mut left = VecDeque::from(received);
            let printed = self.print(&mut left).await;
            // What was not read is for others at once; where that fails it is after a while.
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

    /// Prints messages one by one, and deletes each before the next is printed. Leaves those that nobody read.
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

    /// Waits until the reader has read what was printed; `false` where nobody will.
    async fn is_read(&self, left: &VecDeque<Message>) -> bool {
        let mut pause = Duration::from_millis(1);
        let mut extended = Instant::now();
        while !stdout::is_read() {
            if self.stop.is_cancelled() || stdout::is_closed() {
                return false;
            }
            if extended.elapsed() >= EXTEND {
                for message in left {
                    let _ = self.notifier.set_visibility(&message.receipt, HIDDEN).await;
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
        self.outage.is_over();
        Ok(())
    }
}
