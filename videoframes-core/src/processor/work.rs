//! One attempt at a claimed job: look, extract, write. Nothing here touches the job's row.

use std::iter;
use std::sync::Arc;

use serde_json::json;

use super::Parts;
use super::adopt::{adopt, adopt_earlier};
use super::circuit::Operation;
use super::config::ProcessorConfig;
use super::fault::{self, Point};
use super::heartbeat::State;
use super::mark;
use super::renditions::{self, Wanted};
use super::stop::Stop;
use super::telemetry;
use super::verdict::Verdict;
use crate::archive::ZipObject;
use crate::compress::CompressProgress;
use crate::error::Error;
use crate::jobs::{
    ErrorCode, JobId, JobOptions, JobResult, Lease, SourceRef, Stage, VideoJob, WorkHash, hash,
};
use crate::pipeline::{Pipeline, Progress, RenditionOutcome};
use crate::storage::{
    IfExists, ObjectInfo, ObjectKey, ObjectVersion, Opened, PutOptions, Storage, StorageError,
};

/// Folder of the store that results without a key of their own go to.
pub(super) const RESULTS: &str = "results";

/// A result, and under which hash others may use it.
pub(super) type Done = (JobResult, Option<WorkHash>);

/// An attempt.
pub(super) struct Work {
    pub(super) parts: Arc<Parts>,
    pub(super) config: Arc<ProcessorConfig>,
    pub(super) job: VideoJob,
    pub(super) lease: Lease,
    pub(super) state: Arc<State>,
    pub(super) stop: Stop,
}

impl Work {
    /// Does it. Whatever was begun and not finished leaves nothing behind.
    pub(super) async fn run(self) -> Result<Done, Verdict> {
        let invalid = |message: String| Verdict::permanent(ErrorCode::InvalidRequest, message);
        let source = SourceRef::from_json(&self.job.source).map_err(invalid)?;
        let storage = self.parts.stores.source(source.bucket.as_deref());
        let storage = storage
            .map_err(|e| invalid(format!("source.bucket: {e}")))?
            .as_ref();
        let options = JobOptions::from_json(&self.job.options).map_err(|e| invalid(e.to_string()))?;
        // An archive that is there is the result, whatever has become of the source since.
        if let Some(done) = self.unless_stopped(self.earlier()).await? {
            return Ok((done, None));
        }
        let Opened { info, source: video } = storage
            .open(&source.key, &source.version)
            .await
            .map_err(|e| Verdict::of_source(&e))?;
        self.check_size(&source, &info)?;
        if let Some(rate) = &self.parts.rates.bytes {
            // The next job waits for it.
            rate.take(info.size as f64);
        }
        let hash = work_hash(&source, &info, &options);
        if let Some(done) = self.of_another(&hash, &options).await {
            return Ok((done, Some(hash)));
        }
        if self.parts.compressor.is_none() && !options.renditions.is_empty() {
            let message = "this worker makes no renditions";
            return Err(Verdict::retryable(ErrorCode::Unsupported, message));
        }
        fault::reached(Point::Prepared);

        self.state.enter(Stage::Extract);
        let key = self.target()?;
        let target = self.archive(&key);
        let wanted = self.unless_stopped(Wanted::of(&self.parts.stores, &self.job, &options, &key));
        let wanted = wanted.await?;
        let pipeline = self.pipeline(&options);
        let request = options.request();
        let run = pipeline.extract_with_renditions(video, &request, &wanted.missing, &target);
        let summary = match run.await {
            Ok(summary) => summary,
            Err(error) => return self.unless_stopped(self.refused(&key, &error)).await,
        };
        let Some(written) = target.written() else {
            return Err(Verdict::retryable(
                ErrorCode::Internal,
                "the archive was not finished",
            ));
        };
        fault::reached(Point::Uploaded);
        let objects = iter::once(&key).chain(wanted.keys());
        self.check_afterwards(storage, &source, &info, objects).await?;
        let frames = summary.manifest.frames.len() as u64;
        telemetry::extracted(frames, summary.work.bytes_read, written.size);
        for warning in &summary.warnings {
            tracing::warn!(warning, "done otherwise than asked");
        }
        for rendition in &summary.renditions {
            if let RenditionOutcome::Made(video) = rendition {
                for warning in &video.warnings {
                    tracing::warn!(
                        warning,
                        codec = video.codec,
                        "a rendition is otherwise than asked"
                    );
                }
            }
        }
        let result = JobResult {
            bucket: self.parts.stores.bucket().map(str::to_owned),
            key: key.to_string(),
            size: written.size,
            sha256: written.sha256,
            frames,
            partial: summary.manifest.partial,
            renditions: wanted.results(&options.renditions, summary.renditions),
        };
        Ok((result, Some(hash)))
    }

    fn check_size(&self, source: &SourceRef, info: &ObjectInfo) -> Result<(), Verdict> {
        let limit = JobOptions::from_json(&self.job.options).map_or(u64::MAX, |options| {
            options.limits.within(&self.config.limits).input_bytes
        });
        if info.size > limit {
            let message = format!(
                "'{}' has {} bytes, more than the {limit} allowed",
                source.key, info.size
            );
            return Err(Verdict::permanent(ErrorCode::LimitExceeded, message));
        }
        Ok(())
    }

    /// What `work` gives, unless the attempt is broken off before.
    async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T, Verdict>>) -> Result<T, Verdict> {
        tokio::select! {
            biased;
            () = self.stop.token().cancelled() => {
                Err(Verdict::retryable(ErrorCode::Internal, "the attempt was broken off"))
            }
            outcome = work => outcome,
        }
    }

    /// An archive that an earlier attempt at this job has finished.
    async fn earlier(&self) -> Result<Option<JobResult>, Verdict> {
        let stores = &self.parts.stores;
        if self.job.output_key.is_some() {
            let key = self.target()?;
            return match stores.results().head(&key, &ObjectVersion::CURRENT).await {
                Ok(found) => adopt(stores, &key, &found, &self.job).await.map(Some),
                Err(StorageError::NotFound(_)) => Ok(None),
                Err(error) => Err(Verdict::of_results(&error, Operation::Read)),
            };
        }
        match self.lease.epoch.0 {
            1 => Ok(None),
            _ => adopt_earlier(stores, &self.job).await,
        }
    }

    /// The archive of another job that asked the same of the same source. Reuse spares work; where it
    /// cannot be had, the work is done.
    async fn of_another(&self, hash: &WorkHash, options: &JobOptions) -> Option<JobResult> {
        if !self.config.reuse || self.job.output_key.is_some() {
            return None;
        }
        let result = self.parts.repo.find_result(hash).await.ok().flatten()?;
        // What lies at a key of a client's is the client's.
        let ours = result.key.starts_with(&format!("{RESULTS}/"));
        let limits = options.limits.within(&self.config.limits);
        if !ours || result.frames > limits.frames || result.size > limits.output_bytes {
            return None;
        }
        if !renditions::are_there(&self.parts.stores, &result.renditions).await {
            return None;
        }
        let key: ObjectKey = result.key.parse().ok()?;
        let info = self
            .parts
            .stores
            .results()
            .head(&key, &ObjectVersion::CURRENT)
            .await
            .ok()?;
        // One that is about to be forgotten with its job may be gone before this job has it.
        let kept = self.config.timing.retention.mul_f64(0.9);
        let young = info.modified.elapsed().unwrap_or_default() < kept;
        let usable = young && info.size == result.size;
        if usable {
            tracing::info!(key = result.key, "an earlier result of the same work is used");
        }
        usable.then_some(result)
    }

    /// Where the archive goes: a key that no other claim writes, unless the client chose one.
    fn target(&self) -> Result<ObjectKey, Verdict> {
        match &self.job.output_key {
            Some(key) => object_key(key),
            None => object_key(&format!(
                "{}{}.zip",
                result_folder(self.job.id),
                self.lease.epoch.0
            )),
        }
    }

    fn archive(&self, key: &ObjectKey) -> ZipObject {
        let options = PutOptions {
            if_exists: IfExists::Refuse,
            metadata: mark::of(&self.job),
        };
        ZipObject::new(Arc::clone(self.parts.stores.results()), key.clone(), options)
    }

    /// Returns the pipeline of this job, which reports progress to the heartbeat.
    fn pipeline(&self, options: &JobOptions) -> Pipeline {
        let (extracting, compressing) = (Arc::clone(&self.state), Arc::clone(&self.state));
        let pipeline = Pipeline::new(Arc::clone(&self.parts.extractor))
            .limits(options.limits.within(&self.config.limits))
            .scratch(self.parts.scratch.clone())
            .cancel(self.stop.token().clone())
            .on_progress(move |progress| {
                extracting.progress(progress);
                fault::reached(Point::Extracting);
            })
            .on_compress_progress(move |CompressProgress { frames, total }| {
                compressing.enter(Stage::Compress);
                let bytes = 0;
                compressing.progress(Progress { frames, total, bytes });
            });
        match &self.parts.compressor {
            Some(compressor) => pipeline.compressor(Arc::clone(compressor)),
            None => pipeline,
        }
    }

    /// An extraction that failed, unless only its place was taken by an earlier attempt of this job.
    async fn refused(&self, key: &ObjectKey, error: &Error) -> Result<Done, Verdict> {
        use crate::archive::ArchiveError;
        let taken = matches!(
            error,
            Error::Archive(ArchiveError::Storage(StorageError::AlreadyExists(_)))
        );
        if taken {
            let stores = &self.parts.stores;
            let found = stores
                .results()
                .head(key, &ObjectVersion::CURRENT)
                .await
                .map_err(|e| Verdict::of_results(&e, Operation::Read))?;
            return Ok((adopt(stores, key, &found, &self.job).await?, None));
        }
        // An earlier attempt of this job that was not quite dead may have put a rendition there meanwhile:
        // the next attempt finds it. What is somebody else's says so here.
        if let (Error::Video(StorageError::AlreadyExists(_)), Some(_)) = (error, &self.job.output_key) {
            let options = JobOptions::from_json(&self.job.options)
                .map_err(|e| Verdict::permanent(ErrorCode::InvalidRequest, e.to_string()))?;
            Wanted::of(&self.parts.stores, &self.job, &options, key).await?;
            let message = "an earlier attempt wrote a rendition meanwhile";
            return Err(Verdict::retryable(ErrorCode::Internal, message));
        }
        Err(Verdict::of(error))
    }

    /// A source that was replaced while it was read gives no result.
    async fn check_afterwards(
        &self,
        storage: &dyn Storage,
        source: &SourceRef,
        before: &ObjectInfo,
        written: impl Iterator<Item = &ObjectKey>,
    ) -> Result<(), Verdict> {
        // A version that was asked for by its name is the same for good.
        if source.version.id.is_some() {
            return Ok(());
        }
        let unchanged = match storage.head(&source.key, &ObjectVersion::CURRENT).await {
            Ok(after) => after.etag == before.etag,
            // A source that is gone was read to its end before that.
            Err(StorageError::NotFound(_)) => true,
            Err(error) => return Err(Verdict::of_source(&error)),
        };
        if unchanged {
            return Ok(());
        }
        let message = format!("'{}' was replaced while it was read", source.key);
        // Only the holder of the lease may say that they count no more: another may have adopted them.
        Err(Verdict {
            discard: written.cloned().collect(),
            ..Verdict::permanent(ErrorCode::InputChanged, message)
        })
    }
}

/// A text as a key, which only a client's own may fail to be.
pub(super) fn object_key(key: &str) -> Result<ObjectKey, Verdict> {
    let key = key.parse::<ObjectKey>();
    key.map_err(|e| Verdict::permanent(ErrorCode::InvalidRequest, format!("output.key: {e}")))
}

/// Where the archives of a job go, one for each claim.
pub(super) fn result_folder(job: JobId) -> String {
    format!("{RESULTS}/{job}/")
}

fn work_hash(source: &SourceRef, info: &ObjectInfo, options: &JobOptions) -> WorkHash {
    WorkHash(hash(&json!({
        "library": env!("CARGO_PKG_VERSION"),
        "bucket": source.bucket,
        "source": source.key.as_str(),
        "etag": info.etag,
        "options": options.work_json(),
    })))
}
