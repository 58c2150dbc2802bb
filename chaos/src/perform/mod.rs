//! Performs injections.

pub(crate) mod disk;
mod environment;
mod evidence;
mod network;
mod processes;
mod servers;
pub(crate) mod top_up;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::checker::observed::Violation;
use crate::evidence::Evidence;
use crate::injection::{Injection, Weight};
use crate::journal::{Effect, Journal};
use crate::load::client::Client;
use crate::schedule::Timed;
use crate::workers::fleet::Fleet;

/// Longer than a lease.
const PAST_LEASE: Duration = Duration::from_secs(7);

/// Performs the injections of a run.
#[derive(Debug)]
pub(crate) struct Performer {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) evidence: Arc<Evidence>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) client: Arc<Client>,
    pub(crate) violations: Mutex<Vec<Violation>>,
    heavy: tokio::sync::Mutex<()>,
}

/// The result of an injection.
type Outcome = anyhow::Result<Effect>;

impl Performer {
    pub(crate) fn new(
        fleet: Arc<Fleet>,
        evidence: Arc<Evidence>,
        journal: Arc<Journal>,
        client: Arc<Client>,
    ) -> Self {
        Self {
            fleet,
            evidence,
            journal,
            client,
            violations: Mutex::default(),
            heavy: tokio::sync::Mutex::default(),
        }
    }

    /// Performs a schedule; returns after the end of the last injection.
    pub(crate) async fn run(self: Arc<Self>, schedule: Vec<Timed>) {
        let since = Instant::now();
        let mut injections = JoinSet::new();
        for timed in schedule {
            tokio::time::sleep(timed.at.saturating_sub(since.elapsed())).await;
            let performer = Arc::clone(&self);
            injections.spawn_local(async move { performer.perform(timed.injection, timed.pick).await });
            while injections.try_join_next().is_some() {}
        }
        injections.join_all().await;
    }

    async fn perform(&self, injection: Injection, pick: u32) {
        let _alone = match injection.weight() {
            Weight::Heavy => Some(self.heavy.lock().await),
            Weight::Light => None,
        };
        let began = self.journal.elapsed();
        let effect = match self.inject(injection, pick).await {
            Ok(effect) => effect,
            Err(error) => Effect::Missed(format!("{error:#}")),
        };
        self.journal.record(injection, began, effect);
    }

    async fn inject(&self, injection: Injection, pick: u32) -> Outcome {
        match injection {
            Injection::Kill => self.kill(pick),
            Injection::Freeze => self.freeze(pick).await,
            Injection::Terminate => self.terminate(pick).await,
            Injection::TerminateTwice => self.terminate_twice(pick).await,
            Injection::KillDecoder => self.end_decoder(pick, Signal::KILL, "killed").await,
            Injection::CrashDecoder => self.end_decoder(pick, Signal::SEGV, "crashed").await,
            Injection::FreezeDecoder => self.freeze_decoder(pick).await,
            Injection::Point(point, action) => self.point(point, action).await,
            Injection::OneLink(dependency, condition) => self.one_link(dependency, condition, pick).await,
            Injection::AllLinks(dependency, condition) => self.all_links(dependency, condition).await,
            Injection::Http(fault) => self.http(fault).await,
            Injection::CrashDatabase => self.crash_database().await,
            Injection::FailOver => self.fail_over().await,
            Injection::FewConnections => self.few_connections().await,
            Injection::EmptyQueue => self.empty_queue().await,
            Injection::FullDisk => self.full_disk(pick).await,
            Injection::NoMemory => self.no_memory().await,
            Injection::ClockStep => self.step_clock().await,
            Injection::RotateCredentials => self.rotate_credentials().await,
            Injection::Shift => self.shift(pick).await,
            Injection::Scale => self.scale().await,
        }
    }

    fn violation(&self, subject: &str, text: String) {
        let text = format!("{text} (at {:.1} s)", self.journal.elapsed().as_secs_f64());
        let violation = Violation::new(subject, text);
        self.violations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(violation);
    }
}
