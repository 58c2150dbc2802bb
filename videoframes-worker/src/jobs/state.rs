//! The state of followed jobs, and its text. Pure.

use std::collections::BTreeSet;

use videoframes_core::clock::UnixMillis;
use videoframes_core::jobs::{JobId, JobStatus, VideoJob};

use super::{progress, table};

/// The part of a job whose change is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    status: JobStatus,
    generation: u32,
    attempts: u32,
    stage: Option<&'static str>,
    error: Option<String>,
    cancel_requested: bool,
    frames: Option<(u64, u64)>,
}

impl Snapshot {
    pub(super) fn new(job: &VideoJob, with_progress: bool) -> Self {
        Self {
            status: job.status,
            generation: job.generation,
            attempts: job.attempts,
            stage: job.stage.map(|stage| stage.as_str()),
            error: table::error(job),
            cancel_requested: job.cancel_requested,
            frames: with_progress.then_some((job.frames_done, job.frames_total)),
        }
    }
}

/// Returns a job with its state as one line.
pub(super) fn line(job: &VideoJob, now: UnixMillis) -> String {
    format!("{}  {}", job.id, state(job, now))
}

fn state(job: &VideoJob, now: UnixMillis) -> String {
    let mut words = vec![job.status.to_string()];
    match job.status {
        JobStatus::Pending => {}
        JobStatus::Processing => {
            words.extend(job.stage.map(|stage| stage.as_str().to_owned()));
            words.extend(progress::long(job));
            words.extend(progress::duration(job, now).map(progress::human));
            if job.attempts > 1 {
                words.push(format!("attempt {}", job.attempts));
            }
            if job.cancel_requested {
                words.push("requested to stop".to_owned());
            }
        }
        JobStatus::Completed => {
            words.extend(
                job.result
                    .as_ref()
                    .map(|result| format!("{} pictures", result.frames)),
            );
            words.extend(progress::duration(job, now).map(progress::human));
        }
        JobStatus::RetryWait | JobStatus::Failed | JobStatus::Cancelled => words.extend(table::error(job)),
    }
    words.join("  ")
}

/// The followed jobs.
#[derive(Debug)]
pub(super) struct Followed {
    total: usize,
    /// Jobs that were not terminal so far.
    open: Vec<JobId>,
    completed: usize,
    /// Jobs that ended without a result.
    unsuccessful: Vec<VideoJob>,
    missing: Vec<JobId>,
}

impl Followed {
    pub(super) fn new(ids: &[JobId]) -> Self {
        let ids: BTreeSet<JobId> = ids.iter().copied().collect();
        Self {
            total: ids.len(),
            open: ids.into_iter().collect(),
            completed: 0,
            unsuccessful: Vec::new(),
            missing: Vec::new(),
        }
    }

    pub(super) fn open(&self) -> &[JobId] {
        &self.open
    }

    pub(super) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// Records the open jobs as they were read; others no longer exist.
    pub(super) fn update(&mut self, jobs: &[VideoJob]) {
        let read: BTreeSet<JobId> = jobs.iter().map(|job| job.id).collect();
        self.missing
            .extend(self.open.iter().filter(|id| !read.contains(id)));
        self.open.clear();
        for job in jobs {
            match job.status {
                JobStatus::Completed => self.completed += 1,
                JobStatus::Failed | JobStatus::Cancelled => self.unsuccessful.push(job.clone()),
                JobStatus::Pending | JobStatus::Processing | JobStatus::RetryWait => self.open.push(job.id),
            }
        }
    }

    /// Returns whether no worker has begun any of the jobs.
    pub(super) fn is_untouched(&self, jobs: &[VideoJob]) -> bool {
        self.open.len() == self.total && jobs.iter().all(|job| job.attempts == 0)
    }

    /// Returns the progress as one line. `jobs` are the open jobs and those that ended since the last call.
    pub(super) fn text(&self, jobs: &[VideoJob], now: UnixMillis) -> String {
        if let ([job], 1) = (jobs, self.total) {
            return state(job, now);
        }
        let with = |status| jobs.iter().filter(move |job| job.status == status);
        let processing = with(JobStatus::Processing);
        let percent = progress::percent_of_all(processing.clone());
        let mut words = vec![format!(
            "{} of {} ended",
            self.total - self.open.len(),
            self.total
        )];
        let unsuccessful = self.unsuccessful.len();
        let percent = percent.map(|percent| format!("processing ({percent}%)"));
        for (count, what) in [
            (unsuccessful, "without a result"),
            (processing.count(), percent.as_deref().unwrap_or("processing")),
            (with(JobStatus::RetryWait).count(), "retry_wait"),
            (with(JobStatus::Pending).count(), "pending"),
        ] {
            if count > 0 {
                words.push(format!("{count} {what}"));
            }
        }
        words.join(", ")
    }

    /// Returns why not all jobs are completed, and whether the reason is a missing job.
    pub(super) fn failure(&self) -> Option<(bool, String)> {
        match (self.missing.as_slice(), self.unsuccessful.as_slice()) {
            ([], []) => None,
            ([id, ..], []) => Some((true, format!("job {id} no longer exists"))),
            (_, [job]) if self.total == 1 => {
                let error = table::error(job).unwrap_or_default();
                Some((false, format!("the job is {}: {error}", job.status)))
            }
            (_, jobs) => {
                let cancelled = jobs
                    .iter()
                    .filter(|job| job.status == JobStatus::Cancelled)
                    .count();
                let text = format!(
                    "{} of {} jobs ended without a result: {} failed, {cancelled} cancelled",
                    jobs.len(),
                    self.total,
                    jobs.len() - cancelled
                );
                Some((false, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::progress::tests::job;
    use super::*;

    fn with_status(status: JobStatus) -> VideoJob {
        let mut job = job();
        job.status = status;
        if matches!(status, JobStatus::Failed | JobStatus::Cancelled) {
            job.error_code = Some("NO_SPACE".to_owned());
            job.error_message = Some("full".to_owned());
        }
        job
    }

    #[test]
    fn progress_is_reported_only_on_request() {
        let (before, mut after) = (job(), job());
        after.id = before.id;
        after.frames_done += 1;
        for with_progress in [false, true] {
            let [before, after] = [&before, &after].map(|job| Snapshot::new(job, with_progress));
            assert_eq!(before != after, with_progress);
        }
    }

    #[test]
    fn every_unsuccessful_end_is_a_failure() {
        use JobStatus::{Cancelled, Completed, Failed, Pending, Processing};
        for (statuses, is_done, failure) in [
            (&[Completed][..], true, None),
            (
                &[Failed],
                true,
                Some((false, "the job is failed: NO_SPACE: full")),
            ),
            (
                &[Cancelled],
                true,
                Some((false, "the job is cancelled: NO_SPACE: full")),
            ),
            (&[Completed, Completed], true, None),
            (
                &[Completed, Failed, Cancelled],
                true,
                Some((false, "2 of 3 jobs ended without a result: 1 failed, 1 cancelled")),
            ),
            (&[Completed, Pending], false, None),
            (&[Processing], false, None),
        ] {
            let jobs: Vec<VideoJob> = statuses.iter().copied().map(with_status).collect();
            let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
            let mut followed = Followed::new(&ids);
            followed.update(&jobs);
            let failure = failure.map(|(missing, text)| (missing, text.to_owned()));
            assert_eq!(
                (followed.is_done(), followed.failure()),
                (is_done, failure),
                "{statuses:?}"
            );
        }
    }

    #[test]
    fn a_deleted_job_is_missing() {
        let [kept, deleted] = [JobStatus::Processing, JobStatus::Pending].map(with_status);
        let mut followed = Followed::new(&[kept.id, deleted.id, kept.id]);
        assert!(followed.is_untouched(std::slice::from_ref(&kept)));
        let mut kept = kept;
        followed.update(&[kept.clone()]);
        assert_eq!(followed.open(), [kept.id]);
        let text = |kept: &VideoJob| followed.text(std::slice::from_ref(kept), kept.created_at);
        assert_eq!(text(&kept), "1 of 2 ended, 1 processing");
        (kept.frames_done, kept.frames_total) = (1, 3);
        assert_eq!(text(&kept), "1 of 2 ended, 1 processing (33%)");
        let mut ended = kept;
        ended.status = JobStatus::Completed;
        followed.update(&[ended]);
        let failure = (true, format!("job {} no longer exists", deleted.id));
        assert_eq!((followed.is_done(), followed.failure()), (true, Some(failure)));
    }
}
