//! The workers of a run: a number of permanent slots, and workers for single injections.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use rustix::process::Signal;
use tokio::process::Command;

use super::environment::{Addresses, Files};
use super::metrics;
use super::processes;
use super::worker::{Ended, Start, Worker};
use crate::injection::Dependency;
use crate::servers::Servers;
use crate::servers::network::{Links, Network};

/// Pause before a permanent worker is replaced.
const PAUSE: Duration = Duration::from_millis(300);

/// The programs of a run.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) current: PathBuf,
    /// An earlier build; the current one without an earlier build.
    pub(crate) previous: PathBuf,
}

/// The workers.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) files: Files,
    pub(crate) servers: Arc<Servers>,
    pub(crate) network: Arc<Network>,
    programs: Programs,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    workers: Vec<Worker>,
    ended: Vec<Ended>,
    /// Number of permanent workers.
    wanted: usize,
    started: u64,
}

/// Prefix of the names of permanent workers.
const PERMANENT: &str = "slot-";

impl Fleet {
    pub(crate) fn new(
        files: Files,
        servers: Arc<Servers>,
        network: Arc<Network>,
        programs: Programs,
    ) -> Self {
        Self {
            files,
            servers,
            network,
            programs,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn addresses(links: &Links) -> Addresses {
        let http = |dependency| format!("http://{}", links.to(dependency).address);
        Addresses {
            database: format!(
                "postgres://postgres@{}/postgres",
                links.to(Dependency::Database).address
            ),
            store: http(Dependency::Store),
            queue: http(Dependency::Queue),
        }
    }

    /// Starts a worker; returns its name.
    pub(crate) async fn start(&self, name: &str, start: Start) -> anyhow::Result<String> {
        let links = self.network.links().await?;
        let mut environment = self.files.environment(&Self::addresses(&links));
        environment.extend(start.environment);
        let mut state = self.state();
        state.started += 1;
        let name = format!("{name}-{}", state.started);
        let log = self.files.logs().join(&name);
        let program = match start.previous {
            true => &self.programs.previous,
            false => &self.programs.current,
        };
        state
            .workers
            .push(Worker::start(name.clone(), program, environment, links, log)?);
        Ok(name)
    }

    /// Runs a command of an operator, with direct connections; returns its output.
    pub(crate) async fn command(&self, args: &[&str]) -> anyhow::Result<String> {
        let addresses = Addresses {
            database: self.servers.postgres.direct_url(),
            store: self.servers.cloud.s3_address.clone(),
            queue: self.servers.cloud.sqs_address.clone(),
        };
        let command = Command::new(&self.programs.current)
            .args(args)
            .env_clear()
            .envs(self.files.environment(&addresses))
            .env("VF_LOG_FORMAT", "text")
            .stdin(std::process::Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(Duration::from_secs(60), command)
            .await
            .with_context(|| format!("no result: {args:?}"))??;
        anyhow::ensure!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Sets the number of permanent workers.
    pub(crate) fn scale(&self, wanted: usize) {
        self.state().wanted = wanted;
    }

    pub(crate) fn wanted(&self) -> usize {
        self.state().wanted
    }

    /// Applies `apply` to a worker, if it still runs.
    pub(crate) fn with<T>(&self, name: &str, apply: impl FnOnce(&mut Worker) -> T) -> Option<T> {
        let mut state = self.state();
        state
            .workers
            .iter_mut()
            .find(|worker| worker.name == name)
            .map(apply)
    }

    /// Sends a signal that ends a worker.
    pub(crate) fn end(&self, name: &str, signal: Signal) {
        self.with(name, |worker| {
            worker.doomed = true;
            worker.signal(signal);
        });
    }

    /// Chooses a permanent worker, except the first, which lives as long as the run.
    pub(crate) fn victim(&self, pick: u32) -> Option<String> {
        self.choose(pick, |number| number > 0)
    }

    /// Chooses any permanent worker.
    pub(crate) fn any(&self, pick: u32) -> Option<String> {
        self.choose(pick, |_| true)
    }

    fn choose(&self, pick: u32, is_candidate: impl Fn(usize) -> bool) -> Option<String> {
        let state = self.state();
        let candidates: Vec<_> = state
            .workers
            .iter()
            .filter(|worker| slot(&worker.name).is_some_and(&is_candidate) && !worker.doomed)
            .collect();
        let index = (pick as usize).checked_rem(candidates.len())?;
        Some(candidates[index].name.clone())
    }

    /// Returns how a worker ended, if it has.
    pub(crate) fn status(&self, name: &str) -> Option<std::process::ExitStatus> {
        self.reap();
        let state = self.state();
        state
            .ended
            .iter()
            .find(|ended| ended.name == name)
            .map(|ended| ended.status)
    }

    /// Moves ended workers to the list of ended workers.
    fn reap(&self) {
        let state = &mut *self.state();
        let mut index = 0;
        while index < state.workers.len() {
            let Some(status) = state.workers[index].ended() else {
                index += 1;
                continue;
            };
            let worker = state.workers.swap_remove(index);
            state.ended.push(Ended {
                name: worker.name,
                status,
                doomed: worker.doomed,
                log: worker.log,
                metrics: worker.metrics,
                samples: worker.samples,
            });
        }
    }

    /// Replaces permanent workers that have ended, and ends those above the wanted number, until it is dropped.
    pub(crate) async fn supervise(&self) {
        loop {
            self.reap();
            let (wanted, slots) = {
                let state = self.state();
                let slots: Vec<_> = state
                    .workers
                    .iter()
                    .filter_map(|worker| slot(&worker.name))
                    .collect();
                (state.wanted, slots)
            };
            for number in (0..wanted).filter(|number| !slots.contains(number)) {
                let start = Start {
                    // Mixed versions.
                    previous: number % 2 == 1,
                    ..Start::default()
                };
                if let Err(error) = self.start(&format!("{PERMANENT}{number}"), start).await {
                    eprintln!("failed to start a worker: {error:#}");
                }
            }
            self.shrink(wanted);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Terminates permanent workers above the wanted number.
    fn shrink(&self, wanted: usize) {
        for worker in &mut self.state().workers {
            if slot(&worker.name).is_some_and(|number| number >= wanted) && !worker.doomed {
                worker.doomed = true;
                worker.signal(Signal::TERM);
            }
        }
    }

    /// Scrapes the metrics and samples the resources of all workers, until it is dropped.
    pub(crate) async fn observe(&self, seen: impl Fn(&metrics::Metrics)) {
        loop {
            for (name, address) in self.targets() {
                let Ok(scraped) = metrics::scrape(address).await else {
                    continue;
                };
                seen(&scraped);
                self.with(&name, |worker| {
                    worker.metrics = scraped;
                    worker.sample();
                });
            }
            self.network.forget();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Returns the names of running workers with the addresses of their metrics.
    pub(crate) fn targets(&self) -> Vec<(String, SocketAddr)> {
        let state = self.state();
        let workers = state.workers.iter();
        workers
            .map(|worker| (worker.name.clone(), worker.operations))
            .collect()
    }

    /// Returns the names of running permanent workers.
    pub(crate) fn permanent(&self) -> Vec<String> {
        let names = self.names().into_iter();
        names.filter(|name| slot(name).is_some()).collect()
    }

    /// Returns the names of running workers.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state()
            .workers
            .iter()
            .map(|worker| worker.name.clone())
            .collect()
    }

    /// Terminates all workers, and returns how they ended.
    pub(crate) async fn terminate(&self) -> anyhow::Result<Vec<(String, ExitStatus)>> {
        self.scale(0);
        let names = self.names();
        for name in &names {
            self.with(name, |worker| {
                worker.doomed = true;
                worker.signal(Signal::CONT);
                if !worker.is_terminated {
                    worker.signal(Signal::TERM);
                }
            });
        }
        crate::wait::until("all workers end", async || {
            self.reap();
            Ok(self.state().workers.is_empty())
        })
        .await?;
        let ended = names.into_iter().filter_map(|name| {
            let status = self.status(&name)?;
            Some((name, status))
        });
        Ok(ended.collect())
    }

    /// Kills all workers and decoders.
    pub(crate) fn kill(&self) {
        self.scale(0);
        for name in self.names() {
            self.end(&name, Signal::KILL);
        }
        processes::kill_all(&self.files.root);
    }

    /// Returns the last metrics of all workers, running or ended.
    pub(crate) fn metrics(&self) -> Vec<metrics::Metrics> {
        self.reap();
        let state = self.state();
        let running = state.workers.iter().map(|worker| &worker.metrics);
        let ended = state.ended.iter().map(|ended| &ended.metrics);
        running.chain(ended).cloned().collect()
    }

    /// Returns the log of a worker.
    pub(crate) fn log(&self, worker: &str) -> String {
        std::fs::read_to_string(self.files.logs().join(worker)).unwrap_or_default()
    }

    /// Returns the ended workers.
    pub(crate) fn take_ended(&self) -> Vec<Ended> {
        self.reap();
        std::mem::take(&mut self.state().ended)
    }
}

/// Returns the number of a permanent worker.
fn slot(name: &str) -> Option<usize> {
    let (number, _) = name.strip_prefix(PERMANENT)?.split_once('-')?;
    number.parse().ok()
}
