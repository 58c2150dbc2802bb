//! The report of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use serde::Serialize;
use serde_json::Value;

use crate::checker::observed::{Row, Violation};
use crate::evidence::Counters;
use crate::faults::{FAULTS, Occurrence};
use crate::injection::Injection;
use crate::journal::{Effect, Entry};

/// The result of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) replay: String,
    pub(crate) duration_s: f64,
    pub(crate) faults: Vec<Occurrence>,
    pub(crate) counters: Counters,
    pub(crate) requests: u64,
    pub(crate) lost_with_the_queue: u64,
    pub(crate) jobs: BTreeMap<String, u64>,
    pub(crate) notifications: u64,
    pub(crate) workers_started: u64,
    /// Time from the end of an injection to the end of the next job.
    pub(crate) recovery: Times,
    /// Time from the end of a lost lease to the next claim.
    pub(crate) reclaim: Times,
    pub(crate) injections: Vec<Entry>,
    /// Alerts that have fired; `None` without Prometheus.
    pub(crate) alerts: Option<BTreeSet<String>>,
    pub(crate) violations: Vec<Violation>,
}

/// Quantiles of times, in seconds.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Times {
    pub(crate) number: usize,
    pub(crate) p50_s: f64,
    pub(crate) p99_s: f64,
    pub(crate) max_s: f64,
}

impl Times {
    fn of(mut milliseconds: Vec<i64>) -> Self {
        milliseconds.sort_unstable();
        let number = milliseconds.len();
        let quantile = |share: f64| {
            let index = (number as f64 * share).ceil() as usize;
            milliseconds
                .get(index.saturating_sub(1))
                .map_or(0.0, |time| *time as f64 / 1000.0)
        };
        Self {
            number,
            p50_s: quantile(0.5),
            p99_s: quantile(0.99),
            max_s: quantile(1.0),
        }
    }
}

impl Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            p50_s,
            p99_s,
            max_s,
        } = self;
        write!(
            f,
            "p50 {p50_s:.1} s, p99 {p99_s:.1} s, max {max_s:.1} s ({number} times)"
        )
    }
}

/// Returns the times from the end of each injection to the end of the next job.
pub(crate) fn recovery(injections: &[Entry], rows: &[Row]) -> Times {
    let mut ends: Vec<i64> = rows.iter().filter_map(|row| row.finished_at).collect();
    ends.sort_unstable();
    let next = |entry: &Entry| {
        let index = ends.partition_point(|end| *end < entry.ended_at);
        Some(ends.get(index)? - entry.ended_at)
    };
    Times::of(injections.iter().filter_map(next).collect())
}

/// Returns the times from the end of each lost lease to the next claim of the job. `attempts` are ordered by job and epoch.
pub(crate) fn reclaim(attempts: &[Value]) -> Times {
    let lost = attempts.windows(2).filter_map(|pair| {
        let is_lost = pair[0]["outcome"] == "lost" && pair[0]["job_id"] == pair[1]["job_id"];
        let time = pair[1]["started_at"].as_i64()? - pair[0]["ended_at"].as_i64()?;
        // A claim may also follow a release before the end of the lease.
        is_lost.then_some(time.max(0))
    });
    Times::of(lost.collect())
}

impl Report {
    /// Returns the number of kinds of injections that had an effect, and of all kinds.
    fn hit(&self) -> (usize, usize) {
        let kinds = Injection::kinds();
        let is_hit = |kind: &&Injection| {
            let mut entries = self.injections.iter();
            entries.any(|entry| entry.injection == **kind && matches!(entry.effect, Effect::Hit(_)))
        };
        (kinds.iter().filter(is_hit).count(), kinds.len())
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\ninjections:")?;
        for entry in &self.injections {
            let Entry {
                injection,
                began_s,
                ended_s,
                effect,
                ..
            } = entry;
            let injection = injection.to_string();
            writeln!(f, "  {began_s:6.1}–{ended_s:5.1} s  {injection:<44} {effect}")?;
        }
        writeln!(f, "\nfaults of the job protocol:")?;
        for fault in &self.faults {
            let evidence: Vec<_> = fault
                .evidence
                .iter()
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            writeln!(
                f,
                "  {:>2} {:<40} {:>6}  {}",
                fault.number,
                fault.name,
                fault.count,
                evidence.join(", ")
            )?;
        }
        let is_fault = |fault: &&Occurrence| FAULTS.iter().any(|known| known.number == fault.number);
        let occurred = self
            .faults
            .iter()
            .filter(is_fault)
            .filter(|fault| fault.count > 0);
        let (occurred, hit) = (occurred.count(), self.hit());
        let outcomes: Vec<_> = self
            .jobs
            .iter()
            .map(|(outcome, count)| format!("{outcome} {count}"))
            .collect();
        writeln!(
            f,
            "\n{occurred} of {} faults occurred, {} of {} kinds of injections had an effect",
            FAULTS.len(),
            hit.0,
            hit.1
        )?;
        writeln!(
            f,
            "{} requests accepted ({} may have been lost with the queue), {} notifications, {} workers started",
            self.requests, self.lost_with_the_queue, self.notifications, self.workers_started
        )?;
        writeln!(f, "jobs: {}", outcomes.join(", "))?;
        writeln!(f, "next job after an injection: {}", self.recovery)?;
        writeln!(f, "next claim after a lost lease: {}", self.reclaim)?;
        match &self.alerts {
            None => writeln!(f, "no Prometheus here: alerts were not evaluated")?,
            Some(alerts) => {
                let alerts: Vec<_> = alerts.iter().map(String::as_str).collect();
                writeln!(f, "alerts: {}", alerts.join(", "))?;
            }
        }
        for violation in &self.violations {
            writeln!(f, "VIOLATION {}: {}", violation.subject, violation.text)?;
        }
        let count = self.violations.len();
        writeln!(
            f,
            "{count} violations in {:.0} s, seed {}",
            self.duration_s, self.seed
        )?;
        writeln!(f, "replay: {}", self.replay)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn recovery_ends_with_the_next_job() {
        let entry = |ended_at| Entry {
            injection: Injection::Kill,
            began_s: 0.0,
            ended_s: 0.0,
            ended_at,
            effect: Effect::Hit(String::new()),
        };
        let row = |finished_at| Row {
            finished_at,
            ..Row::default()
        };
        let rows = [row(Some(9000)), row(None), row(Some(5000))];
        let times = recovery(&[entry(1000), entry(5500), entry(9500)], &rows);
        assert_eq!(
            times,
            Times {
                number: 2,
                p50_s: 3.5,
                p99_s: 4.0,
                max_s: 4.0
            }
        );
    }

    #[test]
    fn a_lost_lease_is_followed_by_a_claim_of_the_same_job() {
        let attempt = |job: &str, started_at: i64, ended_at: i64, outcome: &str| json!({"job_id": job, "started_at": started_at, "ended_at": ended_at, "outcome": outcome});
        let attempts = [
            attempt("a", 0, 1000, "lost"),
            attempt("a", 3000, 4000, "completed"),
            attempt("b", 0, 1000, "lost"),
            attempt("c", 9000, 9500, "retried"),
            attempt("c", 9900, 9999, "completed"),
        ];
        assert_eq!(
            reclaim(&attempts),
            Times {
                number: 1,
                p50_s: 2.0,
                p99_s: 2.0,
                max_s: 2.0
            }
        );
    }
}
