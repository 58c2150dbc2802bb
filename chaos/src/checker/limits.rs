//! A watch during the run: a tenant never has more jobs in work than its limit.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::observed::Violation;
use crate::evidence::{Counters, count};
use crate::servers::postgres::Postgres;
use crate::workers::environment::LIMITED;

const PAUSE: Duration = Duration::from_millis(200);

/// Jobs of the tenant at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sample {
    /// Jobs with a live lease.
    in_work: u64,
    parked: u64,
}

/// The watch.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Maximum number of jobs in work, if workers know it.
    limit: Option<u64>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    samples: u64,
    at_limit: u64,
    most: Sample,
}

impl Limits {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self {
            limit,
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts jobs repeatedly, until it is dropped. A database that does not respond is skipped.
    pub(crate) async fn run(&self, postgres: &Postgres) {
        // One statement sees one state of the table.
        let query = format!(
            "SELECT count(*) FILTER (WHERE status = 'processing' AND lease_expires_at > \
             floor(extract(epoch FROM clock_timestamp()) * 1000)) AS in_work, \
             count(*) FILTER (WHERE parked_at IS NOT NULL) AS parked \
             FROM video_jobs WHERE tenant = '{LIMITED}'"
        );
        loop {
            if let Ok(rows) = postgres.rows(&query).await {
                let number = |name: &str| rows[0][name].as_u64().unwrap_or_default();
                self.add(Sample {
                    in_work: number("in_work"),
                    parked: number("parked"),
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn add(&self, sample: Sample) {
        let mut seen = self.seen();
        seen.samples += 1;
        seen.at_limit += u64::from(self.limit.is_some_and(|limit| sample.in_work >= limit));
        seen.most.in_work = seen.most.in_work.max(sample.in_work);
        seen.most.parked = seen.most.parked.max(sample.parked);
    }

    /// Counts the evidence.
    pub(crate) fn harvest(&self, counters: &mut Counters) {
        let seen = self.seen();
        count(counters, "job parked", seen.most.parked);
        count(counters, "sample of the jobs of a tenant", seen.samples);
        count(counters, "sample of a tenant at its limit", seen.at_limit);
    }

    pub(crate) fn violation(&self) -> Option<Violation> {
        let most = self.seen().most.in_work;
        let limit = self.limit.filter(|limit| most > *limit)?;
        let text = format!("{most} jobs at once, and the limit is {limit}");
        Some(Violation::new(format!("tenant {LIMITED}"), text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_more_jobs_than_the_limit_are_a_violation() {
        let limits = Limits::new(Some(2));
        limits.add(Sample {
            in_work: 2,
            parked: 7,
        });
        limits.add(Sample {
            in_work: 0,
            parked: 0,
        });
        assert_eq!(limits.violation(), None);
        let mut counters = Counters::new();
        limits.harvest(&mut counters);
        assert_eq!(
            (
                counters["job parked"],
                counters["sample of a tenant at its limit"]
            ),
            (7, 1)
        );
        limits.add(Sample {
            in_work: 3,
            parked: 0,
        });
        assert!(
            limits
                .violation()
                .is_some_and(|found| found.text.starts_with("3 jobs at once"))
        );
        let unknown = Limits::new(None);
        unknown.add(Sample {
            in_work: 3,
            parked: 0,
        });
        assert_eq!(unknown.violation(), None);
    }
}
