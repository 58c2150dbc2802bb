//! Progress and duration of a job, as shown to an operator. Pure.

use std::time::Duration;

use videoframes_core::clock::UnixMillis;
use videoframes_core::jobs::{JobStatus, Stage, VideoJob};

/// Returns the progress of a job in a few characters: percent, else a number of frames, else `-`.
pub(crate) fn short(job: &VideoJob) -> String {
    match (job.status, percent(job)) {
        (JobStatus::Completed, _) => "100%".to_owned(),
        (JobStatus::Pending | JobStatus::RetryWait, _) => "-".to_owned(),
        (_, Some(percent)) => format!("{percent}%"),
        (_, None) if job.frames_done > 0 => job.frames_done.to_string(),
        (_, None) => "-".to_owned(),
    }
}

/// Returns the progress of the current attempt with its numbers.
pub(super) fn long(job: &VideoJob) -> Option<String> {
    let what = match job.stage {
        Some(Stage::Compress) => "frames",
        _ => "pictures",
    };
    match (job.frames_done, job.frames_total, percent(job)) {
        (0, 0, _) => None,
        (done, _, None) => Some(format!("{done} {what}")),
        (done, total, Some(percent)) => Some(format!("{percent}% ({done} of {total} {what})")),
    }
}

/// Returns the percentage of an attempt whose total is known.
fn percent(job: &VideoJob) -> Option<u64> {
    percent_of_all([job])
}

/// Returns the percentage of the attempts whose total is known.
pub(super) fn percent_of_all<'a>(jobs: impl IntoIterator<Item = &'a VideoJob>) -> Option<u64> {
    let counts = jobs.into_iter().map(|job| {
        let done = job.frames_done.min(job.frames_total);
        (u128::from(done), u128::from(job.frames_total))
    });
    let (done, total) = counts.fold((0, 0), |(done, total), (d, t)| (done + d, total + t));
    (done * 100).checked_div(total)?.try_into().ok()
}

/// Returns the time from the start of the first attempt to the end of the job, or to `now`.
pub(super) fn duration(job: &VideoJob, now: UnixMillis) -> Option<Duration> {
    let end = job.finished_at.unwrap_or(now);
    Some(end.since(job.begun_at?))
}

/// Returns a duration in at most six characters.
pub(crate) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..10 => format!("{}.{}s", seconds, duration.subsec_millis() / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;
    use videoframes_core::clock::ManualClock;
    use videoframes_core::jobs::{Enqueue, JobId, JobRepo, MemoryJobRepo, NewJob};
    use videoframes_core::tenant::{Priority, Tenant};

    use super::*;

    /// Returns a pending job.
    pub(in super::super) fn job() -> VideoJob {
        let new = NewJob {
            id: JobId::random(),
            idempotency_key: "key".to_owned(),
            payload_hash: String::new(),
            source: json!({"key": "talks/one.mp4"}).into(),
            options: json!({}).into(),
            output_key: None,
            client_metadata: None,
            sequencer: None,
            message_id: None,
            time_limit: None,
            work_limit: None,
            rejection: None,
            trace: None,
            tenant: Tenant::default(),
            priority: Priority::default(),
        };
        let repo = MemoryJobRepo::new(std::sync::Arc::new(ManualClock::default()));
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let job = runtime.map(|runtime| {
            runtime.block_on(async {
                let id = new.id;
                let submitted = repo.submit(&[new], Enqueue::AlreadyQueued).await;
                assert!(submitted.is_ok());
                repo.get(id).await.ok().flatten()
            })
        });
        job.ok()
            .flatten()
            .unwrap_or_else(|| unreachable!("the job was submitted"))
    }

    #[test]
    fn progress_is_a_percentage_where_the_total_is_known() {
        use JobStatus::{Completed, Failed, Pending, Processing, RetryWait};
        for (status, done, total, expected, numbers) in [
            (Pending, 0, 0, "-", None),
            (Processing, 0, 0, "-", None),
            (Processing, 7, 0, "7", Some("7 pictures")),
            (Processing, 45, 121, "37%", Some("37% (45 of 121 pictures)")),
            (Processing, 199, 200, "99%", Some("99% (199 of 200 pictures)")),
            (Processing, 9, 8, "100%", Some("100% (9 of 8 pictures)")),
            (RetryWait, 4, 8, "-", Some("50% (4 of 8 pictures)")),
            (Failed, 4, 8, "50%", Some("50% (4 of 8 pictures)")),
            (Completed, 0, 0, "100%", None),
            (Processing, u64::MAX, u64::MAX, "100%", None),
        ] {
            let mut job = job();
            (job.status, job.frames_done, job.frames_total) = (status, done, total);
            assert_eq!(short(&job), expected, "{status} {done} {total}");
            if done < u64::MAX {
                assert_eq!(long(&job).as_deref(), numbers, "{status} {done} {total}");
            }
        }
    }

    #[test]
    fn the_duration_starts_with_the_first_attempt() {
        let mut job = job();
        let at = UnixMillis::new;
        assert_eq!(duration(&job, at(9000)), None);
        job.begun_at = Some(at(2000));
        assert_eq!(duration(&job, at(9000)), Some(Duration::from_secs(7)));
        assert_eq!(
            duration(&job, at(1000)),
            Some(Duration::ZERO),
            "clocks may differ"
        );
        job.finished_at = Some(at(3000));
        assert_eq!(duration(&job, at(9000)), Some(Duration::from_secs(1)));
    }

    #[test]
    fn durations_have_at_most_six_characters() {
        for (millis, text) in [
            (0, "0.0s"),
            (4250, "4.2s"),
            (59_999, "59s"),
            (60_000, "1m00s"),
            (3_599_000, "59m59s"),
            (12_000_000, "3h20m"),
            (86_399_000, "23h59m"),
            (446_400_000, "5d04h"),
        ] {
            assert_eq!(human(Duration::from_millis(millis)), text);
        }
    }
}
