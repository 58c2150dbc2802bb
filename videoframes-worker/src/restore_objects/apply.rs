//! Carries out decisions: removes delete markers and copies versions.

use std::sync::Arc;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::copy::{Copier, Version};
use super::decide::{Action, decide};
use super::fault;
use super::listing::Key;
use super::tally::Done;
use crate::aws::Refusal;

/// How to apply the decisions.
#[derive(Debug, Clone)]
pub(super) struct Applier {
    pub(super) copier: Arc<Copier>,
    /// Time to restore in milliseconds since the epoch.
    pub(super) at: i64,
    pub(super) dry_run: bool,
    /// Maximum number of concurrent keys.
    pub(super) concurrency: usize,
}

/// A key and what was done with it.
pub(super) type Outcome = (String, Result<Done, Refusal>);

impl Applier {
    /// Applies the decisions for some keys, and reports each outcome. After cancellation, running requests end and no
    /// others begin.
    pub(super) async fn all(&self, keys: Vec<Key>, stop: &CancellationToken, report: impl FnMut(Outcome)) {
        let tasks = keys.into_iter().map(|(key, entries)| {
            let (action, applier) = (decide(entries, self.at), self.clone());
            async move {
                let done = applier.one(&key, action).await;
                (key, done)
            }
        });
        run_all(tasks, self.concurrency, stop, report).await;
    }

    async fn one(&self, key: &str, action: Action) -> Result<Done, Refusal> {
        match action {
            Action::Unchanged => Ok(Done::Unchanged),
            Action::Keep => Ok(Done::Kept),
            Action::Unhide(markers) => {
                if !self.dry_run {
                    for marker in &markers {
                        self.remove_marker(key, marker).await?;
                    }
                }
                Ok(Done::Unhidden)
            }
            Action::Copy { id, size, current } => {
                let key = key.to_owned();
                let version = Version { key, id, size };
                if let Some(current) = current
                    && self.copier.is_same(&version, &current).await?
                {
                    return Ok(Done::Unchanged);
                }
                if !self.dry_run {
                    self.copier.copy(&version).await?;
                    fault::reached("version_copied");
                }
                Ok(Done::Copied)
            }
        }
    }

    /// Removes a delete marker. A version is never deleted: the identifier is that of a marker, and is never reused.
    async fn remove_marker(&self, key: &str, marker: &str) -> Result<(), Refusal> {
        let request = self.copier.client.delete_object().bucket(&self.copier.bucket);
        let removed = request.key(key).version_id(marker).send().await;
        let what = format!("remove a delete marker of '{key}'");
        removed.map_err(|error| Refusal::new("s3:DeleteObjectVersion", what, &error))?;
        fault::reached("marker_removed");
        Ok(())
    }
}

/// Runs up to `limit` tasks at a time, and reports each result. After cancellation, no more tasks begin.
///
/// # Panics
/// Continues the panic of any task.
async fn run_all<T: Send + 'static>(
    tasks: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
    limit: usize,
    stop: &CancellationToken,
    mut report: impl FnMut(T),
) {
    let mut running = JoinSet::new();
    let mut settle = |done: Result<T, JoinError>| match done {
        Ok(done) => report(done),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    for task in tasks {
        if running.len() >= limit
            && let Some(done) = running.join_next().await
        {
            settle(done);
        }
        if stop.is_cancelled() {
            break;
        }
        running.spawn(task);
    }
    while let Some(done) = running.join_next().await {
        settle(done);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    async fn doubled(number: u32) -> u32 {
        assert_ne!(number, 3, "the fault of this test");
        number * 2
    }

    #[tokio::test]
    async fn every_task_is_reported_and_a_panic_ends_the_command() {
        for limit in [1, 2, 100] {
            let mut reported = Vec::new();
            let stop = CancellationToken::new();
            run_all([1, 2, 4].into_iter().map(doubled), limit, &stop, |done| {
                reported.push(done);
            })
            .await;
            reported.sort_unstable();
            assert_eq!(reported, [2, 4, 8]);
            // The panic of a task that is not among the last.
            let work = async move {
                let stop = CancellationToken::new();
                run_all([1, 3, 5, 7, 9].into_iter().map(doubled), limit, &stop, drop).await;
            };
            let ended = tokio::spawn(work).await;
            assert!(ended.is_err_and(|error| error.is_panic()), "{limit} at a time");
        }
    }

    /// The policy of this command is the only one that permits a request that can delete a version.
    #[test]
    fn no_other_policy_permits_the_deletion_of_versions() {
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/iam");
        let permits = std::fs::read_dir(policies).unwrap().filter_map(|entry| {
            let path = entry.unwrap().path();
            path.extension().filter(|extension| *extension == "json")?;
            let text = std::fs::read_to_string(&path).unwrap();
            let is_permitted = ["DeleteObjectVersion", "s3:*", "Delete*"]
                .iter()
                .any(|action| text.contains(action));
            is_permitted.then(|| path.file_name().unwrap().to_string_lossy().into_owned())
        });
        assert_eq!(permits.collect::<Vec<_>>(), ["restorer.json"]);
    }
}
