//! Performs a reconciliation.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;

use super::decide::{Action, ArchiveFacts, RowFacts, decide};
use super::report::{ReconcileError, ReconcileReport};
use crate::clock::UnixMillis;
use crate::jobs::{
    JobFilter, JobId, JobRecord, JobRepo, JobRepoError, JobStatus, RestoreMark, RestoreRow, RestoreState,
    VideoJob,
};
use crate::processor::fault::{self, Point};
use crate::processor::keys::RESULTS;
use crate::processor::renditions::{is_archive, is_rendition};
use crate::processor::{adopt, mark, ownership};
use crate::storage::{ObjectEntry, ObjectInfo, ObjectKey, ObjectVersion, StorageError, Stores};

/// Number of objects per list request.
const PAGE: usize = 1000;
/// Number of rows per page, and of concurrent requests for their archives.
const ROWS: u32 = 100;

/// Options of a [`Reconciler`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ReconcileOptions {
    /// Retention of terminal jobs and of their results.
    pub retention: Duration,
    /// Whether to change nothing.
    pub dry_run: bool,
    /// Prefixes of keys that clients chose for results, in addition to the keys that rows name.
    pub prefixes: Vec<String>,
}

impl ReconcileOptions {
    /// Returns the options for workers with this retention.
    #[must_use]
    pub fn new(retention: Duration) -> Self {
        Self {
            retention,
            ..Self::default()
        }
    }

    /// Sets whether to change nothing.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets prefixes of keys that clients chose for results.
    #[must_use]
    pub fn prefixes(mut self, prefixes: impl IntoIterator<Item = String>) -> Self {
        self.prefixes = prefixes.into_iter().collect();
        self
    }
}

/// Reconciles the jobs of a database with a result store.
pub struct Reconciler {
    repo: Arc<dyn JobRepo>,
    stores: Stores,
    options: ReconcileOptions,
}

impl fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconciler")
            .field("stores", &self.stores)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// One pass over objects and rows.
struct Pass<'a> {
    repo: &'a dyn JobRepo,
    stores: &'a Stores,
    options: &'a ReconcileOptions,
    /// Time of the database.
    now: UnixMillis,
    report: ReconcileReport,
}

/// An archive with its metadata.
struct Archive {
    key: ObjectKey,
    info: ObjectInfo,
    record: Option<JobRecord>,
}

impl Reconciler {
    /// Returns a reconciler that has changed nothing yet.
    pub fn new(repo: Arc<dyn JobRepo>, stores: Stores, options: ReconcileOptions) -> Self {
        Self {
            repo,
            stores,
            options,
        }
    }

    /// Rebuilds lost rows from archives, retries and enqueues jobs, and accepts the restore of the database.
    ///
    /// Idempotent: may be repeated after an error or a crash. Workers may run.
    ///
    /// # Errors
    /// Returns the first error of database or store. Then the restore is not accepted.
    pub async fn run(&self) -> Result<ReconcileReport, ReconcileError> {
        let (row, store) = self.marks().await?;
        let mut pass = Pass {
            repo: self.repo.as_ref(),
            stores: &self.stores,
            options: &self.options,
            now: row.now,
            report: ReconcileReport::new(RestoreState::compare(&row, store.as_ref())),
        };
        pass.reconcile_results().await?;
        for prefix in &self.options.prefixes {
            pass.reconcile_prefix(prefix).await?;
        }
        fault::reached(Point::ReconcileListed);
        pass.reconcile_rows().await?;
        let mut report = pass.report;
        if !self.options.dry_run {
            report.accepted = Some(self.accept().await?);
        }
        Ok(report)
    }

    /// Accepts the restore of the database without any other change.
    ///
    /// # Errors
    /// Returns the error of database or store.
    pub async fn accept(&self) -> Result<RestoreMark, ReconcileError> {
        let (_, store) = self.marks().await?;
        let accepted = self.repo.accept_restore(store.as_ref()).await?;
        // As always, first the database and then the store: after a crash here, the database is ahead.
        fault::reached(Point::ReconcileAccepted);
        mark::write(self.stores.results().as_ref(), &accepted).await?;
        fault::reached(Point::ReconcileMarked);
        Ok(accepted.mark)
    }

    /// Returns the marks of database and store. An unreadable mark in the store is replaced at the end.
    async fn marks(&self) -> Result<(RestoreRow, Option<RestoreMark>), ReconcileError> {
        let store = match mark::read(self.stores.results().as_ref()).await {
            Ok(store) => store.map(|store| store.mark),
            Err(StorageError::Invalid { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        Ok((self.repo.restore_mark().await?, store))
    }
}

impl Pass<'_> {
    /// Reconciles the jobs that have archives in their own folders.
    async fn reconcile_results(&mut self) -> Result<(), ReconcileError> {
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
        let mut archives = Vec::new();
        // The archives of a completed or unfinished job are not needed.
        if needs_archives(found.as_ref()) {
            for entry in entries {
                archives.extend(
                    self.archive(entry.key, Some(job))
                        .await?
                        .map(|(_, archive)| archive),
                );
            }
            archives.sort_by_key(|archive| {
                // The newest first. Later claims have keys that are longer or sort later.
                let key = archive.key.as_str();
                std::cmp::Reverse((archive.info.modified, key.len(), key.to_owned()))
            });
            if archives.is_empty() {
                return Ok(());
            }
        }
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
        if is_rendition(&info) {
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
        let newest = archives.first();
        let facts = ArchiveFacts {
            generation: newest
                .and_then(|newest| newest.record.as_ref())
                .map(|record| record.generation),
            is_expired: newest.is_some_and(|newest| self.is_expired(&newest.info)),
        };
        let found = found.map(|job| RowFacts {
            status: job.status,
            generation: job.generation,
        });
        match decide(found, facts) {
            Action::Nothing => {}
            Action::Enqueue => self.report.adoptable += 1,
            Action::Rebuild => self.rebuild(job, archives).await?,
            Action::Retry => {
                if !self.options.dry_run {
                    self.repo.retry(job).await?;
                    fault::reached(Point::ReconcileRetried);
                }
                self.report.retried.push(job);
            }
            Action::Report => {
                let key = newest.map(|newest| newest.key.as_str());
                let reason = "the job has no row, and the object has no record of the request";
                self.report.problem(job, key, reason);
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
                Err(verdict) => {
                    reasons.push((key, verdict.error.message));
                    continue;
                }
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
    async fn reconcile_prefix(&mut self, prefix: &str) -> Result<(), ReconcileError> {
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
    async fn reconcile_rows(&mut self) -> Result<(), ReconcileError> {
        let mut filter = JobFilter::default().limit(ROWS);
        loop {
            let page = self.repo.list(&filter).await?;
            for job in &page.unreadable {
                self.report
                    .problem(job.id, None, format!("the row cannot be read: {}", job.reason));
            }
            let (terminal, mut unfinished): (Vec<_>, Vec<_>) =
                page.jobs.into_iter().partition(|job| job.status.is_terminal());
            // The retry has enqueued them.
            unfinished.retain(|job| !self.report.retried.contains(&job.id));
            self.report.unfinished += unfinished.len() as u64;
            if !self.options.dry_run && !unfinished.is_empty() {
                let ids: Vec<JobId> = unfinished.iter().map(|job| job.id).collect();
                self.repo.enqueue(&ids).await?;
                fault::reached(Point::ReconcileEnqueued);
            }
            let (completed, ended): (Vec<_>, Vec<_>) = terminal
                .into_iter()
                .partition(|job| job.status == JobStatus::Completed);
            self.check_archives(completed).await?;
            for job in ended {
                self.check_retry(&job).await?;
            }
            match page.next {
                Some(next) => filter = filter.after(next),
                None => return Ok(()),
            }
        }
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

    /// Retries a failed or cancelled job if the key that its client chose has an archive of a later generation.
    async fn check_retry(&mut self, job: &VideoJob) -> Result<(), ReconcileError> {
        let key = job
            .output_key
            .as_deref()
            .and_then(|key| key.parse::<ObjectKey>().ok());
        let Some(key) = key else {
            return Ok(());
        };
        match self.archive(key, None).await? {
            Some((owner, archive)) if owner == job.id => self.act(job.id, Some(job), vec![archive]).await,
            _ => Ok(()),
        }
    }
}

fn needs_archives(row: Option<&VideoJob>) -> bool {
    row.is_none_or(|job| matches!(job.status, JobStatus::Failed | JobStatus::Cancelled))
}

/// Returns the job whose folder has this key.
fn job_of(key: &ObjectKey) -> Option<JobId> {
    let mut parts = key.as_str().split('/');
    parts.nth(1)?.parse().ok()
}
