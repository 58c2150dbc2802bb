//! Changes of jobs, for any number of followers: one query per interval reads all followed jobs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use videoframes_core::jobs::{JobFilter, JobId, JobRepo, JobRepoError, VideoJob};

/// Interval between two reads of the followed jobs.
const INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of jobs per query.
const BATCH: usize = 200;

/// The latest state of a followed job.
#[derive(Debug, Clone)]
pub(super) enum Followed {
    /// The job was not read yet.
    Unread,
    Job(Arc<VideoJob>),
    /// The job does not exist any more.
    Deleted,
}

/// Reads the followed jobs while there are any.
pub(super) struct JobFeed {
    shared: Arc<Shared>,
    _reader: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Shared {
    followed: Mutex<HashMap<JobId, watch::Sender<Followed>>>,
    /// Notified when the first job is followed.
    begun: Notify,
}

impl JobFeed {
    pub(super) fn new(repo: Arc<dyn JobRepo>, queries: Arc<Semaphore>, stop: CancellationToken) -> Self {
        let shared = Arc::<Shared>::default();
        let reader = Reader {
            shared: Arc::clone(&shared),
            repo,
            queries,
        };
        Self {
            shared,
            _reader: AbortOnDropHandle::new(tokio::spawn(async move {
                stop.run_until_cancelled(reader.run()).await;
            })),
        }
    }

    /// Follows a job.
    pub(super) fn follow(&self, job: JobId) -> watch::Receiver<Followed> {
        let mut followed = self.shared.followed();
        let sender = followed
            .entry(job)
            .or_insert_with(|| watch::Sender::new(Followed::Unread));
        if sender.receiver_count() == 0 {
            // The state is from before, and may be terminal although the job was retried since.
            sender.send_replace(Followed::Unread);
        }
        let receiver = sender.subscribe();
        drop(followed);
        self.shared.begun.notify_one();
        receiver
    }
}

impl Shared {
    fn followed(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<Followed>>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the jobs that are still followed.
    fn jobs(&self) -> Vec<JobId> {
        let mut followed = self.followed();
        followed.retain(|_, sender| sender.receiver_count() > 0);
        followed.keys().copied().collect()
    }

    fn publish(&self, id: JobId, state: Followed) {
        if let Some(sender) = self.followed().get(&id) {
            sender.send_if_modified(|last| {
                let changed = is_changed(last, &state);
                if changed {
                    *last = state;
                }
                changed
            });
        }
    }
}

/// Returns whether followers have to learn about the new state of a job.
fn is_changed(last: &Followed, new: &Followed) -> bool {
    match (last, new) {
        (Followed::Job(last), Followed::Job(new)) => {
            // A renewal of the lease alone is no change.
            let shown = |job: &VideoJob| {
                let progress = (job.status, job.stage, job.frames_done, job.frames_total);
                (
                    progress,
                    job.attempts,
                    job.cancel_requested,
                    job.kept_at,
                    job.next_attempt_at,
                )
            };
            shown(last) != shown(new)
                || last.lease_epoch != new.lease_epoch
                || last.generation != new.generation
        }
        (Followed::Deleted, Followed::Deleted) => false,
        _ => true,
    }
}

struct Reader {
    shared: Arc<Shared>,
    repo: Arc<dyn JobRepo>,
    queries: Arc<Semaphore>,
}

impl Reader {
    async fn run(self) {
        loop {
            let jobs = self.shared.jobs();
            if jobs.is_empty() {
                self.shared.begun.notified().await;
                continue;
            }
            for batch in jobs.chunks(BATCH) {
                if let Err(error) = self.read(batch).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "failed to read the followed jobs"
                    );
                }
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                // The first state of another job is due at once.
                () = self.shared.begun.notified() => {}
            }
        }
    }

    async fn read(&self, batch: &[JobId]) -> Result<(), JobRepoError> {
        let Ok(_query) = self.queries.acquire().await else {
            return Ok(());
        };
        let filter = JobFilter::default().ids(batch.iter().copied());
        let page = self.repo.list(&filter).await?;
        let mut missing: Vec<JobId> = batch.to_vec();
        for job in page.jobs {
            missing.retain(|id| *id != job.id);
            self.shared.publish(job.id, Followed::Job(Arc::new(job)));
        }
        missing.retain(|id| page.unreadable.iter().all(|job| job.id != *id));
        for id in missing {
            self.shared.publish(id, Followed::Deleted);
        }
        Ok(())
    }
}
