//! The world of a run: dependencies, virtual time, and the calls of the participants with their faults.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use videoframes_core::clock::{Clock, UnixMillis};
use videoframes_core::jobs::MemoryJobRepo;
use videoframes_core::queue::MemoryQueue;
use videoframes_core::storage::{MemoryStorage, ObjectKey};

use crate::checker::Checker;
use crate::faults::{Actor, Call, Cut, Dependency, Fault, Incident, Millis, Op};
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
    stalled: BTreeMap<u8, Millis>,
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
        Arc::new(Self {
            clocks: (0..plan.scenario.workers)
                .map(|_| Arc::new(SimulatedClock::new()))
                .collect(),
            repo: MemoryJobRepo::new(shared()),
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
    fn decide(&self, actor: Actor, op: Op) -> (Option<Fault>, Millis) {
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
    fn outage(&self, actor: Actor, dependency: Dependency) -> Option<(Cut, Millis)> {
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
    fn perform<T, E>(
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

/// One life of a participant, from its start to its crash.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) world: Arc<World>,
    pub(crate) actor: Actor,
    ended: Arc<AtomicBool>,
    pub(crate) crashed: Arc<Notify>,
    /// Asks the worker to stop.
    pub(crate) stop: CancellationToken,
    /// Time until the next life.
    down: Arc<Mutex<Millis>>,
}

/// The description of a call.
struct Request<'a> {
    actor: Actor,
    op: Op,
    subject: &'a str,
}

impl Life {
    pub(crate) fn new(world: &Arc<World>, actor: Actor) -> Self {
        Self {
            world: Arc::clone(world),
            actor,
            ended: Arc::default(),
            crashed: Arc::default(),
            stop: CancellationToken::new(),
            down: Arc::new(Mutex::new(100)),
        }
    }

    pub(crate) fn down(&self) -> Duration {
        Duration::from_millis(*self.down.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the life: no call has an effect or an answer from now on.
    pub(crate) fn crash(&self, down: Millis) {
        if !self.ended.swap(true, Ordering::SeqCst) {
            *self.down.lock().unwrap_or_else(PoisonError::into_inner) = down;
            self.crashed.notify_one();
        }
    }

    pub(crate) fn drain(&self, down: Millis) {
        *self.down.lock().unwrap_or_else(PoisonError::into_inner) = down;
        self.stop.cancel();
    }

    /// Waits while the participant is dead or stalled.
    async fn live(&self) {
        loop {
            if self.ended.load(Ordering::SeqCst) {
                pending::<()>().await;
            }
            let Actor::Worker(worker) = self.actor else {
                return;
            };
            let now = self.world.clock.elapsed();
            let end = self.world.state().stalled.get(&worker).copied().unwrap_or(0);
            if end <= now {
                return;
            }
            sleep(Duration::from_millis(end - now)).await;
        }
    }

    async fn wait(&self, time: Millis) {
        if time > 0 {
            sleep(Duration::from_millis(time)).await;
        }
        self.live().await;
    }

    /// Performs a call with its faults.
    pub(crate) async fn call<T: Send, E: Send>(
        &self,
        op: Op,
        subject: impl Into<String>,
        failure: impl Fn() -> E,
        effect: impl Fn() -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let world = &self.world;
        self.live().await;
        let (fault, latency) = world.decide(self.actor, op);
        self.wait(latency).await;
        while let Some((cut, until)) = world.outage(self.actor, op.dependency()) {
            match cut {
                Cut::Refuse => return Err(failure()),
                Cut::Hang => {
                    let now = world.clock.elapsed();
                    self.wait(until.saturating_sub(now).max(1)).await;
                }
            }
        }
        let subject = subject.into();
        let request = Request {
            actor: self.actor,
            op,
            subject: &subject,
        };
        let lost = |what: &str| {
            let at = world.clock.elapsed();
            let line = format!("{op:?} {subject} {what}");
            world.state().trace.line(at, &self.actor.to_string(), &line);
        };
        let result = match fault {
            None => world.perform(&request, fault, &effect),
            Some(Fault::LoseRequest) => {
                lost("[LoseRequest]");
                return Err(failure());
            }
            Some(Fault::LoseAnswer) => {
                let _ = world.perform(&request, fault, &effect);
                return Err(failure());
            }
            Some(Fault::LateEffect(delay)) => {
                lost("[LateEffect: sent]");
                let (world, actor, subject) = (Arc::clone(world), self.actor, subject.clone());
                tokio::spawn(async move {
                    sleep(Duration::from_millis(delay)).await;
                    let request = Request {
                        actor,
                        op,
                        subject: &subject,
                    };
                    let _ = world.perform(&request, fault, &effect);
                });
                return Err(failure());
            }
            Some(Fault::DelayRequest(delay)) => {
                lost("[DelayRequest: sent]");
                self.wait(delay).await;
                world.perform(&request, fault, &effect)
            }
            Some(Fault::DelayAnswer(delay)) => {
                let result = world.perform(&request, fault, &effect);
                self.wait(delay).await;
                result
            }
            Some(Fault::Repeat) => {
                let _ = world.perform(&request, fault, &effect);
                world.perform(&request, fault, &effect)
            }
            Some(Fault::CrashBefore(down)) => {
                lost("[CrashBefore]");
                self.crash(down);
                pending().await
            }
            Some(Fault::CrashAfter(down)) => {
                let _ = world.perform(&request, fault, &effect);
                self.crash(down);
                pending().await
            }
            Some(Fault::Panic) => {
                lost("[Panic]");
                // Calls no panic hook, which would print the panic.
                std::panic::resume_unwind(Box::new("simulated panic"));
            }
        };
        self.live().await;
        result
    }

    /// Waits for a message or for `until`.
    pub(crate) async fn arrival(&self, until: Instant) {
        let check = (Instant::now() + Duration::from_secs(1)).min(until);
        let arrived = self.world.arrived.notified();
        let _ = tokio::time::timeout_at(check, arrived).await;
        self.live().await;
    }
}

/// Waits until a time of the run.
pub(crate) async fn until(world: &World, at: Millis) {
    sleep_until(Instant::now() + Duration::from_millis(at.saturating_sub(world.clock.elapsed()))).await;
}
