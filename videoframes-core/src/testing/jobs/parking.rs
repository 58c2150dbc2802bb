//! Parking: jobs over the limit of their tenant wait for a place.

use std::sync::Arc;
use std::time::Duration;

use super::events::event;
use super::harness::{
    CLAIM, HOUR, JobRepoHarness, LEASE, MINUTE, Subject, completed, failed, limited, new_job,
};
use crate::jobs::{
    AttemptOutcome, Claim, ErrorCode, JobError, JobId, JobProgress, JobStatus, Lease, NewJob,
    OutboxDestination, Stage, SweepTerms, Swept,
};
use crate::tenant::Priority;

const TWO: &str = r#"{"tenants": {"acme": {"max_jobs": 2}}}"#;
const ONE: &str = r#"{"default": {"max_jobs": 1}}"#;

const PROGRESS: JobProgress = JobProgress {
    stage: Stage::Extract,
    frames_done: 0,
    frames_total: 0,
};

pub(super) async fn check(harness: &dyn JobRepoHarness) {
    a_claim_over_the_limit_parks_the_job(harness).await;
    every_end_of_a_lease_unparks_a_job(harness).await;
    no_later_job_overtakes_a_parked_job(harness).await;
    an_end_without_a_worker_unparks_a_job_at_once(harness).await;
    a_superseded_parked_job_unparks_the_next_job(harness).await;
    a_lost_message_of_a_parked_job_is_replaced(harness).await;
    parallel_claims_do_not_exceed_the_limit(harness).await;
    a_parked_job_is_not_abandoned(harness).await;
    a_parked_job_ends_like_any_waiting_job(harness).await;
    a_job_of_a_crashed_worker_is_parked(harness).await;
    sweeps_reach_every_tenant(harness).await;
}

fn of_acme(key: &str, priority: Priority) -> NewJob {
    NewJob {
        tenant: "acme".parse().unwrap_or_default(),
        priority,
        ..new_job(key)
    }
}

async fn submit(on: &Subject<'_>, key: &str) -> JobId {
    on.submit(of_acme(key, Priority::Normal)).await
}

async fn park(on: &Subject<'_>, id: JobId) {
    let claim = on.repo.claim(id, "worker", &CLAIM).await.expect("claiming");
    assert_eq!(claim, Claim::Parked(None));
}

/// Claims a job that waits for parked jobs, of which `first` may start.
async fn wait_for(on: &Subject<'_>, id: JobId, first: JobId) {
    let claim = on.repo.claim(id, "worker", &CLAIM).await.expect("claiming");
    assert_eq!(claim, Claim::Parked(Some(first)));
    let job = on.get(id).await;
    assert!(
        job.status == JobStatus::Pending && job.parked_at.is_some(),
        "{job:?}"
    );
}

/// Drains the outbox and checks that it contains exactly one message about this job, at the front of its tenant.
async fn unparked(on: &Subject<'_>, id: JobId) {
    let mut messages = on.drain().await;
    messages.retain(|message| message.destination == OutboxDestination::Input);
    assert_eq!(messages.len(), 1, "one message: {messages:?}");
    assert_eq!((messages[0].job, messages[0].redelivery), (id, true));
    on.is_about_its_job(&messages[0]).await;
}

async fn a_claim_over_the_limit_parks_the_job(harness: &dyn JobRepoHarness) {
    let on = Subject::limited(harness, TWO).await;
    let first = submit(&on, "1").await;
    let lease = on.claim(first).await;
    let second = submit(&on, "2").await;
    on.claim(second).await;
    let older = submit(&on, "older").await;
    on.advance(MINUTE).await;
    let younger = submit(&on, "younger").await;
    let urgent = on.submit(of_acme("urgent", Priority::High)).await;
    for id in [younger, urgent, older] {
        park(&on, id).await;
        let job = on.get(id).await;
        assert_eq!(
            (job.status, job.attempts, job.lease_epoch.get()),
            (JobStatus::Pending, 0, 0)
        );
        assert!(job.parked_at.is_some());
        park(&on, id).await;
        assert_eq!(on.get(id).await, job, "a repeated claim changes nothing");
    }
    assert_eq!(on.repo.unfinished().await.expect("counting").parked, 3);
    on.outbox_is_empty("a parked job has no message").await;
    on.claimed("of another tenant").await;

    // The job with the highest priority, then the oldest.
    let mut in_work = [lease, on_lease(&on, second).await].into_iter();
    for id in [urgent, older, younger] {
        let lease = match in_work.next() {
            Some(lease) => lease,
            None => on_lease(&on, urgent).await,
        };
        on.finish(&lease, &failed()).await;
        unparked(&on, id).await;
        on.claim(id).await;
        assert_eq!(on.get(id).await.parked_at, None);
    }
}

/// Returns the lease of a job in work.
async fn on_lease(on: &Subject<'_>, job: JobId) -> Lease {
    let epoch = on.get(job).await.lease_epoch;
    Lease { job, epoch }
}

async fn every_end_of_a_lease_unparks_a_job(harness: &dyn JobRepoHarness) {
    let error = JobError::new(ErrorCode::SourceUnavailable, "503");
    for way in 0..6 {
        let on = Subject::limited(harness, ONE).await;
        let id = submit(&on, "1").await;
        let lease = on.claim(id).await;
        let waiting = submit(&on, "2").await;
        park(&on, waiting).await;
        match way {
            0 => drop(
                on.repo
                    .finish(&lease, &completed("results/a.zip"))
                    .await
                    .expect("finishing"),
            ),
            1 => on.repo.retry_later(&lease, &error, HOUR).await.expect("waiting"),
            2 => on.repo.defer(&lease, &error, HOUR).await.expect("deferring"),
            3 => on.repo.release(&lease).await.expect("releasing"),
            4 => {
                on.advance(LEASE + MINUTE).await;
                on.repo.cancel(id).await.expect("cancelling");
            }
            _ => {
                on.advance(LEASE + MINUTE).await;
                let terms = SweepTerms {
                    drained: None,
                    ..super::harness::SWEEP
                };
                let swept = on.repo.sweep(&terms).await.expect("sweeping");
                assert_eq!(
                    swept,
                    Swept {
                        unparked: 1,
                        ..Swept::default()
                    },
                    "the lease is lost"
                );
            }
        }
        unparked(&on, waiting).await;
        on.claim(waiting).await;
    }
}

async fn no_later_job_overtakes_a_parked_job(harness: &dyn JobRepoHarness) {
    let on = Subject::limited(harness, ONE).await;
    let id = submit(&on, "1").await;
    let lease = on.claim(id).await;
    let older = submit(&on, "older").await;
    park(&on, older).await;
    on.advance(MINUTE).await;
    let younger = submit(&on, "younger").await;
    on.finish(&lease, &failed()).await;
    unparked(&on, older).await;
    // The message of the younger job is received first.
    wait_for(&on, younger, older).await;
    wait_for(&on, younger, older).await;
    on.outbox_is_empty("the older job has a message").await;
    on.claim(older).await;
    // The worker crashes: nobody writes a message about the parked job.
    on.advance(LEASE + MINUTE).await;
    let last = submit(&on, "last").await;
    wait_for(&on, last, younger).await;
    unparked(&on, younger).await;
    let urgent = on.submit(of_acme("urgent", Priority::High)).await;
    let lease = on.claim(urgent).await;
    park(&on, younger).await;
    on.finish(&lease, &failed()).await;
    unparked(&on, younger).await;

    // A place for each.
    let on = Subject::limited(harness, TWO).await;
    let mut leases = Vec::new();
    for key in ["1", "2"] {
        let id = submit(&on, key).await;
        leases.push(on.claim(id).await);
    }
    let older = submit(&on, "older").await;
    park(&on, older).await;
    on.advance(LEASE + MINUTE).await;
    let younger = submit(&on, "younger").await;
    on.claim(younger).await;
    unparked(&on, older).await;
    on.claim(older).await;
}

async fn an_end_without_a_worker_unparks_a_job_at_once(harness: &dyn JobRepoHarness) {
    let on = Subject::limited(harness, ONE).await;
    let late = NewJob {
        tenant: "acme".parse().unwrap_or_default(),
        ..limited("late", LEASE)
    };
    let late = on.submit(late).await;
    on.claim(late).await;
    let (unwanted, waiting) = (submit(&on, "2").await, submit(&on, "3").await);
    park(&on, unwanted).await;
    park(&on, waiting).await;
    on.advance(LEASE + MINUTE).await;
    // Enqueues nothing but what the end of the job enqueues.
    let terms = SweepTerms {
        most: 0,
        drained: None,
        ..super::harness::SWEEP
    };
    let swept = on.repo.sweep(&terms).await.expect("sweeping");
    assert_eq!((swept.failed, swept.unparked), (1, 1), "{swept:?}");
    assert_eq!(on.status(late).await, JobStatus::Failed);
    unparked(&on, unwanted).await;
    // The place of a job that is cancelled before it starts.
    on.repo.cancel(unwanted).await.expect("cancelling");
    unparked(&on, waiting).await;
}

async fn a_superseded_parked_job_unparks_the_next_job(harness: &dyn JobRepoHarness) {
    let on = Subject::limited(harness, ONE).await;
    let event = |key, sequencer| NewJob {
        tenant: "acme".parse().unwrap_or_default(),
        ..event(key, sequencer)
    };
    let lease = on.claim(submit(&on, "1").await).await;
    let older = on.submit(event("older", "1A")).await;
    park(&on, older).await;
    on.advance(MINUTE).await;
    let next = submit(&on, "next").await;
    park(&on, next).await;
    on.finish(&lease, &failed()).await;
    unparked(&on, older).await;
    on.submit(event("newer", "1B")).await;
    assert_eq!(on.status(older).await, JobStatus::Cancelled);
    unparked(&on, next).await;
    on.claim(next).await;
}

async fn a_lost_message_of_a_parked_job_is_replaced(harness: &dyn JobRepoHarness) {
    let on = Subject::limited(harness, ONE).await;
    let id = submit(&on, "1").await;
    let lease = on.claim(id).await;
    let waiting = submit(&on, "2").await;
    park(&on, waiting).await;
    on.finish(&lease, &failed()).await;
    unparked(&on, waiting).await;
    assert_eq!(on.sweep().await.enqueued, 0, "the message may be in the queue");
    on.advance(HOUR).await;
    assert_eq!(on.sweep().await.enqueued, 1);
    on.enqueued(&[waiting]).await;
    on.claim(waiting).await;
}

async fn parallel_claims_do_not_exceed_the_limit(harness: &dyn JobRepoHarness) {
    let on = Subject::limited(harness, TWO).await;
    let mut claims = Vec::new();
    for n in 0..12 {
        let id = submit(&on, &n.to_string()).await;
        let repo = Arc::clone(&on.repo);
        claims.push(async move { repo.claim(id, &format!("worker/{n}"), &CLAIM).await });
    }
    let claims: Vec<_> = claims.into_iter().map(tokio::spawn).collect();
    let (mut claimed, mut parked) = (0, 0);
    for claim in claims {
        match claim.await.expect("a claimant").expect("claiming") {
            Claim::Claimed(..) => claimed += 1,
            Claim::Parked(None) => parked += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((claimed, parked), (2, 10));
}

async fn a_parked_job_is_not_abandoned(harness: &dyn JobRepoHarness) {
    let on = Subject::limited(harness, ONE).await;
    let (id, waiting) = (submit(&on, "1").await, submit(&on, "2").await);
    let lease = on.claim(id).await;
    park(&on, waiting).await;
    for _ in 0..10 {
        on.advance(LEASE - MINUTE).await;
        on.repo.renew(&lease, LEASE, PROGRESS).await.expect("renewing");
        assert_eq!(on.sweep().await, Swept::default());
    }
    assert_eq!(on.repo.stats(&[]).await.expect("statistics").oldest_wait, None);
    // After a restore, its message may be lost.
    assert_eq!(on.repo.enqueue(&[waiting]).await.expect("enqueuing"), 1);
    on.enqueued(&[waiting]).await;
    park(&on, waiting).await;
    on.finish(&lease, &failed()).await;
    on.claim(waiting).await;
}

async fn a_parked_job_ends_like_any_waiting_job(harness: &dyn JobRepoHarness) {
    let on = Subject::limited(harness, ONE).await;
    let id = submit(&on, "in work").await;
    on.claim(id).await;
    let unwanted = submit(&on, "unwanted").await;
    let late = NewJob {
        tenant: "acme".parse().unwrap_or_default(),
        ..limited("late", Duration::from_secs(120))
    };
    let late = on.submit(late).await;
    let event = |key: &str, sequencer: &str| NewJob {
        sequencer: Some(sequencer.to_owned()),
        ..of_acme(key, Priority::Normal)
    };
    let older = on.submit(event("older", "01")).await;
    for id in [unwanted, late, older] {
        park(&on, id).await;
    }
    on.repo.cancel(unwanted).await.expect("cancelling");
    let newer = on.submit(event("newer", "02")).await;
    on.advance(MINUTE * 3).await;
    on.sweep().await;
    for (id, code) in [
        (unwanted, "CANCELLED"),
        (late, "DEADLINE_EXCEEDED"),
        (older, "SUPERSEDED"),
    ] {
        let job = on.get(id).await;
        assert_eq!((job.error_code.as_deref(), job.parked_at), (Some(code), None));
    }
    on.drain().await;
    on.repo.retry(unwanted).await.expect("retrying");
    on.enqueued(&[unwanted]).await;
    park(&on, unwanted).await;
    park(&on, newer).await;
}

async fn a_job_of_a_crashed_worker_is_parked(harness: &dyn JobRepoHarness) {
    let on = Subject::limited(harness, ONE).await;
    let crashed = submit(&on, "crashed").await;
    on.claim(crashed).await;
    on.advance(LEASE + MINUTE).await;
    let other = submit(&on, "other").await;
    let lease = on.claim(other).await;
    park(&on, crashed).await;
    let job = on.get(crashed).await;
    assert_eq!(
        (job.status, job.attempts, job.crash_count),
        (JobStatus::Pending, 1, 1)
    );
    let history = on.repo.attempts(crashed).await.expect("the history");
    assert_eq!(history[0].outcome, Some(AttemptOutcome::Lost));
    on.finish(&lease, &failed()).await;
    on.claim(crashed).await;
}

/// A sweep examines a limited number of tenants, and most of them have no place.
async fn sweeps_reach_every_tenant(harness: &dyn JobRepoHarness) {
    const TENANTS: usize = 102;
    let on = Subject::limited(harness, ONE).await;
    for n in 0..TENANTS {
        let of_tenant = |key: &str| NewJob {
            tenant: format!("tenant-{n:03}").parse().unwrap_or_default(),
            ..new_job(&format!("{key} {n}"))
        };
        let id = on.submit(of_tenant("in work")).await;
        let lease = on.claim(id).await;
        let waiting = on.submit(of_tenant("waiting")).await;
        park(&on, waiting).await;
        // The worker of the last tenant crashes.
        if n + 1 < TENANTS {
            on.repo.renew(&lease, HOUR, PROGRESS).await.expect("renewing");
        }
    }
    on.advance(LEASE + MINUTE).await;
    let unparked = [on.sweep().await.unparked, on.sweep().await.unparked];
    assert_eq!(unparked.iter().sum::<u64>(), 1, "{unparked:?}");
}
