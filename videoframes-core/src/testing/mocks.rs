//! mockall mocks, for failures that a real implementation cannot produce.

use std::io;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use mockall::mock;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::extract::{
    Decoded, ExtractError, ExtractReport, ExtractRequest, FrameExtractor, Input, Picture, Scan,
};
use crate::limits::Limits;
use crate::source::{Source, Verifier};
use crate::storage::{
    ObjectEntry, ObjectInfo, ObjectKey, ObjectVersion, Opened, PutOptions, Sink, Storage, StorageError,
};
use crate::video::{Described, PacketList, StreamChoice, VideoInfo};

#[cfg(feature = "jobs")]
pub use jobs::{MockJobRepo, MockQueue};

mock! {
    /// A mock of [`Source`].
    #[derive(Debug)]
    pub Source {}

    #[async_trait]
    impl Source for Source {
        fn name(&self) -> &str;
        fn len(&self) -> u64;
        fn is_empty(&self) -> bool;
        fn local_path(&self) -> Option<&'static Path>;
        fn verifier(&self) -> Option<Box<dyn Verifier>>;
        async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes>;
    }
}

mock! {
    /// A mock of [`Sink`].
    #[derive(Debug)]
    pub Sink {}

    #[async_trait]
    impl Sink for Sink {
        async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError>;
        async fn finish(self: Box<Self>) -> Result<(), StorageError>;
        async fn abort(self: Box<Self>);
    }
}

mock! {
    /// A mock of [`Storage`].
    #[derive(Debug)]
    pub Storage {}

    // mockall requires a name for the lifetime inside `Option`, and then names for all lifetimes in the
    // trait's order.

    #[async_trait]
    impl Storage for Storage {
        async fn head(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<ObjectInfo, StorageError>;
        async fn open(&self, key: &ObjectKey, version: &ObjectVersion) -> Result<Opened, StorageError>;
        async fn create(&self, key: &ObjectKey, options: &PutOptions) -> Result<Box<dyn Sink>, StorageError>;
        async fn delete(&self, key: &ObjectKey) -> Result<(), StorageError>;
        async fn list<'s, 'p, 'a>(
            &'s self,
            prefix: &'p str,
            after: Option<&'a ObjectKey>,
            limit: usize,
        ) -> Result<Vec<ObjectEntry>, StorageError>;
        async fn import(&self, key: &ObjectKey, path: &Path, options: &PutOptions) -> Result<(), StorageError>;
    }
}

mock! {
    /// A mock of [`FrameExtractor`].
    #[derive(Debug)]
    pub FrameExtractor {}

    #[async_trait]
    impl FrameExtractor for FrameExtractor {
        async fn version(&self) -> Result<String, ExtractError>;
        async fn describe(
            &self,
            input: &Path,
            stream: Option<StreamChoice>,
            limits: &Limits,
            cancel: &CancellationToken,
        ) -> Result<Described, ExtractError>;
        async fn packets(
            &self,
            input: &Path,
            stream: Option<StreamChoice>,
            limits: &Limits,
            cancel: &CancellationToken,
        ) -> Result<PacketList, ExtractError>;
        async fn scan(
            &self,
            input: &Path,
            video: &VideoInfo,
            limits: &Limits,
            cancel: &CancellationToken,
        ) -> Result<Scan, ExtractError>;
        async fn extract(
            &self,
            input: &Input,
            request: ExtractRequest,
            pictures: mpsc::Sender<Picture>,
            cancel: &CancellationToken,
        ) -> Result<Decoded<ExtractReport>, ExtractError>;
    }
}

#[cfg(feature = "jobs")]
mod jobs {
    use std::time::Duration;

    use async_trait::async_trait;
    use mockall::mock;
    use uuid::Uuid;

    use crate::clock::UnixMillis;
    use crate::jobs::{
        Attempt, Backlog, Claim, ClaimTerms, Enqueue, Hold, JobError, JobFilter, JobId, JobIdPrefix, JobPage,
        JobProgress, JobRecord, JobRepo, JobRepoError, JobResult, JobStats, Lease, NewJob, OutboxMessage,
        Outcome, RefusedMessage, Renewal, RestoreMark, RestoreRow, StageTime, Submitted, SweepTerms, Swept,
        Unfinished, VideoJob, WorkHash,
    };
    use crate::queue::{Depth, Message, Outgoing, Queue, QueueError, ReceiptHandle};

    mock! {
        /// A mock of [`Queue`].
        #[derive(Debug)]
        pub Queue {}

        #[async_trait]
        impl Queue for Queue {
            fn name(&self) -> &str;
            async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<(), QueueError>>, QueueError>;
            async fn receive(
                &self,
                max_messages: usize,
                visibility: Duration,
                wait: Duration,
            ) -> Result<Vec<Message>, QueueError>;
            async fn set_visibility(
                &self,
                receipt: &ReceiptHandle,
                timeout: Duration,
            ) -> Result<(), QueueError>;
            async fn delete(
                &self,
                receipts: &[ReceiptHandle],
            ) -> Result<Vec<Result<(), QueueError>>, QueueError>;
            async fn dead_letter(&self, message: &Message, reason: &str) -> Result<(), QueueError>;
            async fn depth(&self) -> Result<Depth, QueueError>;
        }
    }

    mock! {
        /// A mock of [`JobRepo`].
        #[derive(Debug)]
        pub JobRepo {}

        #[async_trait]
        impl JobRepo for JobRepo {
            async fn submit(
                &self,
                jobs: &[NewJob],
                enqueue: Enqueue,
            ) -> Result<Vec<Submitted>, JobRepoError>;
            async fn claim(
                &self,
                job: JobId,
                owner: &str,
                terms: &ClaimTerms,
            ) -> Result<Claim, JobRepoError>;
            async fn renew(
                &self,
                lease: &Lease,
                duration: Duration,
                progress: JobProgress,
            ) -> Result<Renewal, JobRepoError>;
            async fn finish(&self, lease: &Lease, outcome: &Outcome) -> Result<VideoJob, JobRepoError>;
            async fn retry_later(
                &self,
                lease: &Lease,
                error: &JobError,
                delay: Duration,
            ) -> Result<(), JobRepoError>;
            async fn defer(&self, lease: &Lease, error: &JobError, delay: Duration) -> Result<(), JobRepoError>;
            async fn release(&self, lease: &Lease) -> Result<(), JobRepoError>;
            async fn get(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError>;
            async fn attempts(&self, job: JobId) -> Result<Vec<Attempt>, JobRepoError>;
            async fn record_stages(&self, lease: &Lease, stages: &[StageTime]) -> Result<(), JobRepoError>;
            async fn find(&self, prefix: &JobIdPrefix, limit: u32) -> Result<Vec<JobId>, JobRepoError>;
            async fn list(&self, filter: &JobFilter) -> Result<JobPage, JobRepoError>;
            async fn cancel(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError>;
            async fn retry(&self, job: JobId) -> Result<Option<VideoJob>, JobRepoError>;
            async fn raise(&self, job: JobId, generation: u32) -> Result<Option<VideoJob>, JobRepoError>;
            async fn hold(&self, job: JobId, hold: Hold) -> Result<Option<VideoJob>, JobRepoError>;
            async fn find_result(&self, work: &WorkHash) -> Result<Option<JobResult>, JobRepoError>;
            async fn is_result(&self, key: &str) -> Result<bool, JobRepoError>;
            async fn unfinished(&self) -> Result<Unfinished, JobRepoError>;
            async fn stats(&self, windows: &[Duration]) -> Result<JobStats, JobRepoError>;
            async fn take_outbox(
                &self,
                limit: u32,
                hold: Duration,
            ) -> Result<Vec<OutboxMessage>, JobRepoError>;
            async fn outbox_sent(&self, messages: &[Uuid]) -> Result<(), JobRepoError>;
            async fn outbox_refused(&self, messages: &[(Uuid, String)]) -> Result<(), JobRepoError>;
            async fn refused(&self, limit: u32) -> Result<Vec<RefusedMessage>, JobRepoError>;
            async fn resend_refused(&self) -> Result<u64, JobRepoError>;
            async fn outbox_backlog(&self) -> Result<Backlog, JobRepoError>;
            async fn sweep(&self, terms: &SweepTerms) -> Result<Swept, JobRepoError>;
            async fn restore_mark(&self) -> Result<RestoreRow, JobRepoError>;
            fn observe_mark(&self, mark: &RestoreMark);
            async fn advance_mark(&self, interval: Duration) -> Result<Option<RestoreRow>, JobRepoError>;
            async fn accept_restore<'s, 'm>(
                &'s self,
                store: Option<&'m RestoreMark>,
            ) -> Result<RestoreRow, JobRepoError>;
            async fn rebuild<'s, 'r, 'p>(
                &'s self,
                job: JobId,
                record: &'r JobRecord,
                result: Option<&'p (JobResult, UnixMillis)>,
            ) -> Result<bool, JobRepoError>;
            async fn enqueue(&self, jobs: &[JobId]) -> Result<u64, JobRepoError>;
        }
    }
}
