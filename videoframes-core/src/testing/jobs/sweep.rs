//! Sweeps: jobs with lost messages are enqueued again.

use std::sync::Arc;

use super::harness::{
    HOUR, JobRepoHarness, LEASE, MINUTE, SWEEP, Subject, completed, failed, limited, new_job,
};
use crate::jobs::{Enqueue, ErrorCode, JobError, JobProgress, JobStatus, NewJob, Stage, SweepTerms, Swept};
use crate::tenant::Priority;

const OVERDUE: std::time::Duration = SWEEP.overdue;
const NOTHING: Swept = Swept {
    enqueued: 0,
    failed: 0,
    crashed: 0,
    cancelled: 0,
    forgotten: 0,
    unparked: 0,
};
const ONE_ENQUEUED: Swept = Swept {
    enqueued: 1,
    ..NOTHING
};

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    a_pending_job_is_enqueued_again_when_overdue(harness).await;
    an_unsent_message_is_not_duplicated(harness).await;
    a_job_is_overdue_only_after_its_attempt_is_due(harness).await;
    a_job_of_a_crashed_worker_is_enqueued_again(harness).await;
    a_held_job_is_not_enqueued(harness).await;
    a_released_job_starts_a_new_wait(harness).await;
    a_terminal_job_is_never_enqueued(harness).await;
    a_sweep_enqueues_a_limited_number(harness).await;
    a_waiting_job_is_not_enqueued(harness).await;
    a_job_overtaken_by_later_ones_is_enqueued(harness).await;
    a_job_overtaken_by_other_tenants_only_waits(harness).await;
    a_lost_message_beside_a_permanent_backlog_is_replaced(harness).await;
    sweeps_reach_all_tenants_with_jobs_in_work(harness).await;
    concurrent_sweeps_do_the_work_of_one(harness).await;
}

async fn a_pending_job_is_enqueued_again_when_overdue(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    assert_eq!(on.sweep().await, NOTHING, "an empty repository needs no sweep");
    let id = on.submit(new_job("a")).await;
    assert_eq!(on.sweep().await, NOTHING);
    on.advance(OVERDUE - MINUTE).await;
    assert_eq!(on.sweep().await, NOTHING, "the message may still be delivered");
    on.advance(MINUTE * 2).await;
    let mut waited = OVERDUE + MINUTE;
    // A job that only waits is enqueued with increasing intervals.
    for _ in 0..4 {
        assert_eq!(on.sweep().await, ONE_ENQUEUED);
        assert_eq!(on.sweep().await, NOTHING, "the message waits in the outbox");
        on.enqueued(&[id]).await;
        assert_eq!(on.sweep().await, NOTHING, "the message has just been sent");
        on.advance(waited - MINUTE).await;
        assert_eq!(on.sweep().await, NOTHING, "the message may still be delivered");
        on.advance(MINUTE * 2).await;
        waited = waited * 2 + MINUTE;
    }
    let job = on.get(id).await;
    assert_eq!((job.status, job.attempts), (JobStatus::Pending, 0));
    on.claim(id).await;
}

async fn an_unsent_message_is_not_duplicated(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let jobs = [new_job("a")];
    let submitted = on.repo.submit(&jobs, Enqueue::ThroughOutbox).await;
    assert!(submitted.is_ok(), "{submitted:?}");
    on.advance(OVERDUE * 10).await;
    assert_eq!(
        on.sweep().await,
        NOTHING,
        "the relay is late, but the message is not lost"
    );
    on.enqueued(&[jobs[0].id]).await;
    assert_eq!(
        on.sweep().await,
        ONE_ENQUEUED,
        "the age of a message counts from its creation"
    );
    on.enqueued(&[jobs[0].id]).await;
}

async fn a_job_is_overdue_only_after_its_attempt_is_due(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    let error = JobError::new(ErrorCode::SourceUnavailable, "503");
    let given = on.repo.retry_later(&lease, &error, OVERDUE * 4).await;
    assert!(given.is_ok(), "{given:?}");
    on.advance(OVERDUE * 3).await;
    assert_eq!(on.sweep().await, NOTHING, "the job is not due");
    on.advance(OVERDUE + MINUTE).await;
    assert_eq!(on.sweep().await, NOTHING, "the job is not overdue");
    on.advance(OVERDUE).await;
    assert_eq!(on.sweep().await, ONE_ENQUEUED);
    on.enqueued(&[id]).await;
    let job = on.get(id).await;
    assert_eq!((job.status, job.error()), (JobStatus::RetryWait, Some(error)));
}

async fn a_job_of_a_crashed_worker_is_enqueued_again(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    on.advance(OVERDUE * 2).await;
    let (id, _) = on.claimed("a").await;
    on.advance(LEASE + OVERDUE - MINUTE).await;
    assert_eq!(on.sweep().await, NOTHING, "the lease expired recently");
    on.advance(MINUTE * 2).await;
    assert_eq!(on.sweep().await, ONE_ENQUEUED);
    on.enqueued(&[id]).await;
    let job = on.get(id).await;
    assert_eq!(job.status, JobStatus::Processing, "the next claim decides");
    assert_eq!((job.attempts, job.crash_count), (1, 0));
    on.claim(id).await;
    assert_eq!(on.get(id).await.crash_count, 1);
}

async fn a_held_job_is_not_enqueued(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    let progress = JobProgress {
        stage: Stage::Extract,
        frames_done: 1,
        frames_total: 9,
    };
    for _ in 0..10 {
        on.advance(LEASE - MINUTE).await;
        let renewed = on.repo.renew(&lease, LEASE, progress).await;
        assert!(renewed.is_ok(), "{renewed:?}");
    }
    let before = on.snapshot(id).await;
    assert_eq!(on.sweep().await, NOTHING, "a worker holds the job");
    assert_eq!(on.snapshot(id).await, before);
}

async fn a_released_job_starts_a_new_wait(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (id, lease) = on.claimed("a").await;
    on.advance(OVERDUE * 3).await;
    on.repo.release(&lease).await.expect("releasing");
    on.advance(OVERDUE - MINUTE).await;
    assert_eq!(on.sweep().await, NOTHING, "the job is not overdue");
    on.advance(MINUTE * 2).await;
    assert_eq!(on.sweep().await, ONE_ENQUEUED);
    on.enqueued(&[id]).await;
}

async fn a_terminal_job_is_never_enqueued(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    for (key, outcome) in [("a", completed("a.zip")), ("b", failed())] {
        let (_, lease) = on.claimed(key).await;
        on.finish(&lease, &outcome).await;
    }
    let cancelled = on.submit(new_job("c")).await;
    on.repo.cancel(cancelled).await.expect("cancelling");
    on.drain().await;
    on.advance(OVERDUE * 10).await;
    assert_eq!(on.sweep().await, NOTHING);

    // A retried job starts a new wait.
    on.repo.retry(cancelled).await.expect("retrying");
    on.enqueued(&[cancelled]).await;
    on.advance(OVERDUE - MINUTE).await;
    assert_eq!(on.sweep().await, NOTHING);
    on.advance(MINUTE * 2).await;
    assert_eq!(on.sweep().await, ONE_ENQUEUED);
}

async fn a_sweep_enqueues_a_limited_number(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let mut ids = Vec::new();
    for key in ["a", "b", "c"] {
        ids.push(on.submit(new_job(key)).await);
    }
    on.advance(HOUR).await;
    let terms = SweepTerms { most: 2, ..SWEEP };
    for expected in [2, 1, 0] {
        let swept = on.repo.sweep(&terms).await.expect("sweeping");
        assert_eq!(swept.enqueued, expected);
    }
    on.enqueued(&ids).await;
}

/// Sweeps without knowing when the queue was last empty.
async fn sweep_backlog(on: &Subject<'_>) -> Swept {
    let terms = SweepTerms {
        drained: None,
        ..SWEEP
    };
    on.repo.sweep(&terms).await.expect("sweeping")
}

async fn a_waiting_job_is_not_enqueued(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let (in_work, lease) = on.claimed("in work").await;
    let mut waiting = Vec::new();
    for n in 0..5 {
        waiting.push(on.submit(new_job(&format!("waiting {n}"))).await);
    }
    for _ in 0..4 {
        on.advance(OVERDUE * 2).await;
        assert_eq!(sweep_backlog(&on).await, NOTHING, "no worker waits for messages");
        let progress = JobProgress {
            stage: Stage::Extract,
            frames_done: 0,
            frames_total: 0,
        };
        let renewed = on.repo.renew(&lease, LEASE, progress).await;
        assert!(renewed.is_ok(), "{renewed:?}");
        assert_eq!(
            sweep_backlog(&on).await,
            NOTHING,
            "the running job was submitted earlier"
        );
    }
    on.outbox_is_empty("nothing was enqueued").await;
    // The queue was empty before the jobs were submitted, which says nothing about them.
    let terms = |ago| SweepTerms {
        drained: Some(ago),
        ..SWEEP
    };
    let long_ago = on.repo.sweep(&terms(OVERDUE * 9)).await.expect("sweeping");
    assert_eq!(long_ago, NOTHING);
    let lately = on.repo.sweep(&terms(OVERDUE)).await.expect("sweeping");
    assert_eq!(lately.enqueued, 5);
    on.enqueued(&waiting).await;
    assert_eq!(on.status(in_work).await, JobStatus::Processing);
}

async fn a_job_overtaken_by_other_tenants_only_waits(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let of = |key: &str, tenant: &str, priority| NewJob {
        tenant: tenant.parse().unwrap_or_default(),
        priority,
        ..new_job(key)
    };
    let lost = on.submit(of("lost", "many", Priority::Normal)).await;
    on.advance(OVERDUE * 2).await;
    let other = on.submit(of("other", "one", Priority::Normal)).await;
    let urgent = on.submit(of("urgent", "many", Priority::High)).await;
    let later = on.submit(of("later", "many", Priority::Normal)).await;
    for id in [other, urgent] {
        on.claim(id).await;
    }
    assert_eq!(sweep_backlog(&on).await, NOTHING, "tenants are served in turn");
    on.claim(later).await;
    assert_eq!(sweep_backlog(&on).await, ONE_ENQUEUED);
    on.enqueued(&[lost]).await;
}

async fn a_job_overtaken_by_later_ones_is_enqueued(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let lost = on.submit(new_job("lost")).await;
    on.advance(OVERDUE - MINUTE).await;
    let soon = on.submit(new_job("soon after")).await;
    on.advance(MINUTE * 2).await;
    let later = on.submit(new_job("later")).await;
    let requested = NewJob {
        message_id: Some("queue/7".to_owned()),
        ..new_job("requested by the current message")
    };
    let requested = on.submit(requested).await;
    on.advance(OVERDUE).await;
    on.claim(requested).await;
    assert_eq!(
        sweep_backlog(&on).await,
        NOTHING,
        "the message is older than the row"
    );
    let lease = on.claim(soon).await;
    on.claim(later).await;
    assert_eq!(
        sweep_backlog(&on).await,
        NOTHING,
        "messages are delivered out of order"
    );
    on.finish(&lease, &failed()).await;
    on.drain().await;
    assert_eq!(sweep_backlog(&on).await, ONE_ENQUEUED);
    on.enqueued(&[lost]).await;
    assert_eq!(
        sweep_backlog(&on).await,
        NOTHING,
        "the job waits behind the others again"
    );
}

fn of_tenant(tenant: &str, key: &str) -> NewJob {
    NewJob {
        tenant: tenant.parse().unwrap_or_default(),
        ..new_job(&format!("{tenant} {key}"))
    }
}

/// No job of the small tenant is in work, and the queue is never empty.
async fn a_lost_message_beside_a_permanent_backlog_is_replaced(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    let busy = SweepTerms {
        drained: None,
        ..SWEEP
    };
    let lost = on.submit(of_tenant("small", "lost")).await;
    for hours in [5, 2] {
        on.advance(HOUR * hours).await;
        let id = on.submit(of_tenant("large", &hours.to_string())).await;
        let lease = on.claim(id).await;
        let swept = on.repo.sweep(&busy).await.expect("sweeping");
        assert_eq!(swept.enqueued, u64::from(hours == 2), "{hours}");
        on.finish(&lease, &failed()).await;
    }
    let mut messages = on.drain().await;
    messages.retain(|message| message.job == lost);
    assert_eq!(messages.len(), 1, "{messages:?}");
}

/// A sweep examines a limited number of tenants with jobs in work.
async fn sweeps_reach_all_tenants_with_jobs_in_work(harness: &dyn JobRepoHarness) {
    const TENANTS: u64 = 102;
    let on = Subject::fresh(harness).await;
    let tenants: Vec<String> = (0..TENANTS).map(|n| format!("tenant-{n:03}")).collect();
    for tenant in &tenants {
        on.submit(of_tenant(tenant, "lost")).await;
    }
    on.advance(OVERDUE + MINUTE).await;
    for tenant in &tenants {
        let later = on.submit(of_tenant(tenant, "later")).await;
        on.claim(later).await;
    }
    let terms = SweepTerms {
        drained: None,
        most: 1000,
        ..SWEEP
    };
    let mut enqueued = 0;
    for _ in 0..2 {
        enqueued += on.repo.sweep(&terms).await.expect("sweeping").enqueued;
    }
    assert_eq!(enqueued, TENANTS);
}

async fn concurrent_sweeps_do_the_work_of_one(harness: &dyn JobRepoHarness) {
    let on = Subject::fresh(harness).await;
    for round in 0..10 {
        let overdue = on.submit(new_job(&format!("overdue {round}"))).await;
        let late = on.submit(limited(&format!("late {round}"), MINUTE)).await;
        on.advance(HOUR).await;
        let sweeps: Vec<_> = (0..4)
            .map(|_| {
                let repo = Arc::clone(&on.repo);
                tokio::spawn(async move { repo.sweep(&SWEEP).await })
            })
            .collect();
        let mut total = NOTHING;
        for sweep in sweeps {
            let swept = sweep.await.expect("a task").expect("sweeping");
            total.enqueued += swept.enqueued;
            total.failed += swept.failed;
        }
        assert_eq!(
            (total.enqueued, total.failed),
            (1, 1),
            "every change is made once"
        );
        let messages = on.drain().await;
        let count = |job| messages.iter().filter(|message| message.job == job).count();
        assert_eq!((count(overdue), count(late), messages.len()), (1, 1, 2));
        let lease = on.claim(overdue).await;
        on.finish(&lease, &failed()).await;
        on.drain().await;
    }
}
