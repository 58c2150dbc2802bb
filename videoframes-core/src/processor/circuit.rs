//! Circuit breakers: no work starts during an outage of a required dependency.
//!
//! Each dependency has one circuit per kind of operation, and stores have separate circuits per bucket. A
//! circuit closes only when the kind of operation that failed succeeds again. Decisions are pure
//! ([`Breaker`]); `probe.rs` retries operations.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::monitor::Monitor;
use super::retry::RetryPolicy;
use super::subject::Subject;
use super::telemetry;

/// Pauses between retries of a failing operation.
const PAUSES: RetryPolicy = RetryPolicy {
    attempts: u32::MAX,
    first: Duration::from_millis(200),
    longest: Duration::from_secs(20),
};
/// Maximum time of a probe.
pub(super) const PROBE_TIME: Duration = Duration::from_secs(30);

/// Whether an operation may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// No outage is known.
    Closed,
    /// The operation failed, and is not retried before this time.
    Open(Instant),
    /// The operation failed, and the caller has to probe it on behalf of all callers.
    Probe,
}

/// The state of one circuit. Pure.
#[derive(Debug, Default)]
struct Breaker {
    /// Number of consecutive failures, one per probe.
    failures: u32,
    /// Time of the next probe, while the circuit is open.
    retry_at: Option<Instant>,
    /// Time until which a caller is probing.
    probing_until: Option<Instant>,
}

impl Breaker {
    /// Returns whether an operation may start.
    ///
    /// If a probe of an open circuit is due, one caller gets to probe; the others check again after the first
    /// pause.
    fn admit(&mut self, now: Instant) -> Admission {
        match (self.retry_at, self.probing_until) {
            (None, _) => Admission::Closed,
            (Some(retry_at), _) if retry_at > now => Admission::Open(retry_at),
            (Some(_), Some(until)) if until > now => Admission::Open(until.min(now + PAUSES.first)),
            (Some(_), _) => {
                self.probing_until = Some(now + PROBE_TIME);
                Admission::Probe
            }
        }
    }

    /// Records a failure and returns the pause until the next probe. Returns `None` for a failure that
    /// belongs to an earlier one. `jitter` is from 0 to 1.
    fn failed(&mut self, now: Instant, jitter: f64) -> Option<Duration> {
        if self.retry_at.is_some_and(|retry_at| retry_at > now) {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        let pause = PAUSES.pause(self.failures, jitter).unwrap_or(PAUSES.longest);
        self.retry_at = Some(now + pause);
        self.probing_until = None;
        Some(pause)
    }

    /// Records a success, and returns whether the circuit was open.
    fn succeeded(&mut self) -> bool {
        let was_open = self.retry_at.is_some();
        *self = Self::default();
        was_open
    }
}

/// All circuits of a processor.
#[derive(Debug, Default)]
pub(super) struct Circuits {
    breakers: Mutex<BTreeMap<Subject, Breaker>>,
    monitor: Monitor,
}

impl Circuits {
    pub(super) fn new(monitor: Monitor) -> Self {
        Self {
            breakers: Mutex::default(),
            monitor,
        }
    }

    fn breakers(&self) -> MutexGuard<'_, BTreeMap<Subject, Breaker>> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether an operation may start: see [`Breaker::admit`].
    pub(super) fn admit(&self, dependency: &Subject) -> Admission {
        let mut breakers = self.breakers();
        let breaker = breakers.get_mut(dependency);
        breaker.map_or(Admission::Closed, |breaker| breaker.admit(Instant::now()))
    }

    /// Returns the time of the next probe, if the circuit is open and that time has not come.
    pub(super) fn open_until(&self, dependency: &Subject) -> Option<Instant> {
        let breakers = self.breakers();
        let retry_at = breakers.get(dependency).and_then(|breaker| breaker.retry_at);
        retry_at.filter(|retry_at| *retry_at > Instant::now())
    }

    /// Reports the outage or the recovery of the dependency of a circuit. The outage of a store ends with its last
    /// open circuit.
    fn report(&self, breakers: &BTreeMap<Subject, Breaker>, subject: &Subject) {
        let name = subject.as_str();
        let is_open = breakers
            .iter()
            .any(|(other, breaker)| other.as_str() == name && breaker.retry_at.is_some());
        telemetry::circuit(name, is_open);
        let dependency = subject.dependency();
        let ongoing = breakers
            .iter()
            .any(|(other, breaker)| other.dependency() == dependency && breaker.retry_at.is_some());
        self.monitor.outage(dependency, ongoing);
    }

    pub(super) fn failed(&self, dependency: &Subject, why: &str) {
        let mut breakers = self.breakers();
        let breaker = breakers.entry(dependency.clone()).or_default();
        let opens = breaker.retry_at.is_none();
        let Some(pause) = breaker.failed(Instant::now(), fastrand::f64()) else {
            return;
        };
        if opens {
            self.report(&breakers, dependency);
        }
        drop(breakers);
        tracing::warn!(?dependency, error = why, ?pause, "dependency failed");
    }

    pub(super) fn succeeded(&self, dependency: &Subject) {
        let mut breakers = self.breakers();
        if breakers
            .remove(dependency)
            .is_some_and(|mut breaker| breaker.succeeded())
        {
            self.report(&breakers, dependency);
            drop(breakers);
            tracing::info!(?dependency, "dependency recovered");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processor::subject::{Operation, StoreUse};

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn a_circuit_opens_with_a_failure_and_closes_with_a_success() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        assert_eq!(breaker.admit(now), Admission::Closed);
        assert!(!breaker.succeeded(), "the circuit was never open");
        let pause = breaker.failed(now, 1.0);
        assert_eq!(pause, Some(200 * MILLISECOND));
        assert_eq!(breaker.admit(now), Admission::Open(now + 200 * MILLISECOND));
        assert!(breaker.succeeded());
        assert_eq!(breaker.admit(now), Admission::Closed);
    }

    #[test]
    fn one_caller_probes_and_the_others_wait() {
        let mut now = Instant::now();
        let mut breaker = Breaker::default();
        breaker.failed(now, 1.0);
        now += 200 * MILLISECOND;
        assert_eq!(breaker.admit(now), Admission::Probe);
        assert_eq!(breaker.admit(now), Admission::Open(now + PAUSES.first));
        // A prober that crashed blocks others no longer than the maximum time of a probe.
        now += PROBE_TIME;
        assert_eq!(breaker.admit(now), Admission::Probe);
        assert_eq!(breaker.failed(now, 1.0), Some(400 * MILLISECOND));
        assert_eq!(breaker.admit(now), Admission::Open(now + 400 * MILLISECOND));
        assert_eq!(breaker.admit(now + 400 * MILLISECOND), Admission::Probe);
    }

    #[test]
    fn concurrent_failures_count_once_and_pauses_grow() {
        let mut now = Instant::now();
        let mut breaker = Breaker::default();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let pause = breaker.failed(now, 1.0).unwrap_or_default();
            assert_eq!(breaker.failed(now, 1.0), None);
            now += pause;
            pauses.push(pause.as_millis());
        }
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 6400, 12_800, 20_000, 20_000]);
        breaker.succeeded();
        assert_eq!(breaker.failed(now, 0.0), Some(100 * MILLISECOND));
    }

    #[test]
    fn a_success_does_not_close_the_circuit_of_another_operation() {
        let circuits = Circuits::default();
        let of = |bucket: Option<&str>, operation| {
            let bucket = bucket.map(str::to_owned);
            Subject::Store(StoreUse { bucket, operation })
        };
        let write = of(None, Operation::Write);
        circuits.failed(&write, "503");
        for works in [
            of(None, Operation::Read),
            of(None, Operation::List),
            of(Some("uploads"), Operation::Write),
            Subject::Queue,
            Subject::Database,
            Subject::Outbox,
        ] {
            circuits.succeeded(&works);
            assert_eq!(circuits.admit(&works), Admission::Closed, "{works:?}");
            assert!(matches!(circuits.admit(&write), Admission::Open(_)), "{works:?}");
        }
        circuits.succeeded(&write);
        assert_eq!(circuits.admit(&write), Admission::Closed);
    }
}
