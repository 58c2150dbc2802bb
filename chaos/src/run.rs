//! A run: servers and workers start, faults are injected under load, everything settles, and the checker decides.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::OnceCell;

use crate::args::{Args, Damage};
use crate::checker::alerts;
use crate::checker::collect::{self, Notifications};
use crate::checker::invariant::{orphans, violations};
use crate::checker::limits::Limits;
use crate::checker::observed::{Observed, Violation};
use crate::checker::watch::Watch;
use crate::damage;
use crate::evidence::{Counters, Evidence};
use crate::faults;
use crate::harvest::{self, Remains};
use crate::journal::Journal;
use crate::load::client::Client;
use crate::load::clips::Clips;
use crate::load::ledger::Ledger;
use crate::load::plan::plan;
use crate::perform::Performer;
use crate::perform::top_up::{absent, missed};
use crate::report::{Report, reclaim, recovery};
use crate::schedule::schedule;
use crate::servers::Servers;
use crate::servers::network::Network;
use crate::servers::prometheus::Prometheus;
use crate::wait::{until, within};
use crate::workers::environment::{Files, LIMIT};
use crate::workers::fleet::{Fleet, Programs};
use crate::workers::metrics::{Metrics, sum};
use crate::workers::processes;

/// Time of a run that is needed for the start, for the end of all jobs, and for the check.
const OVERHEAD: Duration = Duration::from_secs(85);
/// Maximum time until all jobs have ended after the last injection.
const SETTLED: Duration = Duration::from_secs(300);

/// Maximum number of repetitions of injections whose alerts did not fire.
const REPETITIONS: usize = 3;
/// Maximum time from an injection to its alert.
const FIRES: Duration = Duration::from_secs(10);

/// Everything of a run.
struct Run {
    fleet: Arc<Fleet>,
    evidence: Arc<Evidence>,
    journal: Arc<Journal>,
    ledger: Arc<Ledger>,
    notifications: Arc<Notifications>,
    watch: Arc<Watch>,
    limits: Arc<Limits>,
    /// `None` if Prometheus is not installed.
    prometheus: OnceCell<Option<Prometheus>>,
    duration: Duration,
}

/// Runs until the end, and returns the report.
pub(crate) async fn run(args: &Args, seed: u64, root: &Path, programs: Programs) -> anyhow::Result<Report> {
    let since = Instant::now();
    let limit = (args.damage != Some(Damage::Limit)).then_some(LIMIT);
    let files = Files {
        root: root.to_owned(),
    };
    files.write(limit)?;
    let clips = Clips::generate(root);
    let (servers, clips) = tokio::join!(Servers::start(root), clips);
    let (servers, clips) = (Arc::new(servers?), clips?);
    let network = Arc::new(Network::start(&servers).await);
    let fleet = Arc::new(Fleet::new(files, servers, network, programs));
    // The tables exist before the first worker starts, so that the checker can read them.
    fleet
        .command(&["migrate", "up"])
        .await
        .context("failed to create the tables")?;
    let run = Run {
        fleet: Arc::clone(&fleet),
        evidence: Arc::default(),
        journal: Arc::new(Journal::new()),
        ledger: Arc::default(),
        notifications: Arc::default(),
        watch: Arc::default(),
        // An earlier build may know no limits.
        limits: Arc::new(Limits::new(args.previous.is_none().then_some(LIMIT))),
        prometheus: OnceCell::new(),
        duration: args.duration(),
    };
    fleet.scale(args.workers);
    let supervised = tokio::select! {
        report = run.under_supervision(args, seed, clips, since) => report,
        () = run.supervise() => unreachable!("the supervision never ends"),
    };
    fleet.kill();
    supervised
}

impl Run {
    /// Keeps workers running, and observes them, rows and notifications.
    async fn supervise(&self) {
        let servers = &self.fleet.servers;
        tokio::join!(
            self.fleet.supervise(),
            self.fleet.observe(|metrics| self.seen(metrics)),
            self.watch.run(&servers.postgres),
            self.limits.run(&servers.postgres),
            self.notifications.run(&servers.cloud),
            self.scrape(),
        );
    }

    /// Starts Prometheus, and lets it scrape all workers.
    async fn scrape(&self) {
        let start = || Prometheus::start(&self.fleet.files.root, &self.fleet, self.duration);
        match self.prometheus.get_or_try_init(start).await {
            Ok(Some(prometheus)) => prometheus.run(&self.fleet).await,
            Ok(None) => {}
            Err(error) => eprintln!("failed to start Prometheus: {error:#}"),
        }
    }

    /// Returns the alerts that have fired, if Prometheus runs.
    async fn alerts(&self) -> anyhow::Result<Option<BTreeSet<String>>> {
        match self.prometheus.get() {
            Some(Some(prometheus)) => Ok(Some(prometheus.fired().await?)),
            Some(None) => Ok(None),
            None => bail!("Prometheus does not run"),
        }
    }

    /// Repeats the injections whose alerts have not fired.
    async fn repeat_unseen(&self, performer: &Arc<Performer>) {
        for _ in 0..REPETITIONS {
            // The last result, since a server may not respond yet.
            let unseen = RefCell::new(Vec::new());
            let have_fired = async || {
                let (fired, counters) = (self.alerts().await?, self.counters().await?);
                let found = fired.map_or_else(Vec::new, |fired| alerts::unseen(&fired, &counters));
                let is_empty = found.is_empty();
                unseen.replace(found);
                Ok(is_empty)
            };
            if within(FIRES, "alerts fire", have_fired).await.is_ok() {
                return;
            }
            performer.repeat(unseen.take()).await;
        }
    }

    /// Counts what only a scrape during the run shows.
    fn seen(&self, metrics: &Metrics) {
        let circuit = sum(metrics, "videoframes_circuit_state", &["dependency=\"database\""]);
        self.evidence
            .add("metric circuit_state database open", u64::from(circuit > 0.0));
    }

    async fn under_supervision(
        &self,
        args: &Args,
        seed: u64,
        clips: Clips,
        since: Instant,
    ) -> anyhow::Result<Report> {
        let duration = args
            .duration()
            .saturating_sub(OVERHEAD)
            .max(Duration::from_secs(60));
        eprintln!(
            "servers are ready after {:.0} s; injecting faults for {duration:?}",
            since.elapsed().as_secs_f64()
        );
        let (fleet, ledger) = (Arc::clone(&self.fleet), Arc::clone(&self.ledger));
        let client = Arc::new(Client {
            fleet,
            clips,
            ledger,
            additional: AtomicUsize::new(0),
        });
        let performer = Arc::new(Performer::new(
            Arc::clone(&self.fleet),
            Arc::clone(&self.evidence),
            Arc::clone(&self.journal),
            Arc::clone(&client),
        ));
        let damage = async {
            tokio::time::sleep(duration / 2).await;
            if let Some(damage) = args.damage {
                damage::during(&self.fleet.servers, damage).await?;
                eprintln!(
                    "damaged on purpose at {:.1} s: {damage:?}",
                    self.journal.elapsed().as_secs_f64()
                );
            }
            anyhow::Ok(())
        };
        let ((), (), damaged) = tokio::join!(
            client.run(plan(seed, duration)),
            Arc::clone(&performer).run(schedule(seed, duration)),
            damage
        );
        damaged?;
        eprintln!(
            "the schedule ended at {:.0} s; repeating what had no effect",
            since.elapsed().as_secs_f64()
        );
        performer.top_up(async || self.counters().await).await;
        self.repeat_unseen(&performer).await;
        eprintln!(
            "the last injection ended at {:.0} s; waiting for all jobs",
            since.elapsed().as_secs_f64()
        );
        self.fleet.network.heal().await;
        self.fleet.scale(args.workers);
        let mut found = self.settle().await?;
        // Without workers, another alert would fire.
        let alerts = self.alerts().await?;
        found.extend(self.end_workers().await?);
        found.extend(
            performer
                .violations
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .drain(..),
        );
        eprintln!(
            "all jobs have ended after {:.0} s; checking",
            since.elapsed().as_secs_f64()
        );
        if args.damage == Some(Damage::Upload) {
            damage::upload(&self.fleet.servers).await?;
        }
        let began = Began {
            seed,
            args,
            at: since,
        };
        self.check(found, alerts, &began).await
    }

    /// Waits until all jobs have ended and a sweep has removed what dead workers left. Returns what did not happen in time.
    async fn settle(&self) -> anyhow::Result<Vec<Violation>> {
        let servers = &self.fleet.servers;
        let mut found = Vec::new();
        let mut late = |waited: anyhow::Result<()>| {
            found.extend(
                waited
                    .err()
                    .map(|error| Violation::new("settling", format!("{error:#}"))),
            );
        };
        let have_ended = async || {
            let waiting = servers.cloud.depth(&servers.cloud.input).await?;
            let unsent = collect::unsent(servers).await?;
            let rows = collect::rows(servers).await?;
            Ok(waiting == 0 && unsent == 0 && rows.iter().all(|row| row.is_terminal()))
        };
        late(within(SETTLED, "all jobs have ended and were reported", have_ended).await);
        let is_swept = async || {
            let rows = collect::rows(servers).await?;
            let results = servers.cloud.keys("results/").await?;
            let uploads = servers.cloud.uploads().await?;
            Ok(orphans(&rows, &results).is_empty() && uploads.is_empty() && self.dead_folders().is_empty())
        };
        late(until("orphaned objects, uploads and folders are removed", is_swept).await);
        Ok(found)
    }

    /// Ends the workers. Workers that are terminated in peace succeed, and leave nothing.
    async fn end_workers(&self) -> anyhow::Result<Vec<Violation>> {
        let mut found = Vec::new();
        for (worker, status) in self.fleet.terminate().await? {
            if !status.success() {
                found.push(Violation::new(
                    worker,
                    format!("ended with {status} after SIGTERM"),
                ));
            }
        }
        let decoders = processes::decoders(&self.fleet.files.root);
        if !decoders.is_empty() {
            found.push(Violation::new(
                "decoders",
                format!("{decoders:?} outlived their workers"),
            ));
        }
        let scratch = self.scratch();
        if !scratch.is_empty() {
            found.push(Violation::new("scratch", format!("{scratch:?} are left")));
        }
        Ok(found)
    }

    fn scratch(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.fleet.files.scratch());
        entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect()
    }

    /// Returns the scratch folders beyond one per running worker.
    fn dead_folders(&self) -> Vec<PathBuf> {
        self.scratch()
            .into_iter()
            .skip(self.fleet.names().len())
            .collect()
    }

    /// Returns the evidence so far.
    async fn counters(&self) -> anyhow::Result<Counters> {
        let servers = &self.fleet.servers;
        let remains = Remains {
            rows: &collect::rows(servers).await?,
            attempts: &collect::attempts(servers).await?,
            events: &self.notifications.events().0,
            letters: servers.cloud.depth(&servers.cloud.dead_letters).await?,
        };
        Ok(self.harvested(&remains))
    }

    fn harvested(&self, remains: &Remains<'_>) -> Counters {
        let mut counters = self.evidence.counters();
        self.limits.harvest(&mut counters);
        harvest::of_workers(self.fleet.metrics().iter(), &mut counters);
        harvest::of_jobs(&self.ledger.entries(), remains, &mut counters);
        counters
    }

    /// Returns what the run should have shown and did not.
    fn not_shown(&self, counters: &Counters) -> Vec<Violation> {
        let injections = missed(&self.journal.settled()).into_iter();
        let injections =
            injections.map(|injection| Violation::new(injection.to_string(), "had no effect in this run"));
        let faults = absent(counters, &self.journal.impossible()).into_iter();
        let faults = faults.map(|fault| {
            Violation::new(
                format!("fault {}", fault.number),
                format!("has not occurred: {}", fault.name),
            )
        });
        injections.chain(faults).collect()
    }

    async fn check(
        &self,
        mut found: Vec<Violation>,
        alerts: Option<BTreeSet<String>>,
        began: &Began<'_>,
    ) -> anyhow::Result<Report> {
        let servers = &self.fleet.servers;
        let foreign = self.ledger.entries().foreign.clone();
        let observed: Observed = collect::observe(servers, &self.notifications, &foreign).await?;
        let attempts = collect::attempts(servers).await?;
        let counters = self.harvested(&Remains {
            rows: &observed.rows,
            attempts: &attempts,
            events: &observed.events,
            letters: observed.letters.len() as u64,
        });
        let ended = self.fleet.take_ended();
        let entries = self.ledger.entries();
        found.extend(self.not_shown(&counters));
        found.extend(violations(&entries, &observed));
        found.extend(self.watch.violations());
        found.extend(self.limits.violation());
        if let Some(fired) = &alerts {
            found.extend(alerts::violations(fired, &counters));
        }
        found.extend(harvest::violations_of_workers(&ended));
        found.extend(harvest::violations_of_metrics(&ended, &observed.rows));
        found.sort();
        found.dedup();
        let injections = self.journal.entries();
        Ok(Report {
            seed: began.seed,
            replay: replay(began.seed, began.args),
            duration_s: began.at.elapsed().as_secs_f64(),
            faults: faults::all().map(|fault| fault.occurrence(&counters)).collect(),
            counters,
            requests: entries.accepted.len() as u64,
            lost_with_the_queue: entries
                .accepted
                .iter()
                .filter(|accepted| accepted.may_vanish)
                .count() as u64,
            jobs: harvest::outcomes(&observed.rows),
            notifications: self.notifications.number() as u64,
            workers_started: ended.len() as u64,
            recovery: recovery(&injections, &observed.rows),
            reclaim: reclaim(&attempts),
            injections,
            alerts,
            violations: found,
        })
    }
}

/// The beginning of a run.
struct Began<'a> {
    seed: u64,
    args: &'a Args,
    at: Instant,
}

/// Returns the command that repeats a run.
fn replay(seed: u64, args: &Args) -> String {
    let duration = match args.hours {
        Some(hours) => format!("--hours {hours}"),
        None => format!("--minutes {}", args.minutes),
    };
    format!("scripts/chaos {duration} --replay {seed}")
}
