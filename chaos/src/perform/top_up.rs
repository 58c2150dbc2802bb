//! After a schedule: what had no effect is repeated until it has one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Performer;
use super::evidence::BACKLOG;
use crate::evidence::Counters;
use crate::faults::{self, Fault, Remedy};
use crate::injection::Injection;
use crate::wait::within;

/// Time after which nothing is repeated any more.
const LIMIT: Duration = Duration::from_secs(180);
/// Maximum time until the evidence of submitted jobs is there.
const EVIDENT: Duration = Duration::from_secs(15);
/// Maximum time until the backlog is small.
const BACKLOG_TIME: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);
/// Number of repeated injections at the same time. Each submits jobs until a worker meets the fault: more of them would load a
/// slow machine so that none has an effect.
const AT_ONCE: usize = 3;

/// Returns the kinds of injections that have missed so far.
pub(crate) fn missed(settled: &[Injection]) -> Vec<Injection> {
    let mut missed = Injection::kinds();
    missed.retain(|injection| !settled.contains(injection));
    missed
}

/// Returns the faults that have not occurred so far, except those that this machine cannot inject.
pub(crate) fn absent(counters: &Counters, impossible: &[Injection]) -> Vec<&'static Fault> {
    let is_possible = |fault: &&Fault| match fault.remedy {
        Remedy::Repeat(injection) => !impossible.contains(&injection),
        Remedy::Submit(..) => true,
    };
    let absent = faults::all().filter(|fault| !fault.has_occurred(counters));
    absent.filter(is_possible).collect()
}

impl Performer {
    /// Repeats the injections that missed, and what makes absent faults occur, until nothing is left or the time is over.
    pub(crate) async fn top_up(self: &Arc<Self>, counters: impl AsyncFn() -> anyhow::Result<Counters>) {
        let since = Instant::now();
        while since.elapsed() < LIMIT {
            let mut injections = missed(&self.journal.settled());
            let absent = async || anyhow::Ok(absent(&counters().await?, &self.journal.impossible()));
            let Ok(faults) = absent().await else {
                // A server that does not respond yet will do so.
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            if injections.is_empty() && faults.is_empty() {
                return;
            }
            for fault in faults {
                match fault.remedy {
                    Remedy::Repeat(injection) if injections.contains(&injection) => {}
                    Remedy::Repeat(injection) => injections.push(injection),
                    Remedy::Submit(kind, count) => {
                        // The next round submits what the queue refuses.
                        let _ = self.client.submit_also(kind, count).await;
                    }
                }
            }
            // On a busy machine, the jobs of the plan may still wait.
            let is_small = async || Ok(self.waiting().await < BACKLOG);
            let _ = within(BACKLOG_TIME, "a small backlog", is_small).await;
            self.repeat(injections).await;
            let is_complete = async || Ok(absent().await?.is_empty());
            let _ = within(EVIDENT, "the evidence of faults", is_complete).await;
        }
    }

    /// Performs injections, a few at the same time.
    pub(crate) async fn repeat(self: &Arc<Self>, injections: Vec<Injection>) {
        let mut repeated = JoinSet::new();
        for injection in injections {
            if repeated.len() == AT_ONCE {
                repeated.join_next().await;
            }
            let performer = Arc::clone(self);
            repeated.spawn_local(async move { performer.perform(injection, fastrand::u32(..)).await });
        }
        repeated.join_all().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missed_kind_is_repeated_once() {
        assert!(missed(&Injection::all()).is_empty());
        let settled: Vec<_> = Injection::all()
            .into_iter()
            .filter(|injection| *injection != Injection::FreezeDecoder)
            .collect();
        assert_eq!(missed(&settled), [Injection::FreezeDecoder]);
    }

    #[test]
    fn impossible_faults_are_not_absent() {
        let counters: Counters = [("worker killed at any time".to_owned(), 1)].into();
        let numbers = |impossible: &[Injection]| -> Vec<u8> {
            let absent = absent(&counters, impossible);
            absent.iter().map(|fault| fault.number).collect()
        };
        assert!(numbers(&[]).into_iter().eq(2..=36));
        assert!(!numbers(&[Injection::ClockStep]).contains(&24));
    }
}
