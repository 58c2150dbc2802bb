//! The harness of a repository, and helpers for checks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use crate::jobs::{
    Claim, ClaimTerms, Enqueue, ErrorCode, JobError, JobId, JobMessage, JobRecord, JobRepo, JobResult,
    JobStatus, Lease, NewJob, OutboxDestination, OutboxMessage, Outcome, OutputKind, OutputResult,
    RenditionObject, RenditionResult, RenditionVideo, SweepTerms, Swept, VideoJob, WorkHash,
};
use crate::tenant::{Priority, Tenant, Tenants};

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// Duration of a lease in the suite.
pub(super) const LEASE: Duration = Duration::from_secs(600);
/// Retention of jobs in the suite.
pub(super) const RETENTION: Duration = Duration::from_secs(30 * 86400);
pub(super) const CLAIM: ClaimTerms = ClaimTerms {
    lease: LEASE,
    crashes: 3,
    revision: None,
};
pub(super) const SWEEP: SweepTerms = SweepTerms {
    overdue: Duration::from_secs(1800),
    drained: Some(Duration::ZERO),
    crashes: 3,
    retention: RETENTION,
    most: 100,
};

/// Provides repositories and controls their time.
#[async_trait]
pub trait JobRepoHarness: Send + Sync {
    /// Returns a repository without jobs and with an empty outbox. Earlier ones are no longer in use.
    async fn fresh(&self) -> Arc<dyn JobRepo>;

    /// Returns the same with weights and limits of tenants.
    async fn fresh_with(&self, tenants: Tenants) -> Arc<dyn JobRepo>;

    /// Advances the time of the repositories, by up to months.
    async fn advance(&self, by: Duration);
}

/// A repository under test.
pub(super) struct Subject<'a> {
    pub(super) repo: Arc<dyn JobRepo>,
    harness: &'a dyn JobRepoHarness,
}

impl<'a> Subject<'a> {
    pub(super) async fn fresh(harness: &'a dyn JobRepoHarness) -> Self {
        Self {
            repo: harness.fresh().await,
            harness,
        }
    }

    /// Returns a repository with limits of tenants.
    pub(super) async fn limited(harness: &'a dyn JobRepoHarness, tenants: &str) -> Self {
        let tenants = Tenants::from_json(tenants).expect("valid terms");
        Self {
            repo: harness.fresh_with(tenants).await,
            harness,
        }
    }

    pub(super) async fn advance(&self, by: Duration) {
        self.harness.advance(by).await;
    }

    /// Submits a new job whose message is in the queue.
    pub(super) async fn submit(&self, job: NewJob) -> JobId {
        let (id, jobs) = (job.id, [job]);
        let submitted = self.repo.submit(&jobs, Enqueue::AlreadyQueued).await;
        let submitted = submitted.expect("a new job");
        assert!(submitted.len() == 1 && submitted[0].created && submitted[0].id == id);
        id
    }

    pub(super) async fn get(&self, id: JobId) -> VideoJob {
        let job = self.repo.get(id).await.expect("reading");
        job.expect("the job exists")
    }

    pub(super) async fn status(&self, id: JobId) -> JobStatus {
        self.get(id).await.status
    }

    /// Claims a job that can be claimed.
    pub(super) async fn claim(&self, id: JobId) -> Lease {
        match self.repo.claim(id, "worker", &CLAIM).await.expect("claiming") {
            Claim::Claimed(lease, _) => lease,
            other => panic!("the job can be claimed: {other:?}"),
        }
    }

    /// Submits and claims a job.
    pub(super) async fn claimed(&self, key: &str) -> (JobId, Lease) {
        let id = self.submit(new_job(key)).await;
        (id, self.claim(id).await)
    }

    /// Claims a job that is terminal, or becomes terminal by this claim.
    pub(super) async fn claim_ended(&self, id: JobId) -> VideoJob {
        match self.repo.claim(id, "late", &CLAIM).await.expect("claiming") {
            Claim::Terminal(job) | Claim::Ended(job) => {
                assert_eq!(job, self.get(id).await, "a claim returns the job");
                job
            }
            other => panic!("the job is terminal: {other:?}"),
        }
    }

    pub(super) async fn finish(&self, lease: &Lease, outcome: &Outcome) -> VideoJob {
        self.repo.finish(lease, outcome).await.expect("finishing")
    }

    /// Takes and returns all messages of the outbox.
    pub(super) async fn drain(&self) -> Vec<OutboxMessage> {
        let messages = self.repo.take_outbox(1000, HOUR).await.expect("taking");
        let ids: Vec<_> = messages.iter().map(|message| message.id).collect();
        self.repo.outbox_sent(&ids).await.expect("marking as sent");
        messages
    }

    /// Drains the outbox and checks that it contains exactly the notification of the job.
    pub(super) async fn one_notification(&self, id: JobId) -> OutboxMessage {
        let (job, mut messages) = (self.get(id).await, self.drain().await);
        assert_eq!(messages.len(), 1, "one notification: {messages:?}");
        let message = messages.remove(0);
        let expected = OutboxMessage::notification(&job);
        assert_eq!(message.destination, OutboxDestination::Notifier);
        assert_eq!((message.id, message.job), (expected.id, id));
        assert_eq!(
            parsed(&message),
            parsed(&expected),
            "the notification describes the job"
        );
        message
    }

    /// Drains the outbox and checks that it contains exactly the messages that enqueue these jobs.
    pub(super) async fn enqueued(&self, expected: &[JobId]) {
        let messages = self.drain().await;
        for message in &messages {
            assert_eq!(message.destination, OutboxDestination::Input);
            self.is_about_its_job(message).await;
        }
        let mut jobs: Vec<_> = messages.iter().map(|message| message.job).collect();
        let mut expected = expected.to_vec();
        jobs.sort_unstable();
        expected.sort_unstable();
        assert_eq!(jobs, expected, "jobs in messages to the workers");
    }

    /// Checks that a message to the workers names its job, with a copy of the request.
    pub(super) async fn is_about_its_job(&self, message: &OutboxMessage) {
        let job = self.get(message.job).await;
        let Ok(JobMessage::Known(id, Some(copy))) = JobMessage::parse(&message.body) else {
            panic!("a message with a copy of the request: {}", message.body);
        };
        assert_eq!((id, Some(copy.record)), (job.id, JobRecord::of(&job)));
        assert!(copy.written_at >= job.created_at, "{}", message.body);
    }

    pub(super) async fn outbox_is_empty(&self, why: &str) {
        let backlog = self.repo.outbox_backlog().await.expect("a backlog");
        assert_eq!(backlog.pending, 0, "{why}");
    }

    /// Returns a job and the size of the outbox, which a call without effect does not change.
    pub(super) async fn snapshot(&self, id: JobId) -> (VideoJob, u64) {
        let backlog = self.repo.outbox_backlog().await.expect("a backlog");
        (self.get(id).await, backlog.pending)
    }

    pub(super) async fn sweep(&self) -> Swept {
        self.repo.sweep(&SWEEP).await.expect("sweeping")
    }
}

pub(super) fn parsed(message: &OutboxMessage) -> serde_json::Value {
    serde_json::from_str(&message.body).expect("a JSON body")
}

pub(super) fn new_job(key: &str) -> NewJob {
    NewJob {
        id: JobId::random(),
        idempotency_key: key.to_owned(),
        payload_hash: format!("hash of {key}"),
        source: json!({"key": "videos/Größe 100%.mp4", "etag": "\"e\""}).into(),
        options: json!({"selection": {"fps": 1}}).into(),
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
    }
}

/// Returns a job with a time limit.
pub(super) fn limited(key: &str, limit: Duration) -> NewJob {
    NewJob {
        time_limit: Some(limit),
        ..new_job(key)
    }
}

pub(super) fn result(key: &str) -> JobResult {
    JobResult {
        bucket: Some("videos ü".to_owned()),
        key: key.to_owned(),
        size: 5 << 32,
        sha256: "ab".repeat(32),
        frames: 120,
        partial: false,
        renditions: vec![
            RenditionResult::Made(RenditionObject {
                key: format!("{key}.1.mp4"),
                video: RenditionVideo {
                    partial: true,
                    size: 3 << 33,
                    sha256: "cd".repeat(32),
                    media_type: "video/mp4".to_owned(),
                    codec: "h264".to_owned(),
                    width: 1280,
                    height: 720,
                    frames: 300,
                    origin: "encoded".to_owned(),
                },
            }),
            RenditionResult::Failed {
                message: "no ü".to_owned(),
            },
        ],
        outputs: vec![OutputResult {
            kind: OutputKind::Storyboard,
            key: format!("{key}.storyboard/storyboard.vtt"),
            media_type: "text/vtt".to_owned(),
            sha256: "ef".repeat(32),
            manifest: format!("{key}.storyboard/manifest.json"),
            frames: 100,
            files: 4,
            size: 7 << 33,
            partial: false,
        }],
    }
}

pub(super) fn completed(key: &str) -> Outcome {
    Outcome::Completed(result(key), None)
}

pub(super) fn completed_work(key: &str, work: &str) -> Outcome {
    Outcome::Completed(result(key), Some(WorkHash(work.to_owned())))
}

pub(super) fn failed() -> Outcome {
    Outcome::Failed(JobError::new(ErrorCode::NotAVideo, "the source is a text: ü"))
}

pub(super) fn cancelled() -> Outcome {
    Outcome::Cancelled(JobError::new(ErrorCode::Cancelled, "cancelled on request"))
}

/// Checks a duration until a time `expected` away, minus the time that the suite itself took.
pub(super) fn about(actual: Duration, expected: Duration) {
    let range = expected.saturating_sub(MINUTE)..=expected;
    assert!(range.contains(&actual), "{actual:?} is not about {expected:?}");
}
