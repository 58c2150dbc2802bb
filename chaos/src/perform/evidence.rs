//! Waits for evidence that a fault has met a worker.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::Performer;
use crate::load::plan::Kind;
use crate::wait::within;
use crate::workers::metrics::{get, scrape, sum};
use crate::workers::processes;

/// Pause after which more jobs are submitted that a fault needs.
const RESUBMIT: Duration = Duration::from_secs(4);
/// Number of messages in the input queue, with those in work, that are enough load.
pub(super) const BACKLOG: u64 = 12;
const PAUSE: Duration = Duration::from_millis(100);
/// Maximum time until a permanent worker has a job.
const BUSY: Duration = Duration::from_secs(15);

/// A job in work: ID and epoch.
pub(super) type Claimed = (String, i64);

impl Performer {
    /// Waits until there is evidence, and submits the jobs that the fault needs. Returns whether there is evidence.
    pub(super) async fn provoke(
        &self,
        kind: Kind,
        count: usize,
        limit: Duration,
        is_evident: impl AsyncFn() -> bool,
    ) -> bool {
        let since = Instant::now();
        // The plan has many plain messages.
        let mut submitted = (kind == Kind::Message).then_some(since);
        while since.elapsed() < limit {
            if is_evident().await {
                return true;
            }
            if submitted.is_none_or(|at| at.elapsed() >= RESUBMIT) {
                if submitted.is_none() || self.waiting().await < BACKLOG {
                    // The next time may succeed.
                    let _ = self.client.submit_also(kind, count).await;
                }
                submitted = Some(Instant::now());
            }
            tokio::time::sleep(PAUSE).await;
        }
        is_evident().await
    }

    /// Returns the number of messages in the input queue.
    pub(super) async fn waiting(&self) -> u64 {
        let cloud = &self.fleet.servers.cloud;
        cloud.depth(&cloud.input).await.unwrap_or_default()
    }

    /// Chooses a permanent worker that has a job, and submits jobs until one has.
    pub(super) async fn busy(&self, pick: u32, is_spared: bool) -> anyhow::Result<String> {
        let chosen = RefCell::new(None);
        let has_job = async || {
            for offset in 0..self.fleet.wanted() as u32 {
                let pick = pick.wrapping_add(offset);
                let worker = match is_spared {
                    true => self.fleet.victim(pick),
                    false => self.fleet.any(pick),
                };
                let Some(worker) = worker else { continue };
                if self.jobs_in_flight(&worker).await.unwrap_or_default() > 0 {
                    chosen.replace(Some(worker));
                    return true;
                }
            }
            false
        };
        self.provoke(Kind::Long, 2, BUSY, has_job).await;
        chosen.into_inner().context("no worker has a job")
    }

    async fn jobs_in_flight(&self, worker: &str) -> anyhow::Result<u64> {
        let address = self.fleet.with(worker, |worker| worker.operations);
        let metrics = scrape(address.context("the worker has ended")?).await?;
        Ok(sum(&metrics, "videoframes_jobs_in_flight", &[]) as u64)
    }

    /// Returns whether a worker is ready.
    pub(super) async fn is_ready(&self, worker: &str) -> bool {
        match self.fleet.with(worker, |worker| worker.operations) {
            Some(address) => get(address, "/readyz")
                .await
                .is_ok_and(|(status, _)| status == 200),
            None => false,
        }
    }

    /// Returns the jobs that a worker has claimed.
    pub(super) async fn claimed_by(&self, worker: &str) -> anyhow::Result<Vec<Claimed>> {
        let process = self.fleet.with(worker, |worker| worker.process);
        let Some(name) = process.and_then(processes::worker_name) else {
            return Ok(Vec::new());
        };
        let query = format!(
            "SELECT id::text, lease_epoch FROM video_jobs WHERE status = 'processing' AND lease_owner LIKE '{name}/%'"
        );
        let rows = self.fleet.servers.postgres.rows(&query).await?;
        let claimed = rows
            .iter()
            .filter_map(|row| Some((row["id"].as_str()?.to_owned(), row["lease_epoch"].as_i64()?)));
        Ok(claimed.collect())
    }

    /// Waits until another worker has claimed one of the jobs.
    pub(super) async fn taken(&self, jobs: &[Claimed], limit: Duration) -> bool {
        let is_taken = async || {
            for (id, epoch) in jobs {
                let query = format!("SELECT 1 FROM video_jobs WHERE id = '{id}' AND lease_epoch > {epoch}");
                if self.fleet.servers.postgres.count(&query).await? > 0 {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        within(limit, "another worker claims the job", is_taken)
            .await
            .is_ok()
    }
}
