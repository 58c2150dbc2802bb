//! Changes of all jobs of a filter, page by page, each by a separate call.

use videoframes_core::clock::{Clock, SystemClock};
use videoframes_core::jobs::{JobFilter, JobId, JobRepo, JobRepoError, VideoJob};

use super::tally::{Change, Tally};

/// Number of jobs per page.
const PAGE: u32 = 500;

/// Changes one job. Returns the job after the change, or `None` if it does not exist.
pub(crate) async fn change_job(
    repo: &dyn JobRepo,
    job: JobId,
    change: Change,
) -> Result<Option<VideoJob>, JobRepoError> {
    match change {
        Change::Cancel => repo.cancel(job).await,
        Change::Retry => repo.retry(job).await,
    }
}

/// Changes the jobs of a filter, until `go_on` returns false. Returns whether all jobs were examined.
///
/// The tally also counts the changes before an error.
pub(crate) async fn change_jobs(
    repo: &dyn JobRepo,
    filter: JobFilter,
    change: Change,
    tally: &mut Tally,
    mut go_on: impl FnMut(&Tally) -> bool,
) -> Result<bool, JobRepoError> {
    let mut pages = Pages::new(repo, filter);
    while let Some(jobs) = pages.next(tally).await? {
        for job in jobs {
            if !go_on(tally) {
                return Ok(false);
            }
            if let Some(reason) = change.obstacle(&job, SystemClock.now()) {
                tally.skipped(reason);
                continue;
            }
            match change_job(repo, job.id, change).await {
                Ok(Some(job)) => tally.changed(&job),
                Ok(None) => tally.skipped("deleted meanwhile"),
                Err(JobRepoError::WrongState(status)) => tally.skipped(status.to_string()),
                Err(JobRepoError::Unreadable(_)) => tally.skipped("unreadable"),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(true)
}

/// Counts the jobs of a filter that can be changed, until `go_on` returns false for one of them. Returns whether all
/// jobs were examined.
pub(crate) async fn count_jobs(
    repo: &dyn JobRepo,
    filter: JobFilter,
    change: Change,
    tally: &mut Tally,
    mut go_on: impl FnMut(VideoJob, &Tally) -> bool,
) -> Result<bool, JobRepoError> {
    let mut pages = Pages::new(repo, filter);
    while let Some(jobs) = pages.next(tally).await? {
        for job in jobs {
            match change.obstacle(&job, SystemClock.now()) {
                Some(reason) => tally.skipped(reason),
                None => {
                    tally.changeable();
                    if !go_on(job, tally) {
                        return Ok(false);
                    }
                }
            }
        }
    }
    Ok(true)
}

/// The pages of a list.
struct Pages<'a> {
    repo: &'a dyn JobRepo,
    filter: JobFilter,
    is_last: bool,
}

impl<'a> Pages<'a> {
    fn new(repo: &'a dyn JobRepo, filter: JobFilter) -> Self {
        Self {
            repo,
            filter: filter.limit(PAGE),
            is_last: false,
        }
    }

    /// Returns the next page, or `None` after the last page. Counts unreadable jobs as skipped.
    async fn next(&mut self, tally: &mut Tally) -> Result<Option<Vec<VideoJob>>, JobRepoError> {
        if self.is_last {
            return Ok(None);
        }
        let page = self.repo.list(&self.filter).await?;
        for _ in &page.unreadable {
            tally.skipped("unreadable");
        }
        self.is_last = page.next.is_none();
        self.filter.after = page.next;
        Ok(Some(page.jobs))
    }
}
