//! Faults of servers.

use std::time::Duration;

use super::{Outcome, Performer};
use crate::checker::collect;
use crate::journal::Effect;
use crate::load::plan::Kind;
use crate::servers::cloud::ACCESS_KEYS;

/// Maximum time until a job is processed, or the queue has a message.
const LOADED: Duration = Duration::from_secs(15);
/// Maximum time until a worker uses old credentials, which it keeps for up to 14 seconds.
const USED: Duration = Duration::from_secs(25);

impl Performer {
    async fn count_processing(&self) -> anyhow::Result<u64> {
        let query = "SELECT 1 FROM video_jobs WHERE status = 'processing'";
        self.fleet.servers.postgres.count(query).await
    }

    /// Waits until a job is processed, and returns the number of such jobs.
    async fn processing(&self) -> anyhow::Result<u64> {
        let is_processed = async || self.count_processing().await.is_ok_and(|count| count > 0);
        self.provoke(Kind::Long, 2, LOADED, is_processed).await;
        self.count_processing().await
    }

    pub(super) async fn crash_database(&self) -> Outcome {
        let processing = self.processing().await?;
        self.fleet.servers.postgres.crash(Duration::from_secs(1)).await?;
        self.evidence
            .add("database crashed during jobs", u64::from(processing > 0));
        Ok(Effect::of(
            processing > 0,
            format!("{processing} jobs were processed"),
        ))
    }

    pub(super) async fn fail_over(&self) -> Outcome {
        let processing = self.processing().await?;
        self.fleet.servers.postgres.fail_over().await?;
        self.fleet
            .network
            .retarget_database(self.fleet.servers.postgres.upstream());
        self.evidence
            .add("failover during jobs", u64::from(processing > 0));
        Ok(Effect::of(
            processing > 0,
            format!("{processing} jobs were processed"),
        ))
    }

    /// Removes all messages of the input queue. A request whose only trace was a message is lost then.
    pub(super) async fn empty_queue(&self) -> Outcome {
        let servers = &self.fleet.servers;
        let has_messages = async || {
            let depth = servers.cloud.depth(&servers.cloud.input).await;
            depth.is_ok_and(|depth| depth > 0)
        };
        self.provoke(Kind::Long, 4, LOADED, has_messages).await;
        let waiting = servers.cloud.depth(&servers.cloud.input).await?;
        let rows = collect::rows(servers).await?;
        servers.cloud.purge_input().await?;
        let jobs = |source: &str| rows.iter().filter(|row| row.source == source).count();
        let lost = self.client.ledger.lose_messages(jobs);
        self.evidence.add("messages removed from the queue", waiting);
        let note =
            format!("{waiting} messages removed, of which {lost} may have been the only trace of a job");
        Ok(Effect::of(waiting > 0, note))
    }

    /// Gives the workers another access key, and refuses the old one.
    pub(super) async fn rotate_credentials(&self) -> Outcome {
        let faults = &self.fleet.network.faults;
        let before = faults.refusals();
        let [old, new] = match self.fleet.files.access_key()? == ACCESS_KEYS[0] {
            true => ACCESS_KEYS,
            false => [ACCESS_KEYS[1], ACCESS_KEYS[0]],
        };
        self.fleet.files.rotate(new)?;
        faults.refuse(old);
        let refused = || faults.refusals() - before;
        self.provoke(Kind::Message, 1, USED, async || refused() > 0).await;
        let refused = refused();
        self.evidence.add("request with old credentials refused", refused);
        Ok(Effect::of(refused > 0, format!("{refused} requests refused")))
    }
}
