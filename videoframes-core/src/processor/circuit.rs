//! Circuit breakers: no work begins while what it needs is out of order.
//!
//! Each dependency has one circuit for each kind of operation, and stores have them for each bucket. A circuit
//! closes only when the kind of operation that failed succeeds again. The decisions are pure ([`Breaker`]); what
//! tries an operation again is in `probe.rs`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::retry::RetryPolicy;
use super::telemetry;

/// Pauses between two tries of an operation that fails.
const PAUSES: RetryPolicy = RetryPolicy {
    attempts: u32::MAX,
    first: Duration::from_millis(200),
    longest: Duration::from_secs(20),
};
/// The longest time that a probe may take.
pub(super) const PROBE_TIME: Duration = Duration::from_secs(30);

/// What a circuit is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dependency {
    /// Receiving from the input queue.
    Queue,
    /// Accepting and claiming jobs.
    Database,
    /// Taking messages out of the outbox.
    Outbox,
    /// One kind of operation on one store.
    Store(StoreUse),
}

/// One kind of operation on one store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StoreUse {
    /// The bucket of sources; `None` for the store of the results.
    pub(super) bucket: Option<String>,
    pub(super) operation: Operation,
}

/// Operations that a store may refuse each on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Read,
    List,
    Write,
}

impl Operation {
    pub(super) const ALL: [Self; 3] = [Self::Read, Self::List, Self::Write];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Write => "write",
        }
    }
}

impl StoreUse {
    pub(super) fn of_results(operation: Operation) -> Self {
        Self {
            bucket: None,
            operation,
        }
    }
}

/// Whether an operation may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It works, as far as is known.
    Closed,
    /// It failed, and is not tried before this moment.
    Open(Instant),
    /// It failed, and the caller is to try it for all.
    Probe,
}

/// The state of one circuit. Pure.
#[derive(Debug, Default)]
struct Breaker {
    /// Failures in a row, each of them a try.
    failures: u32,
    /// When to try again, while the circuit is open.
    retry_at: Option<Instant>,
    /// Until when somebody is trying.
    probing_until: Option<Instant>,
}

impl Breaker {
    /// Whether an operation may begin. Of several that ask for an open circuit that is due, one gets to probe; the
    /// others look again after the first pause.
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

    /// Notes a failure, and gives the pause until the next try; `None` for a failure that belongs to one noted
    /// before. `jitter` is from 0 to 1.
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

    /// Notes a success; whether the circuit was open.
    fn succeeded(&mut self) -> bool {
        let was_open = self.retry_at.is_some();
        *self = Self::default();
        was_open
    }
}

/// All circuits of a processor.
#[derive(Debug, Default)]
pub(super) struct Circuits {
    breakers: Mutex<BTreeMap<Dependency, Breaker>>,
}

impl Circuits {
    fn breakers(&self) -> MutexGuard<'_, BTreeMap<Dependency, Breaker>> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an operation may begin: see [`Breaker::admit`].
    pub(super) fn admit(&self, dependency: &Dependency) -> Admission {
        let mut breakers = self.breakers();
        let breaker = breakers.get_mut(dependency);
        breaker.map_or(Admission::Closed, |breaker| breaker.admit(Instant::now()))
    }

    /// When to try again, while a circuit is open and that moment is to come.
    pub(super) fn open_until(&self, dependency: &Dependency) -> Option<Instant> {
        let breakers = self.breakers();
        let retry_at = breakers.get(dependency).and_then(|breaker| breaker.retry_at);
        retry_at.filter(|retry_at| *retry_at > Instant::now())
    }

    pub(super) fn failed(&self, dependency: &Dependency, why: &str) {
        let mut breakers = self.breakers();
        let breaker = breakers.entry(dependency.clone()).or_default();
        let opens = breaker.retry_at.is_none();
        let Some(pause) = breaker.failed(Instant::now(), fastrand::f64()) else {
            return;
        };
        drop(breakers);
        if opens {
            telemetry::circuit(dependency, true);
        }
        tracing::warn!(?dependency, error = why, ?pause, "dependency failed; waiting");
    }

    pub(super) fn succeeded(&self, dependency: &Dependency) {
        let mut breakers = self.breakers();
        if breakers
            .remove(dependency)
            .is_some_and(|mut breaker| breaker.succeeded())
        {
            drop(breakers);
            telemetry::circuit(dependency, false);
            tracing::info!(?dependency, "dependency works again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn a_circuit_opens_with_a_failure_and_closes_with_a_success() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        assert_eq!(breaker.admit(now), Admission::Closed);
        assert!(!breaker.succeeded(), "it was never open");
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
        // A prober that vanished is in the way no longer than a probe may take.
        now += PROBE_TIME;
        assert_eq!(breaker.admit(now), Admission::Probe);
        assert_eq!(breaker.failed(now, 1.0), Some(400 * MILLISECOND));
        assert_eq!(breaker.admit(now), Admission::Open(now + 400 * MILLISECOND));
        assert_eq!(breaker.admit(now + 400 * MILLISECOND), Admission::Probe);
    }

    #[test]
    fn failures_at_the_same_time_count_once_and_pauses_grow() {
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
    fn a_kind_of_operation_that_works_does_not_close_the_circuit_of_another() {
        let circuits = Circuits::default();
        let of = |bucket: Option<&str>, operation| {
            let bucket = bucket.map(str::to_owned);
            Dependency::Store(StoreUse { bucket, operation })
        };
        let write = of(None, Operation::Write);
        circuits.failed(&write, "503");
        for works in [
            of(None, Operation::Read),
            of(None, Operation::List),
            of(Some("uploads"), Operation::Write),
            Dependency::Queue,
            Dependency::Database,
            Dependency::Outbox,
        ] {
            circuits.succeeded(&works);
            assert_eq!(circuits.admit(&works), Admission::Closed, "{works:?}");
            assert!(matches!(circuits.admit(&write), Admission::Open(_)), "{works:?}");
        }
        circuits.succeeded(&write);
        assert_eq!(circuits.admit(&write), Admission::Closed);
    }
}
