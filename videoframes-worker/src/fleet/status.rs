//! The output of `vf-worker fleet status`. Pure.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use videoframes_core::clock::UnixMillis;
use videoframes_core::fleet::{EndedAttempts, Fleet, FleetWorker, Revision, WorkerState};

use super::tally::Tally;

/// The fleet as printed.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    active: Option<String>,
    previous: Option<String>,
    activated_at: Option<UnixMillis>,
    canary: Option<PrintedCanary>,
    revisions: Vec<PrintedRevision>,
    workers: Vec<PrintedWorker>,
}

#[derive(Debug, Serialize)]
struct PrintedCanary {
    revision: String,
    share_percent: u8,
    until: UnixMillis,
}

#[derive(Debug, Serialize)]
struct PrintedRevision {
    /// Name; `None` for workers without a revision.
    revision: Option<String>,
    /// Role; workers without a revision are active.
    role: &'static str,
    #[serde(flatten)]
    tally: Tally,
}

#[derive(Debug, Serialize)]
struct PrintedWorker {
    worker: String,
    revision: Option<String>,
    version: String,
    state: WorkerState,
    started_at: UnixMillis,
    last_report_seconds: f64,
    #[serde(flatten)]
    ended: EndedAttempts,
}

impl Status {
    /// Lists the fleet. Workers count as lost after `timeout` without a report.
    pub(super) fn new(fleet: &Fleet, workers: &[FleetWorker], timeout: Duration) -> Self {
        let name = |revision: &Option<Revision>| revision.as_ref().map(ToString::to_string);
        let canary = fleet.canary.as_ref().filter(|canary| canary.until > fleet.now);
        let of_workers = workers.iter().map(|worker| worker.report.revision.as_ref());
        let of_fleet = [fleet.active.as_ref(), canary.map(|canary| &canary.revision)];
        let of_fleet = of_fleet.into_iter().flatten().map(Some);
        let revisions: BTreeSet<Option<&Revision>> = of_workers.chain(of_fleet).collect();
        let revisions = revisions.into_iter().map(|revision| PrintedRevision {
            revision: revision.map(ToString::to_string),
            role: revision.map_or("active", |revision| fleet.role(revision).as_str()),
            tally: Tally::of(workers, timeout, |found| found == revision),
        });
        Self {
            active: name(&fleet.active),
            previous: name(&fleet.previous),
            activated_at: fleet.activated_at,
            canary: canary.map(|canary| PrintedCanary {
                revision: canary.revision.to_string(),
                share_percent: canary.share.percent(),
                until: canary.until,
            }),
            revisions: revisions.collect(),
            workers: workers
                .iter()
                .map(|worker| PrintedWorker {
                    worker: worker.report.worker.clone(),
                    revision: name(&worker.report.revision),
                    version: worker.report.version.clone(),
                    state: worker.report.state,
                    started_at: worker.started_at,
                    last_report_seconds: worker.age.as_secs_f64(),
                    ended: worker.report.ended,
                })
                .collect(),
        }
    }

    pub(super) fn text(&self) -> String {
        let or_none = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
        let since = |time: Option<UnixMillis>| time.map(|time| format!(" since {time}")).unwrap_or_default();
        let canary = self.canary.as_ref().map(|canary| {
            let PrintedCanary {
                revision,
                share_percent,
                until,
            } = canary;
            format!("{revision}, {share_percent}% until {until}")
        });
        let mut text = String::new();
        for (name, value) in [
            ("active", or_none(&self.active) + &since(self.activated_at)),
            ("previous", or_none(&self.previous)),
            ("canary", or_none(&canary)),
        ] {
            text += &format!("{name:<9} {value}\n");
        }
        if self.revisions.is_empty() {
            return text + "no worker reported within a day\n";
        }
        let names = self.revisions.iter().map(|found| or_none(&found.revision));
        let width = names.map(|name| name.len()).max().unwrap_or(0).max(8);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "\n{:<width$} {:<7} {:>5} {:>9} {:>5} {:>9} {:>7} {:>6}",
            "revision", "role", "ready", "not ready", "lost", "completed", "failed", "faults"
        );
        for found in &self.revisions {
            let Tally {
                ready,
                not_ready,
                lost,
                ended,
            } = found.tally;
            let _ = writeln!(
                text,
                "{:<width$} {:<7} {ready:>5} {not_ready:>9} {lost:>5} {:>9} {:>7} {:>6}",
                or_none(&found.revision),
                found.role,
                ended.completed,
                ended.failed,
                ended.faults
            );
        }
        text
    }
}
