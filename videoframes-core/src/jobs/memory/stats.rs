//! Statistics.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::state::State;
use crate::clock::UnixMillis;
use crate::jobs::lease::due_since;
use crate::jobs::{EndedJobs, FailureCount, JobStats, JobStatus, Unfinished};

impl State {
    pub(super) fn stats(&self, windows: &[Duration], now: UnixMillis) -> JobStats {
        let mut unfinished = Unfinished::default();
        let mut ended: Vec<EndedJobs> = windows.iter().copied().map(EndedJobs::new).collect();
        let (mut oldest, mut lease_owners) = (None, BTreeSet::new());
        let longest = windows.iter().max().map(|window| now.before(*window));
        let mut failures = BTreeMap::new();
        for job in self.rows.values().map(|row| &row.job) {
            unfinished.add(job.status, 1);
            unfinished.parked += u64::from(job.parked_at.is_some());
            if let Some(due) = due_since(job).filter(|due| *due <= now) {
                oldest = Some(oldest.map_or(due, |oldest: UnixMillis| oldest.min(due)));
            }
            let is_held = job.lease_expires_at.is_some_and(|expiry| expiry > now);
            if job.status == JobStatus::Processing && is_held {
                lease_owners.extend(job.lease_owner.clone());
            }
            if let Some(finished) = job.finished_at {
                let within = |ended: &&mut EndedJobs| finished >= now.before(ended.window);
                ended
                    .iter_mut()
                    .filter(within)
                    .for_each(|ended| ended.add(job.status, 1));
                if let Some(code) = &job.error_code
                    && job.status == JobStatus::Failed
                    && longest.is_some_and(|longest| finished >= longest)
                {
                    *failures.entry(code.clone()).or_insert(0) += 1;
                }
            }
        }
        JobStats {
            unfinished,
            oldest_wait: oldest.map(|since| now.since(since)),
            lease_owners: lease_owners.into_iter().collect(),
            ended,
            failures: FailureCount::sorted(failures),
        }
    }
}
