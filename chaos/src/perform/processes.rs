//! Signals to workers and decoders, and workers with fault points.

use std::cell::{Cell, RefCell};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use super::{Outcome, PAST_LEASE, Performer};
use crate::injection::Action;
use crate::journal::Effect;
use crate::load::plan::Kind;
use crate::wait::{until, within};
use crate::workers::processes;
use crate::workers::worker::{Start, UNAVAILABLE};

/// Maximum time until a worker reaches a fault point.
const REACHED: Duration = Duration::from_secs(30);
/// Maximum time until a decoder runs.
const DECODING: Duration = Duration::from_secs(15);
/// Maximum time until a worker kills a decoder that hangs.
const STALLED: Duration = Duration::from_secs(25);
/// Maximum time of a freeze.
const FROZEN: Duration = Duration::from_secs(20);
/// Maximum time until a worker works again.
const RECOVERED: Duration = Duration::from_secs(10);
/// Maximum time until a worker reacts to SIGTERM.
const DRAINING: Duration = Duration::from_secs(2);
/// Exit code after a second signal.
const INTERRUPTED: i32 = 130;

impl Performer {
    pub(super) fn kill(&self, pick: u32) -> Outcome {
        let worker = self.fleet.victim(pick).context("no worker to kill")?;
        self.fleet.end(&worker, Signal::KILL);
        self.evidence.add("worker killed at any time", 1);
        Ok(Effect::Hit(worker))
    }

    pub(super) async fn freeze(&self, pick: u32) -> Outcome {
        let worker = self.busy(pick, false).await?;
        self.fleet.with(&worker, |worker| worker.signal(Signal::STOP));
        let is_taken = self.thaw(&worker).await?;
        Ok(Effect::of(is_taken, worker))
    }

    /// Continues a frozen worker after another worker has claimed one of its jobs. Returns whether one has.
    async fn thaw(&self, worker: &str) -> anyhow::Result<bool> {
        let jobs = self.claimed_by(worker).await.unwrap_or_default();
        let is_taken = match jobs.is_empty() {
            // Nobody claims the job, but its message is received again.
            true => {
                tokio::time::sleep(PAST_LEASE).await;
                false
            }
            false => self.taken(&jobs, FROZEN).await,
        };
        self.fleet.with(worker, |worker| worker.signal(Signal::CONT));
        self.evidence
            .add("worker frozen past its lease", u64::from(is_taken));
        Ok(is_taken)
    }

    /// Waits until a worker works again, or has ended.
    async fn recovered(&self, worker: &str) {
        let is_over = async || Ok(self.fleet.status(worker).is_some() || self.is_ready(worker).await);
        // During an outage no worker is ready.
        let _ = within(RECOVERED, "the worker is ready", is_over).await;
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
            // Another injection may have killed the worker meanwhile, or cut it off during its start.
            false if is_explained(status) => {}
            // A worker that has just been started handles no signal yet, and has no job.
            false if status.signal() == Some(Signal::TERM.as_raw()) && self.fleet.log(&worker).is_empty() => {
            }
            false => self.violation(&worker, format!("ended with {status} after SIGTERM")),
        }
        Ok(Effect::of(status.success(), format!("{worker}: {status}")))
    }

    pub(super) async fn terminate_twice(&self, pick: u32) -> Outcome {
        let worker = self.busy(pick, true).await?;
        self.fleet.end(&worker, Signal::TERM);
        // Two pending signals of the same kind are one.
        let is_draining = async || Ok(!self.is_ready(&worker).await);
        let _ = within(DRAINING, "the worker drains", is_draining).await;
        self.fleet.end(&worker, Signal::TERM);
        let status = self.ended(&worker).await?;
        match status.code() {
            // An idle worker has ended before the second signal.
            Some(0) => self.evidence.add("worker terminated", 1),
            Some(INTERRUPTED) => self.evidence.add("worker terminated twice", 1),
            _ if is_explained(status) => {}
            _ => self.violation(&worker, format!("ended with {status} after two SIGTERM")),
        }
        let is_interrupted = status.code() == Some(INTERRUPTED);
        Ok(Effect::of(is_interrupted, format!("{worker}: {status}")))
    }

    /// Sends a signal to a decoder.
    async fn signal_decoder(&self, pick: u32, signal: Signal) -> anyhow::Result<i32> {
        let chosen = Cell::new(None);
        let is_sent = async || {
            let decoders = processes::decoding(&self.fleet.files.root);
            let index = (pick as usize).checked_rem(decoders.len());
            let Some(decoder) = index.map(|index| decoders[index]) else {
                return false;
            };
            let is_sent = Pid::from_raw(decoder).is_some_and(|decoder| kill_process(decoder, signal).is_ok());
            chosen.set(is_sent.then_some(decoder));
            is_sent
        };
        self.provoke(Kind::Long, 2, DECODING, is_sent).await;
        chosen.get().context("no decoder ran")
    }

    pub(super) async fn end_decoder(&self, pick: u32, signal: Signal, how: &str) -> Outcome {
        let decoder = self.signal_decoder(pick, signal).await?;
        self.evidence.add(format!("decoder {how}"), 1);
        Ok(Effect::Hit(format!("process {decoder}")))
    }

    /// Freezes a decoder until its worker kills it.
    pub(super) async fn freeze_decoder(&self, pick: u32) -> Outcome {
        let decoder = self.signal_decoder(pick, Signal::STOP).await?;
        let worker = processes::parent(decoder).context("the decoder has ended")?;
        let has_ended = async || Ok(processes::parent(decoder).is_none());
        let ended = within(STALLED, "a worker kills a decoder that hangs", has_ended).await;
        // Otherwise the decoder has ended with its worker.
        let survived = processes::parent(worker).is_some();
        Ok(Effect::of(
            ended.is_ok() && survived,
            format!("process {decoder}"),
        ))
    }

    /// Starts an additional worker with a fault at a point.
    pub(super) async fn point(&self, point: &str, action: Action) -> Outcome {
        let start = Start::default()
            .with("VF_FAULT", format!("{point}={}", action.name()))
            // More slots than the other workers, so that the point is reached soon.
            .with("VF_CONCURRENCY", "4");
        let name = format!("{point}-{}", action.name());
        let current = RefCell::new(self.started(&name, start.clone()).await?);
        // A worker that ends before the point is replaced: another injection has met it.
        let is_reached = async || {
            let worker = current.borrow().clone();
            let is_reached = self.is_reached(&worker, action);
            if !is_reached
                && self.fleet.status(&worker).is_some()
                && let Ok(next) = self.started(&name, start.clone()).await
            {
                current.replace(next);
            }
            is_reached
        };
        let kind = match point {
            "compressed" | "beside" => Kind::Rendition,
            _ => Kind::Message,
        };
        let is_reached = self.provoke(kind, 4, REACHED, is_reached).await;
        let worker = current.into_inner();
        match is_reached {
            true => self.after_point(&worker, point, action).await?,
            false => self.fleet.end(&worker, Signal::TERM),
        }
        Ok(Effect::of(is_reached, worker))
    }

    async fn after_point(&self, worker: &str, point: &str, action: Action) -> anyhow::Result<()> {
        match action {
            Action::Kill => {
                self.evidence.add("worker killed at a fault point", 1);
                self.evidence.add(format!("worker killed at {point}"), 1);
                if point == "relaysent" {
                    self.evidence.add("relay killed after sending", 1);
                }
            }
            Action::Stop => {
                self.thaw(worker).await?;
                self.evidence.add(format!("worker frozen at {point}"), 1);
                self.recovered(worker).await;
                self.fleet.end(worker, Signal::TERM);
            }
            Action::Terminate => {
                let status = self.fleet.status(worker).context("the worker runs")?;
                match status.success() {
                    true => self.evidence.add("worker terminated at a fault point", 1),
                    false => self.violation(worker, format!("ended with {status} after SIGTERM")),
                }
            }
            Action::Panic => {
                self.evidence.add("worker panicked", 1);
                self.recovered(worker).await;
                self.fleet.end(worker, Signal::TERM);
            }
        }
        Ok(())
    }

    /// Returns whether the action of a fault point has had its effect.
    fn is_reached(&self, worker: &str, action: Action) -> bool {
        let status = self.fleet.status(worker);
        let log = || self.fleet.log(worker);
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

/// Returns whether an injection explains how a worker ended, whatever else has happened to the worker.
fn is_explained(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw()) || status.code() == Some(UNAVAILABLE)
}
