//! The state of a running processor, for health checks, and its external control.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::fleet::{EndedAttempts, Role};

/// Additional time without progress after three periods. Longer than the timeout of any call to a dependency.
const PATIENCE: Duration = Duration::from_secs(120);

/// Returns the maximum age of a healthy loop with this period.
pub(super) fn max_age(period: Duration) -> Duration {
    period * 3 + PATIENCE
}

/// A handle that reports the state of a [`Processor`](super::Processor), and pauses and resumes the processor.
///
/// Does no I/O and never waits, so that the state can be read while the runtime of the processor is blocked. All
/// clones refer to the same processor.
#[derive(Debug, Clone)]
pub struct Monitor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    paused: watch::Sender<bool>,
    restore: watch::Sender<RestoreCheck>,
    role: watch::Sender<Role>,
    busy: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    slots: usize,
    ended: EndedAttempts,
    loops: BTreeMap<(&'static str, u64), Pulse>,
    /// Number of loops registered so far, which distinguishes loops of one name.
    registered: u64,
    outages: BTreeMap<Dependency, Instant>,
}

/// The last progress of a loop.
#[derive(Debug, Clone, Copy)]
struct Pulse {
    last: Instant,
    limit: Duration,
}

/// The phase of a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Phase {
    /// Not running yet.
    #[default]
    Starting,
    /// Receives messages, unless paused.
    Running,
    /// Receives no more messages, and finishes or releases its jobs.
    Stopping,
}

/// The result of the comparison of the database with the restore mark in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RestoreCheck {
    /// The marks were not compared yet.
    #[default]
    Pending,
    /// The marks were not compared yet, since a mark cannot be read.
    Unreadable,
    /// The database is not behind the store.
    Current,
    /// The database was restored to an earlier moment, and the processor changes no jobs.
    Restored,
}

/// A dependency of a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Dependency {
    /// The input queue.
    Queue,
    /// The database.
    Database,
    /// A store of sources, or the result store.
    Store,
}

impl Dependency {
    /// Returns `queue`, `database` or `store`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Database => "database",
            Self::Store => "store",
        }
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state of a processor at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProcessorStatus {
    /// The phase.
    pub phase: Phase,
    /// Whether the processor is paused: it receives no messages, and continues the jobs in flight.
    pub paused: bool,
    /// Whether the database was restored to an earlier moment.
    pub restore: RestoreCheck,
    /// The role of the revision; [`Role::Active`] without a fleet.
    pub role: Role,
    /// Attempts that ended since the start.
    pub ended: EndedAttempts,
    /// Maximum number of concurrent jobs.
    pub slots: usize,
    /// Number of slots with a message.
    pub busy: usize,
    /// Running loops.
    pub loops: Vec<LoopStatus>,
    /// Dependencies with an outage, each with the duration of the outage so far.
    pub outages: Vec<(Dependency, Duration)>,
}

/// The state of a loop.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct LoopStatus {
    /// Name of the loop, such as `relay`. The loops of several slots have the same name.
    pub name: &'static str,
    /// Time since the loop last reported progress.
    pub age: Duration,
    /// Maximum age of a healthy loop.
    pub limit: Duration,
}

impl LoopStatus {
    /// Returns whether the last progress of the loop is older than the limit.
    pub fn is_stuck(&self) -> bool {
        self.age > self.limit
    }
}

impl Default for Monitor {
    fn default() -> Self {
        Self {
            inner: Arc::new(Inner {
                state: Mutex::default(),
                paused: watch::Sender::new(false),
                restore: watch::Sender::new(RestoreCheck::Pending),
                role: watch::Sender::new(Role::Active),
                busy: watch::Sender::new(0),
            }),
        }
    }
}

impl Monitor {
    /// Returns the current state.
    pub fn status(&self) -> ProcessorStatus {
        self.status_at(Instant::now())
    }

    fn status_at(&self, now: Instant) -> ProcessorStatus {
        let state = self.state();
        ProcessorStatus {
            phase: state.phase,
            paused: *self.inner.paused.borrow(),
            restore: *self.inner.restore.borrow(),
            slots: state.slots,
            busy: *self.inner.busy.borrow(),
            role: *self.inner.role.borrow(),
            ended: state.ended,
            loops: state
                .loops
                .iter()
                .map(|((name, _), pulse)| LoopStatus {
                    name,
                    age: now.saturating_duration_since(pulse.last),
                    limit: pulse.limit,
                })
                .collect(),
            outages: state
                .outages
                .iter()
                .map(|(dependency, since)| (*dependency, now.saturating_duration_since(*since)))
                .collect(),
        }
    }

    /// Stops receiving messages; jobs in flight continue.
    pub fn pause(&self) {
        self.inner.paused.send_replace(true);
    }

    /// Receives messages again.
    pub fn resume(&self) {
        self.inner.paused.send_replace(false);
    }

    /// Waits until the processor is not paused.
    pub(super) async fn resumed(&self) {
        let mut paused = self.inner.paused.subscribe();
        // The sender lives as long as `self`.
        let _ = paused.wait_for(|paused| !paused).await;
    }

    pub(super) fn is_paused(&self) -> bool {
        *self.inner.paused.borrow()
    }

    /// Records the result of a comparison of the restore marks, and returns the previous result.
    pub(super) fn restore(&self, check: RestoreCheck) -> RestoreCheck {
        self.inner.restore.send_replace(check)
    }

    /// Records that a restore mark cannot be read, unless the marks were compared before. Returns whether this is new.
    pub(super) fn unreadable(&self) -> bool {
        self.inner.restore.send_if_modified(|check| {
            let is_new = *check == RestoreCheck::Pending;
            if is_new {
                *check = RestoreCheck::Unreadable;
            }
            is_new
        })
    }

    /// Returns whether the database is not behind the restore mark in the store, as far as known.
    pub(super) fn may_change_jobs(&self) -> bool {
        *self.inner.restore.borrow() == RestoreCheck::Current
    }

    /// Waits until jobs may be changed.
    pub(super) async fn current(&self) {
        let mut restore = self.inner.restore.subscribe();
        // The sender lives as long as `self`.
        let _ = restore.wait_for(|check| *check == RestoreCheck::Current).await;
    }

    /// Waits until the restore marks were compared with another result.
    pub(super) async fn restore_changed(&self) {
        // The sender lives as long as `self`.
        let _ = self.inner.restore.subscribe().changed().await;
    }

    /// Records the role of the revision, and returns the role before.
    pub(super) fn set_role(&self, role: Role) -> Role {
        self.inner.role.send_replace(role)
    }

    pub(super) fn role(&self) -> Role {
        *self.inner.role.borrow()
    }

    /// Waits until the role changes.
    pub(super) async fn role_changed(&self) {
        let role = self.role();
        let mut changes = self.inner.role.subscribe();
        // The sender lives as long as `self`.
        let _ = changes.wait_for(|now| *now != role).await;
    }

    /// Counts an ended attempt.
    pub(super) fn ended(&self, attempt: EndedAttempts) {
        let mut state = self.state();
        state.ended = state.ended + attempt;
    }

    /// Returns the number of slots with a message, and its changes.
    pub fn busy_slots(&self) -> watch::Receiver<usize> {
        self.inner.busy.subscribe()
    }

    pub(super) fn enter(&self, phase: Phase, slots: usize) {
        let mut state = self.state();
        (state.phase, state.slots) = (phase, slots);
    }

    pub(super) fn outage(&self, dependency: Dependency, ongoing: bool) {
        let mut state = self.state();
        if ongoing {
            state.outages.entry(dependency).or_insert_with(Instant::now);
        } else {
            state.outages.remove(&dependency);
        }
    }

    /// Counts a slot as busy until the guard is dropped.
    pub(super) fn busy(&self) -> Busy {
        self.inner.busy.send_modify(|busy| *busy += 1);
        Busy(self.clone())
    }

    /// Registers a loop until the guard is dropped; the age of the loop starts at zero. `limit` is the maximum age of
    /// a healthy loop.
    pub fn watch(&self, name: &'static str, limit: Duration) -> LoopGuard {
        let number = {
            let mut state = self.state();
            state.registered += 1;
            state.registered
        };
        let guard = LoopGuard {
            monitor: self.clone(),
            key: (name, number),
            limit,
        };
        guard.beat();
        guard
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A busy slot.
#[derive(Debug)]
pub(super) struct Busy(Monitor);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.inner.busy.send_modify(|busy| *busy -= 1);
    }
}

/// A registered loop, which ends when the guard is dropped.
#[derive(Debug)]
pub struct LoopGuard {
    monitor: Monitor,
    key: (&'static str, u64),
    limit: Duration,
}

impl LoopGuard {
    /// Reports progress.
    pub fn beat(&self) {
        let pulse = Pulse {
            last: Instant::now(),
            limit: self.limit,
        };
        self.monitor.state().loops.insert(self.key, pulse);
    }
}

impl Drop for LoopGuard {
    fn drop(&mut self) {
        self.monitor.state().loops.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_is_stuck_after_three_periods_and_the_patience() {
        let monitor = Monitor::default();
        let period = Duration::from_secs(10);
        let relay = monitor.watch("relay", max_age(period));
        let begun = Instant::now();
        let is_stuck = |after| monitor.status_at(begun + after).loops[0].is_stuck();
        assert!(!is_stuck(3 * period + PATIENCE - Duration::from_secs(1)));
        assert!(is_stuck(3 * period + PATIENCE + Duration::from_secs(1)));
        drop(relay);
        assert!(monitor.status().loops.is_empty(), "an ended loop is not stuck");
    }

    #[test]
    fn an_unreadable_mark_matters_before_the_first_comparison() {
        for (before, is_new, after) in [
            (RestoreCheck::Pending, true, RestoreCheck::Unreadable),
            (RestoreCheck::Unreadable, false, RestoreCheck::Unreadable),
            (RestoreCheck::Current, false, RestoreCheck::Current),
            (RestoreCheck::Restored, false, RestoreCheck::Restored),
        ] {
            let monitor = Monitor::default();
            monitor.restore(before);
            assert_eq!(monitor.unreadable(), is_new, "{before:?}");
            assert_eq!(monitor.status().restore, after, "{before:?}");
        }
    }

    #[test]
    fn loops_of_one_name_are_separate() {
        let monitor = Monitor::default();
        let slots = [0, 1].map(|_| monitor.watch("slot", PATIENCE));
        assert_eq!(monitor.status().loops.len(), 2);
        drop(slots);
        assert_eq!(monitor.status().loops.len(), 0);
    }

    #[test]
    fn an_outage_lasts_from_the_first_failure_to_the_recovery() {
        let monitor = Monitor::default();
        monitor.outage(Dependency::Store, true);
        let since = Instant::now();
        monitor.outage(Dependency::Store, true);
        let status = monitor.status_at(since + Duration::from_secs(60));
        assert_eq!(status.outages.len(), 1);
        assert!(status.outages[0].1 >= Duration::from_secs(60));
        monitor.outage(Dependency::Store, false);
        assert!(monitor.status().outages.is_empty());
    }

    #[tokio::test]
    async fn resumed_waits_only_while_paused() {
        let monitor = Monitor::default();
        monitor.resumed().await;
        monitor.pause();
        assert!(monitor.status().paused);
        let waits = tokio::time::timeout(Duration::from_millis(20), monitor.resumed()).await;
        assert!(waits.is_err());
        monitor.clone().resume();
        monitor.resumed().await;
    }
}
