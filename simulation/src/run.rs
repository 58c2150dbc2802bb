//! One run: the world from its start to the final check.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::faults::{Call, Fault, Millis};
use crate::plan::Plan;
use crate::worker::ORPHAN;
use crate::world::{World, until};
use crate::{client, worker};

/// Time after the last fault in which everything has to be finished: less than the deadlines of most jobs.
const PATIENCE: Millis = 3600 * 1000;
/// Interval between checks whether everything is finished.
const CHECK: Duration = Duration::from_secs(5);
/// Time for the sweep of results, in addition to the minimum age of orphans.
const SWEEP: Duration = Duration::from_secs(120);

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The first violation of the invariant.
    pub violation: Option<String>,
    /// Number of effects.
    pub effects: u64,
    /// Hash of the order of effects.
    pub order: u64,
    /// Hash of all effects with their times.
    pub hash: u64,
    /// Faults that happened.
    pub faults: Vec<(Call, Fault)>,
    /// Number of occurrences of faults, incidents and events.
    pub coverage: BTreeMap<&'static str, u64>,
    /// Lines of the trace, if requested.
    pub lines: Vec<String>,
    /// Virtual duration of the run.
    pub time: Millis,
}

/// Whether a run keeps a readable trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// Keeps only hashes.
    Discard,
    /// Keeps every effect as a line.
    Keep,
}

/// Runs a plan.
///
/// # Panics
/// Panics if no runtime can be created.
#[must_use]
#[allow(clippy::expect_used)]
pub fn run(plan: &Plan, lines: Lines) -> Report {
    // Jitter of the processor.
    fastrand::seed(plan.seed());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let world = World::new(plan.clone(), lines == Lines::Keep);
        live(&world).await;
        let mut state = world.state();
        // Lives refer to the world.
        state.lives.clear();
        Report {
            violation: state.violation.take(),
            effects: state.trace.effects,
            order: state.trace.order,
            hash: state.trace.hash,
            faults: std::mem::take(&mut state.faults),
            coverage: std::mem::take(&mut state.coverage),
            lines: std::mem::take(&mut state.trace.lines),
            time: world.clock.elapsed(),
        }
    })
}

async fn live(world: &Arc<World>) {
    world.put_sources();
    let mut tasks = JoinSet::new();
    for number in 0..world.plan.scenario.workers {
        tasks.spawn(worker::run(Arc::clone(world), number));
    }
    let mut requests = JoinSet::new();
    for (at, request) in world.plan.requests.clone() {
        requests.spawn(client::request(Arc::clone(world), at, request));
    }
    for (at, incident) in world.plan.incidents.clone() {
        let world = Arc::clone(world);
        tasks.spawn(async move {
            until(&world, at).await;
            world.begin(incident);
        });
    }
    tokio::select! {
        biased;
        () = world.failed.notified() => {}
        () = finish(world, &mut requests) => {}
    }
}

/// Waits until faults have ended and everything is finished, then checks the final state.
async fn finish(world: &World, requests: &mut JoinSet<()>) {
    let quiet_from = world.plan.scenario.profile.quiet_from;
    until(world, quiet_from).await;
    for clock in &world.clocks {
        clock.offset.store(0, Ordering::Relaxed);
    }
    while requests.join_next().await.is_some() {}
    while let Some(what) = world.unfinished() {
        if world.clock.elapsed() > quiet_from + PATIENCE {
            return world.violate(&format!("not finished: {what}"));
        }
        sleep(CHECK).await;
    }
    sleep(ORPHAN + SWEEP).await;
    if let Some(what) = world.unfinished() {
        return world.violate(&format!("not finished: {what}"));
    }
    world.check_end();
}
