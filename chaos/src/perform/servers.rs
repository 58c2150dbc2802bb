//! Faults of servers.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Outcome, Performer};
use crate::checker::collect;
use crate::servers::cloud::ACCESS_KEYS;

impl Performer {
    async fn processing(&self) -> anyhow::Result<u64> {
        let query = "SELECT 1 FROM video_jobs WHERE status = 'processing'";
        self.fleet.servers.postgres.count(query).await
    }

    pub(super) async fn crash_database(&self) -> Outcome {
        let processing = self.processing().await?;
        self.fleet.servers.postgres.crash(Duration::from_secs(1)).await?;
        self.evidence
            .add("database crashed during jobs", u64::from(processing > 0));
        Ok(format!("{processing} jobs were processed"))
    }

    pub(super) async fn fail_over(&self) -> Outcome {
        let processing = self.processing().await?;
        self.fleet.servers.postgres.fail_over().await?;
        self.fleet
            .network
            .retarget_database(self.fleet.servers.postgres.upstream());
        self.evidence
            .add("failover during jobs", u64::from(processing > 0));
        Ok(format!("{processing} jobs were processed"))
    }

    /// Removes all messages of the input queue. A request whose only trace was a message is lost then.
    pub(super) async fn empty_queue(&self) -> Outcome {
        let servers = &self.fleet.servers;
        let waiting = servers.cloud.depth(&servers.cloud.input).await?;
        let rows = collect::rows(servers).await?;
        let known: BTreeSet<_> = rows.iter().map(|row| row.source.as_str()).collect();
        servers.cloud.purge_input().await?;
        let lost = self.client.ledger.lose_messages(|source| known.contains(source));
        self.evidence.add("messages removed from the queue", waiting);
        Ok(format!(
            "{waiting} messages removed, of which {lost} may have been the only trace of a job"
        ))
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
        tokio::time::sleep(Duration::from_secs(10)).await;
        let refused = faults.refusals() - before;
        self.evidence.add("request with old credentials refused", refused);
        Ok(format!("{refused} requests refused"))
    }
}
