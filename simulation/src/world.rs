//! The world of a run: dependencies, virtual time, and the calls of the participants with their faults.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use videoframes_core::clock::{Clock, UnixMillis};
use videoframes_core::jobs::MemoryJobRepo;
use videoframes_core::queue::MemoryQueue;
use videoframes_core::storage::{MemoryStorage, ObjectKey};
use videoframes_core::tenant::Tenants;

use crate::checker::Checker;
use crate::faults::{Actor, Call, Cut, Dependency, Fault, Incident, Millis, Op};
use crate::life::Life;
use crate::plan::{Faults, Plan};
use crate::trace::{Effect, Trace};

/// Time of the start of every run.
const START: i64 = 1_767_225_600_000;
/// Receipts after which a message is dead-lettered.
const MAX_RECEIVES: u32 = 10;

/// Returns the output of a future that never waits: an effect in memory.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    let future = pin!(tokio::task::unconstrained(future));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// The virtual clock, with an offset for a clock that is off.
#[derive(Debug)]
pub(crate) struct SimulatedClock {
    start: Instant,
    pub(crate) offset: AtomicI64,
}

impl SimulatedClock {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            offset: AtomicI64::new(0),
        }
    }

    /// Returns the time since the start.
    pub(crate) fn elapsed(&self) -> Millis {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> UnixMillis {
        let elapsed = i64::try_from(self.elapsed()).unwrap_or(i64::MAX);
        UnixMillis::new(START + elapsed + self.offset.load(Ordering::Relaxed))
    }
}

/// Everything that outlives a worker.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) clock: Arc<SimulatedClock>,
    /// Clocks of the workers.
    pub(crate) clocks: Vec<Arc<SimulatedClock>>,
    pub(crate) repo: MemoryJobRepo,
    pub(crate) input: MemoryQueue,
    pub(crate) notifier: MemoryQueue,
    pub(crate) dead: MemoryQueue,
    pub(crate) store: MemoryStorage,
    pub(crate) arrived: Notify,
    /// Notified of a violation.
    pub(crate) failed: Notify,
    state: Mutex<State>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Outage {
    worker: Option<u8>,
    dependency: Dependency,
    cut: Cut,
    until: Millis,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    counts: BTreeMap<(Actor, Op), u32>,
    outages: Vec<Outage>,
    /// End of the stall of a worker.
    pub(crate) stalled: BTreeMap<u8, Millis>,
    pub(crate) lives: BTreeMap<u8, Life>,
    /// Times of the last modification of objects.
    pub(crate) modified: BTreeMap<ObjectKey, Millis>,
    /// Messages sent before this time are lost.
    pub(crate) lost_before: Option<UnixMillis>,
    /// Faults that happened.
    pub(crate) faults: Vec<(Call, Fault)>,
    pub(crate) coverage: BTreeMap<&'static str, u64>,
    pub(crate) trace: Trace,
    pub(crate) checker: Checker,
    pub(crate) violation: Option<String>,
}

impl World {
    pub(crate) fn new(plan: Plan, keeps_lines: bool) -> Arc<Self> {
        let clock = Arc::new(SimulatedClock::new());
        let shared = || Arc::clone(&clock) as Arc<dyn Clock>;
        let dead = MemoryQueue::new("dead", shared());
        let state = State {
            trace: Trace::new(keeps_lines),
            ..State::default()
        };
        let limit = plan
            .scenario
            .max_jobs
            .map(|max_jobs| format!(r#"{{"default": {{"max_jobs": {max_jobs}}}}}"#));
        let tenants = limit.and_then(|limit| Tenants::from_json(&limit).ok());
        Arc::new(Self {
            clocks: (0..plan.scenario.workers)
                .map(|_| Arc::new(SimulatedClock::new()))
                .collect(),
            repo: MemoryJobRepo::new(shared()).with_tenants(tenants.unwrap_or_default()),
            input: MemoryQueue::new("input", shared()).with_dead_letter_queue(dead.clone(), MAX_RECEIVES),
            notifier: MemoryQueue::new("notifier", shared()),
            dead,
            store: MemoryStorage::default(),
            arrived: Notify::new(),
            failed: Notify::new(),
            state: Mutex::new(state),
            clock,
            plan,
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an event for the coverage.
    pub(crate) fn count(&self, what: &'static str) {
        *self.state().coverage.entry(what).or_default() += 1;
    }

    /// Records the first violation of the invariant, and ends the run.
    pub(crate) fn violate(&self, what: &str) {
        let at = self.clock.elapsed();
        let mut state = self.state();
        if state.violation.is_none() {
            let what = state.trace.without_ids(what);
            state.trace.line(at, "checker", &format!("VIOLATION: {what}"));
            state.violation = Some(what);
        }
        drop(state);
        self.failed.notify_one();
    }

    /// Returns the fault and the latency of the next call of an operation.
    pub(crate) fn decide(&self, actor: Actor, op: Op) -> (Option<Fault>, Millis) {
        let scenario = &self.plan.scenario;
        let mut state = self.state();
        let count = state.counts.entry((actor, op)).or_default();
        let call = Call {
            actor,
            op,
            number: *count,
        };
        *count += 1;
        let latency = Fault::latency(call, scenario.seed, &scenario.profile);
        let is_quiet = self.clock.elapsed() >= scenario.profile.quiet_from;
        let fault = match &self.plan.faults {
            Faults::OfSeed if is_quiet => None,
            Faults::OfSeed => Fault::of(call, scenario.seed, &scenario.profile),
            Faults::Exactly(faults) => faults.get(&call).copied(),
        };
        if let Some(fault) = fault {
            state.faults.push((call, fault));
            *state.coverage.entry(fault.kind()).or_default() += 1;
            let is_unknown = matches!(fault, Fault::LoseAnswer | Fault::LateEffect(_));
            if op == Op::Finish && is_unknown {
                *state.coverage.entry("event: unknown commit").or_default() += 1;
            }
        }
        (fault, latency)
    }

    /// Returns the outage that affects a call now.
    pub(crate) fn outage(&self, actor: Actor, dependency: Dependency) -> Option<(Cut, Millis)> {
        let Actor::Worker(worker) = actor else {
            return None;
        };
        let now = self.clock.elapsed();
        let mut state = self.state();
        state.outages.retain(|outage| outage.until > now);
        let mut outages = state.outages.iter();
        outages
            .find(|outage| {
                outage.dependency == dependency && outage.worker.is_none_or(|other| other == worker)
            })
            .map(|outage| (outage.cut, outage.until))
    }

    /// Performs an effect and records it.
    pub(crate) fn perform<T, E>(
        &self,
        request: &Request<'_>,
        fault: Option<Fault>,
        effect: &impl Fn() -> Result<T, E>,
    ) -> Result<T, E> {
        let result = effect();
        let at = self.clock.elapsed();
        self.state().trace.effect(Effect {
            at,
            actor: request.actor,
            op: request.op,
            fault,
            subject: request.subject,
            succeeded: result.is_ok(),
            note: "",
        });
        result
    }

    /// Starts an incident.
    pub(crate) fn begin(&self, incident: Incident) {
        self.count(incident.kind());
        let now = self.clock.elapsed();
        self.state().trace.line(now, "incident", &format!("{incident:?}"));
        match incident {
            Incident::Crash { worker, down } => {
                let life = self.state().lives.get(&worker).cloned();
                if let Some(life) = life {
                    life.crash(down);
                }
            }
            Incident::Drain { worker, down } => {
                let life = self.state().lives.get(&worker).cloned();
                if let Some(life) = life {
                    life.drain(down);
                }
            }
            Incident::Outage {
                worker,
                dependency,
                cut,
                time,
            } => self.state().outages.push(Outage {
                worker,
                dependency,
                cut,
                until: now + time,
            }),
            Incident::Stall { worker, time } => {
                let mut state = self.state();
                let end = state.stalled.entry(worker).or_default();
                *end = (*end).max(now + time);
            }
            Incident::LoseMessages => {
                self.state().lost_before = Some(self.clock.now());
            }
            Incident::Skew { worker, seconds } => {
                if let Some(clock) = self.clocks.get(usize::from(worker)) {
                    clock.offset.store(seconds * 1000, Ordering::Relaxed);
                }
            }
            Incident::Replace { source } => self.put_source(usize::from(source), true),
        }
    }
}

/// The description of a call.
pub(crate) struct Request<'a> {
    pub(crate) actor: Actor,
    pub(crate) op: Op,
    pub(crate) subject: &'a str,
}

/// Waits until a time of the run.
pub(crate) async fn until(world: &World, at: Millis) {
    sleep_until(Instant::now() + Duration::from_millis(at.saturating_sub(world.clock.elapsed()))).await;
}
