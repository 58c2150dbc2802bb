//! What operators do with the jobs of the load.

use std::time::Duration;

use serde_json::json;

use super::client::Client;
use crate::wait::within;

/// Maximum time until a job appears or ends that an operator wants to change.
const PATIENCE: Duration = Duration::from_secs(60);

impl Client {
    /// Returns ID and status of the job of a source, if it exists.
    async fn job(&self, source: &str) -> anyhow::Result<Option<(String, String)>> {
        let query = format!(
            "SELECT id::text, status FROM video_jobs WHERE source::json->>'key' = '{source}' LIMIT 1"
        );
        let rows = self.fleet.servers.postgres.rows(&query).await?;
        Ok(rows
            .first()
            .and_then(|row| Some((row["id"].as_str()?.to_owned(), row["status"].as_str()?.to_owned()))))
    }

    /// Waits until the job of a source has one of these states.
    pub(super) async fn wait_for_status(&self, source: &str, statuses: &[&str]) {
        let reached = async || {
            let job = self.job(source).await?;
            Ok(job.is_some_and(|(_, status)| statuses.contains(&status.as_str())))
        };
        // A message that was lost with the queue has no job.
        let _ = within(PATIENCE, "the job of an operator", reached).await;
    }

    pub(super) async fn send_after_end(&self, source: &str, message: &str) -> anyhow::Result<()> {
        self.wait_for_status(source, &["completed"]).await;
        self.ledger.entries().redelivered += 1;
        self.send(message).await
    }

    pub(super) async fn cancel(&self, source: &str) -> anyhow::Result<()> {
        self.wait_for_status(source, &["processing"]).await;
        if let Some((id, _)) = self.job(source).await? {
            // The job may have ended before.
            let _ = self.fleet.command(&["cancel", &id]).await;
        }
        Ok(())
    }

    pub(super) async fn retry(&self, source: &str) -> anyhow::Result<()> {
        self.wait_for_status(source, &["failed"]).await;
        if let Some((id, status)) = self.job(source).await?
            && status == "failed"
            && self.fleet.command(&["retry", &id]).await.is_ok()
        {
            self.ledger.change(source, |accepted| accepted.retried = true);
        }
        Ok(())
    }

    /// Sends a message about a job that has ended, as a redrive of dead-letter messages does.
    pub(super) async fn redrive(&self) -> anyhow::Result<()> {
        let query = "SELECT id::text FROM video_jobs WHERE finished_at IS NOT NULL ORDER BY random() LIMIT 1";
        let rows = self.fleet.servers.postgres.rows(query).await.unwrap_or_default();
        if let Some(id) = rows.first().and_then(|row| row["id"].as_str()) {
            self.send(&json!({"version": 1, "job_id": id}).to_string())
                .await?;
            self.ledger.entries().redelivered += 1;
        }
        Ok(())
    }

    /// Redrives all dead-letter messages. Workers dead-letter them again.
    pub(super) async fn redrive_letters(&self) -> anyhow::Result<()> {
        let cloud = &self.fleet.servers.cloud;
        let has_letters = async || Ok(cloud.depth(&cloud.dead_letters).await? > 0);
        within(PATIENCE, "a dead-letter message", has_letters).await?;
        let redriven = self.fleet.command(&["dlq", "redrive", "--all"]).await?;
        self.ledger.entries().letters_redriven += redriven.lines().count() as u64;
        Ok(())
    }
}
