//! Signals to workers and decoders, and workers with fault points.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{Outcome, PAST_LEASE, Performer};
use crate::injection::Action;
use crate::load::plan::Kind;
use crate::wait::{until, within};
use crate::workers::processes;
use crate::workers::worker::Start;

/// Maximum time until a worker reaches a fault point.
const REACHED: Duration = Duration::from_secs(30);
/// Maximum time until a decoder runs.
const DECODING: Duration = Duration::from_secs(8);
/// Exit code after a second signal.
const INTERRUPTED: i32 = 130;

impl Performer {
    pub(super) fn kill(&self, pick: u32) -> Outcome {
        let worker = self.fleet.victim(pick).context("no worker to kill")?;
        self.fleet.end(&worker, Signal::KILL);
        self.evidence.add("worker killed at any time", 1);
        Ok(worker)
    }

    pub(super) async fn freeze(&self, pick: u32) -> Outcome {
        let worker = self.fleet.any(pick).context("no worker to freeze")?;
        self.fleet.with(&worker, |worker| worker.signal(Signal::STOP));
        tokio::time::sleep(PAST_LEASE).await;
        self.fleet.with(&worker, |worker| worker.signal(Signal::CONT));
        self.evidence.add("worker frozen", 1);
        Ok(worker)
    }

    /// Waits for the end of a worker that received SIGTERM.
    async fn ended(&self, worker: &str) -> anyhow::Result<ExitStatus> {
        until("a terminated worker ends", async || {
            Ok(self.fleet.status(worker).is_some())
        })
        .await?;
        self.fleet.status(worker).context("the worker runs")
    }

    pub(super) async fn terminate(&self, pick: u32) -> Outcome {
        let worker = self.fleet.victim(pick).context("no worker to terminate")?;
        self.fleet.end(&worker, Signal::TERM);
        let status = self.ended(&worker).await?;
        match status.success() {
            true => self.evidence.add("worker terminated", 1),
            // Another injection may have killed the worker meanwhile.
            false if status.signal() == Some(Signal::KILL.as_raw()) => {}
            false => self.violation(&worker, format!("ended with {status} after SIGTERM")),
        }
        Ok(format!("{worker}: {status}"))
    }

    pub(super) async fn terminate_twice(&self, pick: u32) -> Outcome {
        let worker = self.fleet.victim(pick).context("no worker to terminate")?;
        self.fleet.end(&worker, Signal::TERM);
        tokio::time::sleep(Duration::from_millis(250)).await;
        self.fleet.end(&worker, Signal::TERM);
        let status = self.ended(&worker).await?;
        match status.code() {
            // An idle worker has ended before the second signal.
            Some(0) => self.evidence.add("worker terminated", 1),
            Some(INTERRUPTED) => self.evidence.add("worker terminated twice", 1),
            _ => self.violation(&worker, format!("ended with {status} after two SIGTERM")),
        }
        Ok(format!("{worker}: {status}"))
    }

    pub(super) async fn signal_decoder(&self, pick: u32, how: &str) -> Outcome {
        let signal = match how {
            "killed" => Signal::KILL,
            "crashed" => Signal::SEGV,
            _ => Signal::STOP,
        };
        let since = Instant::now();
        while since.elapsed() < DECODING {
            let decoders = processes::decoding(&self.fleet.files.root);
            let index = (pick as usize).checked_rem(decoders.len());
            let chosen = index.and_then(|index| Pid::from_raw(decoders[index]));
            if let Some(decoder) = chosen
                && kill_process(decoder, signal).is_ok()
            {
                self.evidence.add(format!("decoder {how}"), 1);
                return Ok(format!("process {decoder}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("no decoder ran")
    }

    /// Starts an additional worker with a fault at a point.
    pub(super) async fn point(&self, point: &str, action: Action) -> Outcome {
        let start = Start::default()
            .with("VF_FAULT", format!("{point}={}", action.name()))
            // More slots than the other workers, so that the point is reached soon.
            .with("VF_CONCURRENCY", "4");
        if ["compressed", "beside"].contains(&point) {
            // Few jobs of the plan have renditions.
            self.client.submit_also(Kind::Rendition, 4).await?;
        }
        let since = Instant::now();
        let worker = loop {
            let worker = self
                .fleet
                .start(&format!("{point}-{}", action.name()), start.clone())
                .await?;
            self.fleet.with(&worker, |worker| worker.doomed = true);
            // A worker that cannot connect at its start ends.
            let has_begun =
                async || Ok(self.is_reached(&worker, action) || self.fleet.status(&worker).is_some());
            let limit = REACHED.saturating_sub(since.elapsed());
            let begun = within(limit, "the fault point", has_begun).await;
            if self.is_reached(&worker, action) {
                break worker;
            }
            if begun.is_err() || since.elapsed() > REACHED {
                self.fleet.end(&worker, Signal::TERM);
                return Ok("not reached".to_owned());
            }
        };
        match action {
            Action::Kill => {
                self.evidence.add("worker killed at a fault point", 1);
                self.evidence.add(format!("worker killed at {point}"), 1);
                if point == "relaysent" {
                    self.evidence.add("relay killed after sending", 1);
                }
            }
            Action::Stop => {
                tokio::time::sleep(PAST_LEASE).await;
                self.fleet.with(&worker, |worker| worker.signal(Signal::CONT));
                self.evidence.add(format!("worker frozen at {point}"), 1);
                tokio::time::sleep(Duration::from_secs(3)).await;
                self.fleet.end(&worker, Signal::TERM);
            }
            Action::Terminate => {
                let status = self.fleet.status(&worker).context("the worker runs")?;
                match status.success() {
                    true => self.evidence.add("worker terminated at a fault point", 1),
                    false => self.violation(&worker, format!("ended with {status} after SIGTERM")),
                }
            }
            Action::Panic => {
                self.evidence.add("worker panicked", 1);
                tokio::time::sleep(Duration::from_secs(3)).await;
                self.fleet.end(&worker, Signal::TERM);
            }
        }
        Ok("reached".to_owned())
    }

    /// Returns whether the action of a fault point has had its effect.
    fn is_reached(&self, worker: &str, action: Action) -> bool {
        let status = self.fleet.status(worker);
        let log = || {
            let log = self.fleet.files.logs().join(worker);
            std::fs::read_to_string(log).unwrap_or_default()
        };
        match action {
            Action::Kill => status.is_some_and(|status| status.signal() == Some(Signal::KILL.as_raw())),
            Action::Terminate => status.is_some() && log().contains("injecting a fault"),
            Action::Stop => {
                let process = self.fleet.with(worker, |worker| worker.process);
                process.is_some_and(processes::is_stopped)
            }
            Action::Panic => log().contains("thread panicked"),
        }
    }
}
