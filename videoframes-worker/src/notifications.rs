//! `vf-worker notifications`: what clients were told.

use std::process::ExitCode;
use std::time::Duration;

use videoframes_console::{Failure, exit};
use videoframes_core::queue::Queue;
use videoframes_core::text::printable_json;

use crate::args::NotificationsArgs;
use crate::config::Config;
use crate::jobs::print;
use crate::parts::{open, open_existing};
use crate::queues::Messages;

/// Notifications that are read together.
const PAGE: u32 = 500;

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
    let notifier = place.queues(config).await?.notifier;
    let Messages::Database(notifier) = &notifier else {
        return take(notifier.queue().as_ref(), args).await;
    };
    let mut after = None;
    loop {
        let page = notifier.browse(after, PAGE).await;
        let page = page.map_err(|e| Failure::because(exit::UNAVAILABLE, &e))?;
        if page.is_empty() {
            if !args.follow {
                return Ok(ExitCode::SUCCESS);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        for message in page {
            print(&format!("{}\n", printable_json(&message.body)))?;
            after = Some(message.arrival);
        }
    }
}

/// Receives them as a client does, and deletes each when it is printed.
async fn take(notifier: &dyn Queue, args: &NotificationsArgs) -> Result<ExitCode, Failure> {
    /// How long a message that could not be printed stays hidden.
    const HIDDEN: Duration = Duration::from_secs(30);
    if !args.take {
        return Err(Failure::new(
            exit::USAGE,
            "notifications in SQS are for whoever receives them, and cannot be looked at only",
        )
        .hint("--take receives and deletes them"));
    }
    let wait = Duration::from_secs(if args.follow { 20 } else { 1 });
    loop {
        let messages = notifier.receive(10, HIDDEN, wait).await;
        let messages = messages.map_err(|e| Failure::because(exit::UNAVAILABLE, &e))?;
        if messages.is_empty() && !args.follow {
            return Ok(ExitCode::SUCCESS);
        }
        for message in messages {
            print(&format!("{}\n", printable_json(&message.body)))?;
            let deleted = notifier.delete(&[message.receipt]).await;
            if let Err(error) = deleted.and_then(|each| each.into_iter().collect::<Result<(), _>>()) {
                return Err(Failure::because(exit::UNAVAILABLE, &error));
            }
        }
    }
}
