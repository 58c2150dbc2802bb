//! Alerts fire for what a run injects, and for nothing else.

use std::collections::BTreeSet;

use super::observed::Violation;
use crate::evidence::Counters;
use crate::injection::{HttpFault, Injection};

/// What explains an alert.
struct Cause {
    alert: &'static str,
    /// Prefixes of counters. One counter above zero explains the alert.
    evidence: &'static [&'static str],
    /// Each occurrence fires the alert. Other alerts depend on the duration of an outage, or on the number of jobs.
    is_certain: bool,
    /// The injection to repeat if the alert did not fire.
    repeat: Option<Injection>,
}

const fn certain(alert: &'static str, evidence: &'static [&'static str], repeat: Option<Injection>) -> Cause {
    Cause {
        alert,
        evidence,
        is_certain: true,
        repeat,
    }
}

const fn possible(alert: &'static str, evidence: &'static [&'static str]) -> Cause {
    Cause {
        alert,
        evidence,
        is_certain: false,
        repeat: None,
    }
}

/// The causes of the alerts that a run may fire.
const CAUSES: &[Cause] = &[
    certain("VideoframesDeadLetters", &["dead-letter message"], None),
    // A counter of a worker that starts or ends between two scrapes does not increase for Prometheus.
    certain(
        "VideoframesRefused",
        &["response Denied"],
        Some(Injection::Http(HttpFault::Denied)),
    ),
    possible(
        "VideoframesDependencyDown",
        &[
            "all links",
            "one link",
            "response",
            "database crashed",
            "failover",
        ],
    ),
    // Deadlines are failures of the system.
    possible("VideoframesJobsFailFast", &["job DEADLINE_EXCEEDED"]),
    possible("VideoframesJobsFailSlow", &["job DEADLINE_EXCEEDED"]),
    possible(
        "VideoframesHostileInput",
        &["job INVALID_REQUEST", "job LIMIT_EXCEEDED", "job NOT_A_VIDEO"],
    ),
    possible(
        "VideoframesLeasesLost",
        &["worker frozen", "one link database", "all links database"],
    ),
    // A worker whose clock is an hour behind reports an old time of its last poll.
    possible("VideoframesNotPolling", &["clock stepped"]),
    possible("VideoframesScratchFull", &["worker met a full disk"]),
    // The only worker of a short time may be frozen, or may have ended.
    possible(
        "VideoframesWorkersGone",
        &["worker frozen", "worker killed", "workers scaled"],
    ),
];

impl Cause {
    fn occurred(&self, counters: &Counters) -> bool {
        let is_evidence = |name: &str| self.evidence.iter().any(|prefix| name.starts_with(prefix));
        counters
            .iter()
            .any(|(name, count)| *count > 0 && is_evidence(name))
    }
}

/// Returns the causes whose alerts should have fired.
fn missing<'a>(
    fired: &'a BTreeSet<String>,
    counters: &'a Counters,
) -> impl Iterator<Item = &'static Cause> + 'a {
    CAUSES
        .iter()
        .filter(|cause| cause.is_certain && cause.occurred(counters) && !fired.contains(cause.alert))
}

/// Returns the injections that may not have been visible to Prometheus, since their alerts did not fire.
pub(crate) fn unseen(fired: &BTreeSet<String>, counters: &Counters) -> Vec<Injection> {
    missing(fired, counters)
        .filter_map(|cause| cause.repeat)
        .collect()
}

/// Returns the alerts that should have fired, and those that should not.
pub(crate) fn violations(fired: &BTreeSet<String>, counters: &Counters) -> Vec<Violation> {
    let occurred: Vec<_> = CAUSES.iter().filter(|cause| cause.occurred(counters)).collect();
    let missing = missing(fired, counters).map(|cause| Violation::new(cause.alert, "did not fire"));
    let unexplained = fired
        .iter()
        .filter(|alert| !occurred.iter().any(|cause| cause.alert == **alert))
        .map(|alert| Violation::new(alert, "fired, but nothing in this run explains this alert"));
    missing.chain(unexplained).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_fire_for_what_occurred_and_for_nothing_else() {
        let found = |fired: &[&str], occurred: &[&str]| -> Vec<String> {
            let fired = fired.iter().map(|name| (*name).to_owned()).collect();
            let counters = occurred.iter().map(|name| ((*name).to_owned(), 1)).collect();
            violations(&fired, &counters)
                .into_iter()
                .map(|found| found.subject)
                .collect()
        };
        let cases: [(&[&str], &[&str], &[&str]); 6] = [
            (&[], &[], &[]),
            (&["VideoframesDeadLetters"], &["dead-letter message"], &[]),
            (&[], &["dead-letter message"], &["VideoframesDeadLetters"]),
            (&[], &["all links queue: affected Cut"], &[]),
            (
                &["VideoframesDependencyDown"],
                &["all links queue: affected Cut"],
                &[],
            ),
            (
                &["VideoframesDatabaseRestored", "VideoframesNotPolling"],
                &["dead-letter message redriven"],
                &[
                    "VideoframesDeadLetters",
                    "VideoframesDatabaseRestored",
                    "VideoframesNotPolling",
                ],
            ),
        ];
        for (fired, occurred, expected) in cases {
            assert_eq!(found(fired, occurred), expected, "{fired:?} after {occurred:?}");
        }
    }

    #[test]
    fn an_injection_without_its_alert_is_repeated() {
        let denied: Counters = [("response Denied".to_owned(), 2)].into();
        let fired = BTreeSet::from(["VideoframesRefused".to_owned()]);
        assert_eq!(
            unseen(&BTreeSet::new(), &denied),
            [Injection::Http(HttpFault::Denied)]
        );
        assert!(unseen(&fired, &denied).is_empty());
        assert!(unseen(&BTreeSet::new(), &Counters::default()).is_empty());
    }
}
