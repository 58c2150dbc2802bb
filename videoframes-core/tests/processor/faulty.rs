//! Wrappers that forward calls to real implementations, except for planned faults.

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;
use videoframes_core::clock::UnixMillis;
use videoframes_core::jobs::{
    Attempt, Backlog, Claim, ClaimTerms, Enqueue, Hold, JobError, JobFilter, JobId, JobIdPrefix, JobPage,
    JobProgress, JobRecord, JobRepo, JobRepoError, JobResult, JobStats, Lease, MemoryJobRepo, NewJob,
    OutboxMessage, Outcome, RefusedMessage, Renewal, RestoreMark, RestoreRow, StageTime, Submitted,
    SweepTerms, Swept, Unfinished, VideoJob, WorkHash,
};
use videoframes_core::queue::{Depth, MemoryQueue, Message, Outgoing, Queue, QueueError, ReceiptHandle};
use videoframes_core::storage::{
    MemoryStorage, ObjectEntry, ObjectInfo, ObjectKey, ObjectVersion, Opened, PutOptions, Sink, Storage,
    StorageError,
};

type Make<E> = Box<dyn Fn() -> E + Send>;

/// Planned faults, and the number of calls by name.
struct Faults<E> {
    calls: Mutex<HashMap<&'static str, usize>>,
    planned: Mutex<HashMap<&'static str, Plan<E>>>,
}

struct Plan<E> {
    times: usize,
    /// Whether the call is made and only its response is lost.
    done: bool,
    error: Make<E>,
}

impl<E> Default for Faults<E> {
    fn default() -> Self {
        Self {
            calls: Mutex::default(),
            planned: Mutex::default(),
        }
    }
}

impl<E> Faults<E> {
    fn plan(&self, call: &'static str, times: usize, done: bool, error: impl Fn() -> E + Send + 'static) {
        let error = Box::new(error);
        self.planned
            .lock()
            .unwrap()
            .insert(call, Plan { times, done, error });
    }

    async fn around<T>(&self, call: &'static str, made: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        *self.calls.lock().unwrap().entry(call).or_default() += 1;
        let spoilt = {
            let mut planned = self.planned.lock().unwrap();
            match planned.get_mut(call).filter(|plan| plan.times > 0) {
                Some(plan) => {
                    plan.times = plan.times.saturating_sub(1);
                    Some((plan.done, (plan.error)()))
                }
                None => None,
            }
        };
        match spoilt {
            None => made.await,
            Some((done, error)) => {
                if done {
                    let _ = made.await;
                }
                Err(error)
            }
        }
    }

    fn calls(&self, call: &str) -> usize {
        self.calls.lock().unwrap().get(call).copied().unwrap_or_default()
    }
}

pub(crate) struct FaultyRepo {
    inner: MemoryJobRepo,
    faults: Faults<JobRepoError>,
}

impl FaultyRepo {
    pub(crate) fn new(inner: MemoryJobRepo) -> Self {
        Self {
            inner,
            faults: Faults::default(),
        }
    }

    /// Fails the next `times` calls without making them.
    pub(crate) fn fail(&self, call: &'static str, times: usize, error: fn() -> JobRepoError) {
        self.faults.plan(call, times, false, error);
    }

    /// Makes the next `times` calls but loses their responses.
    pub(crate) fn lose_answer(&self, call: &'static str, times: usize, error: fn() -> JobRepoError) {
        self.faults.plan(call, times, true, error);
    }

    pub(crate) fn heal(&self) {
        self.faults.planned.lock().unwrap().clear();
    }

    pub(crate) fn calls(&self, call: &str) -> usize {
        self.faults.calls(call)
    }
}

#[async_trait]
impl JobRepo for FaultyRepo {
    async fn submit(&self, jobs: &[NewJob], enqueue: Enqueue) -> Result<Vec<Submitted>, JobRepoError> {
        self.faults
            .around("submit", self.inner.submit(jobs, enqueue))
            .await
    }

    async fn claim(&self, job: JobId, owner: &str, terms: &ClaimTerms) -> Result<Claim, JobRepoError> {
        self.faults
            .around("claim", self.inner.claim(job, owner, terms))
            .await
    }

    async fn renew(
        &self,
        lease: &Lease,
        duration: Duration,
        progress: JobProgress,
    ) -> Result<Renewal, JobRepoError> {
        let renewal = self.inner.renew(lease, duration, progress);
        self.faults.around("renew", renewal).await
    }

    async fn finish(&self, lease: &Lease, outcome: &Outcome) -> Result<VideoJob, JobRepoError> {
        self.faults
            .around("finish", self.inner.finish(lease, outcome))
            .await
    }

    async fn retry_later(
        &self,
        lease: &Lease,
        error: &JobError,
        delay: Duration,
    ) -> Result<(), JobRepoError> {
        let later = self.inner.retry_later(lease, error, delay);
        self.faults.around("retry_later", later).await
    }

    async fn defer(&self, lease: &Lease, error: &JobError, delay: Duration) -> Result<(), JobRepoError> {
        self.faults
            .around("defer", self.inner.defer(lease, error, delay))
            .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), JobRepoError> {
        self.faults.around("release", self.inner.release(lease)).await
    }

    async fn get(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        self.faults.around("get", self.inner.get(job)).await
    }

    async fn find(&self, prefix: &JobIdPrefix, limit: u32) -> Result<Vec<JobId>, JobRepoError> {
        self.inner.find(prefix, limit).await
    }

    async fn list(&self, filter: &JobFilter) -> Result<JobPage, JobRepoError> {
        self.inner.list(filter).await
    }

    async fn cancel(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        self.inner.cancel(job).await
    }

    async fn retry(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError> {
        self.inner.retry(job).await
    }

    async fn raise(&self, job: JobId, generation: u32) -> Result<Option<VideoJob>, JobRepoError> {
        self.inner.raise(job, generation).await
    }

    async fn hold(&self, job: JobId, hold: Hold) -> Result<Option<VideoJob>, JobRepoError> {
        self.inner.hold(job, hold).await
    }

    async fn attempts(&self, job: JobId) -> Result<Vec<Attempt>, JobRepoError> {
        self.inner.attempts(job).await
    }

    async fn record_stages(&self, lease: &Lease, stages: &[StageTime]) -> Result<(), JobRepoError> {
        self.faults
            .around("record_stages", self.inner.record_stages(lease, stages))
            .await
    }

    async fn find_result(&self, work: &WorkHash) -> Result<Option<JobResult>, JobRepoError> {
        self.inner.find_result(work).await
    }

    async fn is_result(&self, key: &str) -> Result<bool, JobRepoError> {
        self.inner.is_result(key).await
    }

    async fn unfinished(&self) -> Result<Unfinished, JobRepoError> {
        self.inner.unfinished().await
    }

    async fn stats(&self, windows: &[Duration]) -> Result<JobStats, JobRepoError> {
        self.inner.stats(windows).await
    }

    async fn take_outbox(&self, most: u32, hold: Duration) -> Result<Vec<OutboxMessage>, JobRepoError> {
        self.faults
            .around("take_outbox", self.inner.take_outbox(most, hold))
            .await
    }

    async fn outbox_sent(&self, messages: &[Uuid]) -> Result<(), JobRepoError> {
        self.faults
            .around("outbox_sent", self.inner.outbox_sent(messages))
            .await
    }

    async fn outbox_refused(&self, messages: &[(Uuid, String)]) -> Result<(), JobRepoError> {
        self.inner.outbox_refused(messages).await
    }

    async fn refused(&self, limit: u32) -> Result<Vec<RefusedMessage>, JobRepoError> {
        self.inner.refused(limit).await
    }

    async fn resend_refused(&self) -> Result<u64, JobRepoError> {
        self.inner.resend_refused().await
    }

    async fn outbox_backlog(&self) -> Result<Backlog, JobRepoError> {
        self.inner.outbox_backlog().await
    }

    async fn sweep(&self, terms: &SweepTerms) -> Result<Swept, JobRepoError> {
        self.faults.around("sweep", self.inner.sweep(terms)).await
    }

    async fn restore_mark(&self) -> Result<RestoreRow, JobRepoError> {
        self.inner.restore_mark().await
    }

    fn observe_mark(&self, mark: &RestoreMark) {
        self.inner.observe_mark(mark);
    }

    async fn advance_mark(&self, interval: Duration) -> Result<Option<RestoreRow>, JobRepoError> {
        self.inner.advance_mark(interval).await
    }

    async fn accept_restore(&self, store: Option<&RestoreMark>) -> Result<RestoreRow, JobRepoError> {
        self.inner.accept_restore(store).await
    }

    async fn rebuild(
        &self,
        job: JobId,
        record: &JobRecord,
        result: Option<&(JobResult, UnixMillis)>,
    ) -> Result<bool, JobRepoError> {
        self.faults
            .around("rebuild", self.inner.rebuild(job, record, result))
            .await
    }

    async fn enqueue(&self, jobs: &[JobId]) -> Result<u64, JobRepoError> {
        self.inner.enqueue(jobs).await
    }
}

pub(crate) struct FaultyQueue {
    inner: MemoryQueue,
    faults: Faults<QueueError>,
    refusals: AtomicUsize,
}

impl FaultyQueue {
    pub(crate) fn new(inner: MemoryQueue) -> Self {
        Self {
            inner,
            faults: Faults::default(),
            refusals: AtomicUsize::new(0),
        }
    }

    /// Rejects the first message of the next `times` sends, and sends the other messages.
    pub(crate) fn refuse_the_first(&self, times: usize) {
        self.refusals.store(times, Ordering::SeqCst);
    }

    pub(crate) fn fail(&self, call: &'static str, times: usize, error: fn() -> QueueError) {
        self.faults.plan(call, times, false, error);
    }

    pub(crate) fn calls(&self, call: &str) -> usize {
        self.faults.calls(call)
    }
}

#[async_trait]
impl Queue for FaultyQueue {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let less = |times: usize| times.checked_sub(1);
        if self
            .refusals
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
            .is_ok()
        {
            let mut answers = self.inner.send(&messages[1..]).await?;
            answers.insert(0, Err(crate::unreachable_queue()));
            return Ok(answers);
        }
        self.faults.around("send", self.inner.send(messages)).await
    }

    async fn receive(
        &self,
        most: usize,
        visibility: Duration,
        wait: Duration,
    ) -> Result<Vec<Message>, QueueError> {
        let receipt = self.inner.receive(most, visibility, wait);
        self.faults.around("receive", receipt).await
    }

    async fn set_visibility(&self, receipt: &ReceiptHandle, timeout: Duration) -> Result<(), QueueError> {
        let set = self.inner.set_visibility(receipt, timeout);
        self.faults.around("set_visibility", set).await
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.faults.around("delete", self.inner.delete(receipts)).await
    }

    async fn dead_letter(&self, message: &Message, reason: &str) -> Result<(), QueueError> {
        self.inner.dead_letter(message, reason).await
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        self.inner.depth().await
    }
}

type Hook = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

pub(crate) struct FaultyStorage {
    pub(crate) inner: MemoryStorage,
    faults: Faults<StorageError>,
    after_open: Mutex<Option<Arc<Hook>>>,
    refused: Mutex<Option<&'static str>>,
}

impl FaultyStorage {
    pub(crate) fn new(inner: MemoryStorage) -> Self {
        Self {
            inner,
            faults: Faults::default(),
            after_open: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// Rejects reads of objects whose keys begin with `prefix` from now on.
    pub(crate) fn refuse_below(&self, prefix: &'static str) {
        *self.refused.lock().unwrap() = Some(prefix);
    }

    fn check_refused(&self, key: &ObjectKey) -> Result<(), StorageError> {
        let refused = *self.refused.lock().unwrap();
        match refused.is_some_and(|prefix| key.as_str().starts_with(prefix)) {
            true => Err(StorageError::Refused {
                action: "look at",
                name: key.to_string(),
                source: std::io::ErrorKind::PermissionDenied.into(),
            }),
            false => Ok(()),
        }
    }

    pub(crate) fn fail(
        &self,
        call: &'static str,
        times: usize,
        error: impl Fn() -> StorageError + Send + 'static,
    ) {
        self.faults.plan(call, times, false, error);
    }

    pub(crate) fn heal(&self) {
        self.faults.planned.lock().unwrap().clear();
    }

    pub(crate) fn calls(&self, call: &str) -> usize {
        self.faults.calls(call)
    }

    /// Runs once after the next object has been opened.
    pub(crate) fn after_open(&self, hook: Hook) {
        *self.after_open.lock().unwrap() = Some(Arc::new(hook));
    }
}

#[async_trait]
impl Storage for FaultyStorage {
    async fn head(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<ObjectInfo, StorageError> {
        self.check_refused(key)?;
        self.faults.around("head", self.inner.head(key, version)).await
    }

    async fn open(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<Opened, StorageError> {
        self.check_refused(key)?;
        let opened = self.faults.around("open", self.inner.open(key, version)).await?;
        let hook = self.after_open.lock().unwrap().take();
        if let Some(hook) = hook {
            hook().await;
        }
        Ok(opened)
    }

    async fn create(&self, key: &ObjectKey, options: &PutOptions) -> Result<Box<dyn Sink>, StorageError> {
        self.faults
            .around("create", self.inner.create(key, options))
            .await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        self.faults.around("delete", self.inner.delete(key)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        most: usize,
    ) -> Result<Vec<ObjectEntry>, StorageError> {
        let list = self.inner.list(prefix, after, most);
        self.faults.around("list", list).await
    }

    async fn import(&self, key: &ObjectKey, path: &Path, options: &PutOptions) -> Result<(), StorageError> {
        self.inner.import(key, path, options).await
    }
}
