//! Removal of what dead workers left outside the database.

use std::sync::Arc;
use std::time::Duration;

use videoframes_core::error::chain;

use crate::objects::Objects;
use crate::queues::Messages;
use crate::workspace::Workspace;

/// Removes files and incomplete objects of dead workers, and old messages that were never received.
pub(crate) struct Sweeper {
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) objects: Objects,
    pub(crate) queues: [Messages; 2],
    pub(crate) retention: Duration,
    pub(crate) pause: Duration,
    pub(crate) max_upload: Duration,
}

impl Sweeper {
    pub(crate) async fn run(self) {
        loop {
            let folder = Arc::clone(&self.workspace);
            let swept = tokio::task::spawn_blocking(move || folder.sweep()).await;
            if let Err(error) = swept.map_err(std::io::Error::other).flatten() {
                tracing::warn!(error = chain(&error), "failed to sweep the scratch folder");
            }
            match self.objects.sweep(self.pause, self.max_upload).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "removed incomplete objects of dead workers"),
                Err(error) => tracing::warn!(error = chain(&error), "failed to remove incomplete objects"),
            }
            for queue in &self.queues {
                // SQS removes old messages itself.
                let Messages::Database(queue) = queue else {
                    continue;
                };
                if let Err(error) = queue.forget(self.retention).await {
                    tracing::warn!(error = chain(&error), "failed to remove old messages");
                }
            }
            tokio::time::sleep(self.pause).await;
        }
    }
}
