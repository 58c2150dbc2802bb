//! One pass over objects and rows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;

use super::decide::{Action, ArchiveFacts, RowFacts, decide};
use super::options::ReconcileOptions;
use super::report::{ReconcileError, ReconcileReport};
use crate::clock::UnixMillis;
use crate::jobs::{JobFilter, JobId, JobRecord, JobRepo, JobRepoError, JobStatus, VideoJob};
use crate::processor::fault::{self, Point};
use crate::processor::keys::is_archive;
use crate::processor::keys::{RESULTS, latest_claim_first};
use crate::processor::lost::may_be_lost;
use crate::processor::outputs::is_output;
use crate::processor::renditions::is_rendition;
use crate::processor::verdict::Unusable;
use crate::processor::{adopt, ownership};
use crate::storage::{ObjectEntry, ObjectInfo, ObjectKey, ObjectVersion, StorageError, Stores};

/// Number of objects per list request.
const PAGE: usize = 1000;
/// Number of rows per page, and of concurrent requests for their archives.
const ROWS: u32 = 100;

/// One pass over objects and rows.
pub(super) struct Pass<'a> {
    pub(super) repo: &'a dyn JobRepo,
    pub(super) stores: &'a Stores,
    pub(super) options: &'a ReconcileOptions,
    /// Time of the database.
    pub(super) now: UnixMillis,
    /// Whether the database was ever restored.
    pub(super) was_restored: bool,
    /// Jobs that were retried, or would be retried.
    pub(super) retried: HashSet<JobId>,
    pub(super) report: ReconcileReport,
}

/// An archive with its metadata.
struct Archive {
    key: ObjectKey,
    info: ObjectInfo,
    record: Option<JobRecord>,
}

impl Pass<'_> {
    /// Reconciles the jobs that have archives in their own folders.
    pub(super) async fn reconcile_results(&mut self) -> Result<(), ReconcileError> {
        let prefix = format!("{RESULTS}/");
        let (mut after, mut archives): (_, Vec<ObjectEntry>) = (None, Vec::new());
        loop {
            let page = self.list(&prefix, after.as_ref()).await?;
            let is_last = page.is_empty();
            after = page.last().map(|last| last.key.clone());
            for object in page.into_iter().filter(|object| is_archive(&object.key)) {
                if archives
                    .first()
                    .is_some_and(|first| job_of(&first.key) != job_of(&object.key))
                {
                    self.reconcile_job(std::mem::take(&mut archives)).await?;
                }
                archives.push(object);
            }
            if is_last {
                return self.reconcile_job(archives).await;
            }
        }
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectKey>) -> Result<Vec<ObjectEntry>, StorageError> {
        self.stores.results().list(prefix, after, PAGE).await
    }

    /// Reconciles a job by all archives in its folder.
    async fn reconcile_job(&mut self, entries: Vec<ObjectEntry>) -> Result<(), ReconcileError> {
        let Some(job) = entries.first().and_then(|first| job_of(&first.key)) else {
            return Ok(());
        };
        let Some(found) = self.row(job).await? else {
            return Ok(());
        };
        if found
            .as_ref()
            .is_some_and(|row| row.status == JobStatus::Completed)
        {
            return Ok(());
        }
        let mut archives = Vec::new();
        for entry in entries {
            let archive = self.archive(entry.key, Some(job)).await?;
            archives.extend(archive.map(|(_, archive)| archive));
        }
        // The order in which a claim adopts archives.
        latest_claim_first(&mut archives, |archive: &Archive| &archive.key);
        self.act(job, found.as_ref(), archives).await
    }

    /// Returns the row of a job, or `None` after reporting that it cannot be read.
    async fn row(&mut self, job: JobId) -> Result<Option<Option<VideoJob>>, ReconcileError> {
        match self.repo.get(job).await {
            Ok(row) => Ok(Some(row)),
            Err(JobRepoError::Unreadable(reason)) => {
                self.report
                    .problem(job, None, format!("the row cannot be read: {reason}"));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns an archive with the job that wrote it; `None` for an object that is missing or is no archive of `job`.
    async fn archive(
        &self,
        key: ObjectKey,
        job: Option<JobId>,
    ) -> Result<Option<(JobId, Archive)>, StorageError> {
        let info = match self.stores.results().head(&key, &ObjectVersion::CURRENT).await {
            Ok(info) => info,
            Err(StorageError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let tagged = ownership::job_of(&info).or(job);
        let Some(owner) = tagged.filter(|owner| job.is_none_or(|job| job == *owner)) else {
            return Ok(None);
        };
        if is_rendition(&info) || is_output(&info) {
            return Ok(None);
        }
        let record = ownership::record_of(&info);
        Ok(Some((owner, Archive { key, info, record })))
    }

    async fn act(
        &mut self,
        job: JobId,
        found: Option<&VideoJob>,
        archives: Vec<Archive>,
    ) -> Result<(), ReconcileError> {
        let Some(first) = archives.first() else {
            return Ok(());
        };
        let row = found.map(|job| RowFacts {
            status: job.status,
            generation: job.generation,
        });
        match decide(row, self.facts(found, &archives)) {
            Action::Nothing => {}
            Action::Adopt(generation) => {
                self.raise(job, generation).await?;
                self.report.adoptable += 1;
            }
            Action::Retry(generation) => {
                self.raise(job, generation).await?;
                fault::reached(Point::ReconcileRetried);
                self.retried.insert(job);
                self.report.retried.push(job);
            }
            Action::Rebuild => self.rebuild(job, archives).await?,
            Action::ReportRow => {
                let reason = "the job has no row, and the object has no record of the request";
                self.report.problem(job, Some(first.key.as_str()), reason);
            }
            Action::ReportRetry => {
                let archive = archives.iter().find(|archive| archive.record.is_none());
                let key = archive.unwrap_or(first).key.as_str();
                let reason =
                    "the object was written after the end of the job, and has no record of the request";
                self.report.problem(job, Some(key), reason);
            }
        }
        Ok(())
    }

    fn facts(&self, found: Option<&VideoJob>, archives: &[Archive]) -> ArchiveFacts {
        let records = archives.iter().filter_map(|archive| archive.record.as_ref());
        let unrecorded = archives.iter().filter(|archive| archive.record.is_none());
        ArchiveFacts {
            generation: records.map(|record| record.generation).max(),
            may_be_retry: unrecorded
                .map(|archive| archive.info.modified)
                .any(|written| may_be_lost(found.map(Into::into), written, self.was_restored)),
            is_expired: archives.iter().all(|archive| self.is_expired(&archive.info)),
        }
    }

    /// Brings a job to the generation of its archive.
    async fn raise(&self, job: JobId, generation: u32) -> Result<(), ReconcileError> {
        if !self.options.dry_run {
            match self.repo.raise(job, generation).await {
                // A worker has completed the job meanwhile.
                Ok(_) | Err(JobRepoError::WrongState(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn is_expired(&self, info: &ObjectInfo) -> bool {
        let age = SystemTime::now().duration_since(info.modified);
        age.unwrap_or_default() >= self.options.retention
    }

    /// Rebuilds a lost row from the newest archive that can be read.
    async fn rebuild(&mut self, job: JobId, archives: Vec<Archive>) -> Result<(), ReconcileError> {
        let mut reasons = Vec::new();
        for Archive { key, info, record } in archives {
            let Some(record) = record else { continue };
            let as_row = record.to_job(job, self.now);
            let result = match adopt::read(self.stores, &key, &info, &as_row).await {
                Ok(result) => result,
                Err(Unusable::Object(verdict)) => {
                    reasons.push((key, verdict.error.message));
                    continue;
                }
                Err(Unusable::Store(error)) => return Err(error.into()),
            };
            let written = info.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
            let ended = UnixMillis(0).after(written).min(self.now);
            if !self.options.dry_run {
                match self.repo.rebuild(job, &record, Some(&(result, ended))).await {
                    Ok(_) => fault::reached(Point::ReconcileRebuilt),
                    Err(error @ JobRepoError::IdempotencyConflict(_)) => {
                        self.report.problem(job, Some(key.as_str()), error.to_string());
                        return Ok(());
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            self.report.rebuilt.push(job);
            if record.without_client_metadata {
                self.report.without_client_metadata.push(job);
            }
            return Ok(());
        }
        for (key, reason) in reasons {
            let reason = format!("the job has no row, and the archive cannot be read: {reason}");
            self.report.problem(job, Some(key.as_str()), reason);
        }
        Ok(())
    }

    /// Reconciles the jobs that have archives under a prefix of keys that clients chose.
    pub(super) async fn reconcile_prefix(&mut self, prefix: &str) -> Result<(), ReconcileError> {
        let mut after = None;
        loop {
            let page = self.list(prefix, after.as_ref()).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.key.clone());
            for entry in page {
                if entry.key.as_str().starts_with(&format!("{RESULTS}/")) {
                    continue;
                }
                let Some((job, archive)) = self.archive(entry.key, None).await? else {
                    continue;
                };
                let Some(found) = self.row(job).await? else {
                    continue;
                };
                // The keys of existing rows are checked below.
                if found.is_none() {
                    self.act(job, None, vec![archive]).await?;
                }
            }
        }
    }

    /// Enqueues unfinished jobs, and checks the objects that rows name.
    pub(super) async fn reconcile_rows(&mut self) -> Result<(), ReconcileError> {
        let mut filter = JobFilter::default().limit(ROWS);
        loop {
            let page = self.repo.list(&filter).await?;
            for job in &page.unreadable {
                self.report
                    .problem(job.id, None, format!("the row cannot be read: {}", job.reason));
            }
            let (terminal, unfinished): (Vec<_>, Vec<_>) =
                page.jobs.into_iter().partition(|job| job.status.is_terminal());
            let (completed, ended): (Vec<_>, Vec<_>) = terminal
                .into_iter()
                .partition(|job| job.status == JobStatus::Completed);
            for job in unfinished.iter().chain(&ended) {
                self.check_key(job).await?;
            }
            self.enqueue(&unfinished).await?;
            self.check_archives(completed).await?;
            match page.next {
                Some(next) => filter = filter.after(next),
                None => return Ok(()),
            }
        }
    }

    /// Enqueues unfinished jobs, except those that a retry has enqueued.
    async fn enqueue(&mut self, unfinished: &[VideoJob]) -> Result<(), ReconcileError> {
        let ids = unfinished.iter().map(|job| job.id);
        let ids: Vec<JobId> = ids.filter(|id| !self.retried.contains(id)).collect();
        self.report.unfinished += ids.len() as u64;
        if !self.options.dry_run && !ids.is_empty() {
            self.repo.enqueue(&ids).await?;
            fault::reached(Point::ReconcileEnqueued);
        }
        Ok(())
    }

    /// Reports completed jobs whose archive is missing.
    async fn check_archives(&mut self, jobs: Vec<VideoJob>) -> Result<(), ReconcileError> {
        let mut heads = JoinSet::new();
        for job in jobs {
            let ended = job.finished_at.unwrap_or(self.now);
            let key = job.result.and_then(|result| result.key.parse::<ObjectKey>().ok());
            let Some(key) = key.filter(|_| self.now.since(ended) < self.options.retention) else {
                continue;
            };
            let results = Arc::clone(self.stores.results());
            heads.spawn(async move {
                match results.head(&key, &ObjectVersion::CURRENT).await {
                    Ok(_) => Ok(None),
                    Err(StorageError::NotFound(_)) => Ok(Some(job.id)),
                    Err(error) => Err(error),
                }
            });
        }
        while let Some(head) = heads.join_next().await {
            let missing = head.map_err(|error| StorageError::from_io("check", RESULTS, error.into()))??;
            self.report.missing_archives.extend(missing);
        }
        Ok(())
    }

    /// Acts on the archive of a job at the key that its client chose, if there is one.
    async fn check_key(&mut self, job: &VideoJob) -> Result<(), ReconcileError> {
        if self.retried.contains(&job.id) {
            return Ok(());
        }
        let key = job.output_key.as_deref();
        let Some(key) = key.and_then(|key| key.parse::<ObjectKey>().ok()) else {
            return Ok(());
        };
        match self.archive(key, None).await? {
            Some((owner, archive)) if owner == job.id => self.act(job.id, Some(job), vec![archive]).await,
            _ => Ok(()),
        }
    }
}

/// Returns the job whose folder has this key.
fn job_of(key: &ObjectKey) -> Option<JobId> {
    let mut parts = key.as_str().split('/');
    parts.nth(1)?.parse().ok()
}
