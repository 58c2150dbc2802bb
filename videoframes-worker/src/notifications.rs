//! `vf-worker notifications`: what clients were told.

use std::process::ExitCode;
use std::time::Duration;

use crate::args::NotificationsArgs;
use crate::config::Config;
use crate::exit::{self, Failure};
use crate::jobs::print;
use crate::parts::{open, open_existing};

/// Notifications that are read together.
const PAGE: u32 = 500;

/// Prints them in the order in which they were sent, and takes none away.
pub(crate) async fn run(config: &Config, args: &NotificationsArgs) -> Result<ExitCode, Failure> {
    // Whoever waits for what is to come waits for it from the start.
    let place = match args.follow {
        true => Some(open(config).await?),
        false => open_existing(config).await?,
    };
    let Some(place) = place else {
        return Ok(ExitCode::SUCCESS);
    };
    let mut after = None;
    loop {
        let page = place.notifier.browse(after, PAGE).await;
        let page = page.map_err(|e| Failure::because(exit::UNAVAILABLE, &e))?;
        if page.is_empty() {
            if !args.follow {
                return Ok(ExitCode::SUCCESS);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        for message in page {
            print(&format!("{}\n", message.body))?;
            after = Some(message.arrival);
        }
    }
}
