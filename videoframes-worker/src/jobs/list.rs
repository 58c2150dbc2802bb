//! `vf-worker jobs`: lists jobs.

use std::process::ExitCode;

use videoframes_console::{Delivery, Failure, to_json, warn};
use videoframes_core::clock::{Clock, SystemClock, UnixMillis};
use videoframes_core::jobs::{JobRepo, VideoJob};

use super::args::JobsArgs;
use super::failure::unavailable;
use super::table::Table;
use crate::config::Config;
use crate::connections::open_existing;
use crate::stdout::print;
use crate::terminal::columns;

/// Number of jobs per page.
const PAGE: u32 = 500;

/// Prints jobs page by page, so that memory does not grow with their number.
pub(crate) async fn list(config: &Config, args: &JobsArgs) -> Result<ExitCode, Failure> {
    let mut filter = args.filter.filter(&[])?;
    let mut list = List::new(args.json.json);
    let Some(connections) = open_existing(config).await? else {
        return print(&list.end());
    };
    // `None` is no limit.
    let mut left = (args.limit > 0).then_some(args.limit);
    let more = loop {
        // One additional job shows whether there are more. A page of a search may have few of the examined jobs.
        filter.limit = Some(match left {
            Some(left) if filter.text.is_none() => PAGE.min(left.saturating_add(1)),
            _ => PAGE,
        });
        let mut page = connections
            .repo
            .list(&filter)
            .await
            .map_err(|e| unavailable(&e))?;
        for job in &page.unreadable {
            warn(&format!("failed to read job {}: {}", job.id, job.reason));
        }
        let more = left.is_some_and(|left| page.jobs.len() > left as usize);
        page.jobs.truncate(left.map_or(usize::MAX, |left| left as usize));
        if videoframes_console::print(&list.page(&page.jobs)?)? == Delivery::Closed {
            return Ok(ExitCode::SUCCESS);
        }
        left = left.map(|left| left.saturating_sub(u32::try_from(page.jobs.len()).unwrap_or(u32::MAX)));
        match page.next {
            Some(next) if !more => filter.after = Some(next),
            _ => break more,
        }
    };
    print(&list.end())?;
    if more {
        eprintln!("there are more jobs: --limit 0 lists all");
    }
    Ok(ExitCode::SUCCESS)
}

/// A list printed page by page, as a table or a JSON array.
struct List {
    json: bool,
    is_started: bool,
    table: Table,
    now: UnixMillis,
}

impl List {
    fn new(json: bool) -> Self {
        Self {
            json,
            is_started: false,
            table: Table::new(columns(std::io::stdout())),
            now: SystemClock.now(),
        }
    }

    fn page(&mut self, jobs: &[VideoJob]) -> Result<String, Failure> {
        let mut text = String::new();
        if !self.json && !self.is_started {
            text += &self.table.heading();
            self.is_started = true;
        }
        for job in jobs {
            if self.json {
                text += if self.is_started { ",\n  " } else { "[\n  " };
                text += &to_json(job)?.trim_end().replace('\n', "\n  ");
                self.is_started = true;
            } else {
                text += &self.table.row(job, self.now);
            }
        }
        Ok(text)
    }

    fn end(&self) -> String {
        match (self.json, self.is_started) {
            (true, true) => "\n]\n".to_owned(),
            (true, false) => "[]\n".to_owned(),
            (false, true) => String::new(),
            (false, false) => self.table.heading(),
        }
    }
}
