//! Damages on purpose, which prove that the checker finds them.

use anyhow::Context;
use serde_json::{Value, json};

use crate::args::Damage;
use crate::servers::Servers;
use crate::servers::cloud::BUCKET;

/// Returns a completed job.
async fn completed(servers: &Servers) -> anyhow::Result<Value> {
    let query = "SELECT id::text, result_key, result_sha256 FROM video_jobs \
                 WHERE status = 'completed' AND result_key LIKE 'results/%' ORDER BY finished_at LIMIT 1";
    let rows = servers.postgres.rows(query).await?;
    rows.into_iter().next().context("no job is completed")
}

/// Damages the state of the servers during a run.
pub(crate) async fn during(servers: &Servers, damage: Damage) -> anyhow::Result<()> {
    if matches!(damage, Damage::Upload | Damage::Limit) {
        return Ok(());
    }
    let job = completed(servers).await?;
    let text = |name: &str| job[name].as_str().unwrap_or_default();
    match damage {
        Damage::Object => {
            let delete = servers.cloud.s3.delete_object().bucket(BUCKET);
            delete.key(text("result_key")).send().await?;
        }
        Damage::Row => {
            servers
                .postgres
                .execute(&format!("DELETE FROM video_jobs WHERE id = '{}'", text("id")))
                .await?;
        }
        Damage::Notification => {
            let result =
                json!({"bucket": BUCKET, "key": text("result_key"), "sha256": text("result_sha256")});
            let data =
                json!({"job_id": text("id"), "generation": 0, "status": "completed", "result": result});
            let event = json!({"specversion": "1.0", "id": "another", "data": data});
            servers
                .cloud
                .send(&servers.cloud.notifier, &event.to_string())
                .await?;
        }
        Damage::Upload | Damage::Limit => {}
    }
    Ok(())
}

/// Starts an upload that nobody completes. Workers would abort it in time, so they have to be ended before.
pub(crate) async fn upload(servers: &Servers) -> anyhow::Result<()> {
    let start = servers.cloud.s3.create_multipart_upload().bucket(BUCKET);
    start.key("results/stray/1.zip").send().await?;
    Ok(())
}
