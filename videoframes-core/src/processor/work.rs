//! The work of one attempt at a claimed job: check, extract, write. Does not change the row of the job.

use std::sync::Arc;

use serde_json::json;

use super::adopt::{adopt, adopt_earlier};
use super::config::ProcessorConfig;
use super::fault::{self, Point};
use super::heartbeat::State;
use super::keys::{RESULTS, object_key, result_folder};
use super::outputs::{self, OutputSet};
use super::ownership;
use super::parts::Parts;
use super::renditions::{self, RenditionSet};
use super::stop::Stop;
use super::subject::Operation;
use super::telemetry;
use super::verdict::Verdict;
use crate::archive::{Written, ZipObject};
use crate::compress::CompressProgress;
use crate::digest;
use crate::jobs::{ErrorCode, JobOptions, JobResult, Lease, SourceRef, Stage, VideoJob, WorkHash};
use crate::pipeline::{AdditionalOutputs, Error, Pipeline, RenditionOutcome, Summary};
use crate::storage::{
    IfExists, ObjectInfo, ObjectKey, ObjectVersion, Opened, PutOptions, Storage, StorageError,
};

/// A result, and the hash under which other jobs may reuse it.
pub(super) type Done = (JobResult, Option<WorkHash>);

/// The work of an attempt.
pub(super) struct Work {
    pub(super) parts: Arc<Parts>,
    pub(super) config: Arc<ProcessorConfig>,
    pub(super) job: VideoJob,
    pub(super) lease: Lease,
    pub(super) state: Arc<State>,
    pub(super) stop: Stop,
}

impl Work {
    /// Runs the work. An unfinished attempt leaves no archive behind, and other outputs only at keys that a sweep
    /// or the next attempt handles.
    pub(super) async fn run(self) -> Result<Done, Verdict> {
        let source = self.job.source.get().map_err(Verdict::invalid)?;
        let storage = self.parts.stores.source(source.bucket.as_deref());
        let storage = storage
            .map_err(|e| Verdict::invalid(format!("source.bucket: {e}")))?
            .as_ref();
        let options = self.job.options.get().map_err(Verdict::invalid)?;
        // An existing archive is the result, whatever has happened to the source since.
        if let Some(done) = self.unless_stopped(self.adopt_existing()).await? {
            return Ok((done, None));
        }
        let Opened { info, source: video } = self.unless_stopped(open(storage, source)).await?;
        self.check_size(source, &info, options)?;
        if let Some(rate) = &self.parts.rates.bytes {
            // The next job waits for the bytes of this one.
            rate.take(info.size as f64);
        }
        let hash = work_hash(source, &info, options);
        let reusable = async { Ok(self.reusable_result(&hash, options).await) };
        if let Some(done) = self.unless_stopped(reusable).await? {
            return Ok((done, Some(hash)));
        }
        self.check_encoders(options)?;
        fault::reached(Point::Prepared);

        self.state.enter(Stage::Extract);
        let key = self.target()?;
        let target = self.archive(&key);
        let wanted = self.unless_stopped(self.wanted(&key, options)).await?;
        let (pipeline, request, outputs) = (self.pipeline(options), options.request(), wanted.missing());
        let run = pipeline.extract_with_outputs(video, &request, &outputs, &target);
        let summary = match run.await {
            Ok(summary) => summary,
            Err(error) => return self.unless_stopped(self.recover(&key, &error)).await,
        };
        let Some(written) = target.written() else {
            return Err(Verdict::retryable(
                ErrorCode::Internal,
                "the archive was not finished",
            ));
        };
        fault::reached(Point::Uploaded);
        if !self.unless_stopped(is_unchanged(storage, source, &info)).await? {
            let message = format!("'{}' was replaced while it was read", source.key);
            // Only the holder of the lease may discard these objects: another attempt may have adopted them.
            return Err(Verdict {
                discard: wanted.keys(&key, &summary),
                ..Verdict::permanent(ErrorCode::InputChanged, message)
            });
        }
        report(&summary, written.size);
        let result = self.result(&key, written, summary, (wanted, options));
        Ok((self.unless_stopped(result).await?, Some(hash)))
    }

    /// Fails if another worker has to make the outputs.
    fn check_encoders(&self, options: &JobOptions) -> Result<(), Verdict> {
        let lacks = |outputs| {
            let message = format!("this worker does not support {outputs}");
            Err(Verdict::retryable(ErrorCode::Unsupported, message))
        };
        if self.parts.compressor.is_none() && !options.renditions.is_empty() {
            return lacks("renditions");
        }
        let is_composed = !options.outputs.kinds().is_empty() || options.picture.burn_in.is_some();
        if self.parts.encoder.is_none() && is_composed {
            return lacks("storyboards, contact sheets, previews and times in pictures");
        }
        Ok(())
    }

    /// Searches for outputs of earlier attempts.
    async fn wanted(&self, key: &ObjectKey, options: &JobOptions) -> Result<Wanted, Verdict> {
        let stores = &self.parts.stores;
        Ok(Wanted {
            renditions: RenditionSet::new(stores, &self.job, options, key).await?,
            composed: OutputSet::new(stores, &self.job, options, key).await?,
        })
    }

    /// Returns the result after the archive is complete.
    async fn result(
        &self,
        key: &ObjectKey,
        written: Written,
        summary: Summary,
        (wanted, options): (Wanted, &JobOptions),
    ) -> Result<JobResult, Verdict> {
        let stores = &self.parts.stores;
        let renditions = wanted.renditions.results(&options.renditions, summary.renditions);
        telemetry::renditions(&options.renditions, &renditions);
        let outputs = wanted.composed.results(stores, &self.job).await?;
        telemetry::outputs(&outputs);
        Ok(JobResult {
            bucket: stores.bucket().map(str::to_owned),
            key: key.to_string(),
            size: written.size,
            sha256: written.sha256,
            frames: summary.manifest.frames.len() as u64,
            partial: summary.manifest.partial || outputs.iter().any(|output| output.partial),
            renditions,
            outputs,
        })
    }

    fn check_size(&self, source: &SourceRef, info: &ObjectInfo, options: &JobOptions) -> Result<(), Verdict> {
        let limit = options.limits.within(&self.config.limits).input_bytes;
        if info.size > limit {
            let message = format!(
                "'{}' has {} bytes, more than the limit of {limit}",
                source.key, info.size
            );
            return Err(Verdict::permanent(ErrorCode::LimitExceeded, message));
        }
        Ok(())
    }

    /// Returns the output of `work`, unless the attempt is stopped before.
    async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T, Verdict>>) -> Result<T, Verdict> {
        tokio::select! {
            biased;
            () = self.stop.token().cancelled() => {
                Err(Verdict::retryable(ErrorCode::Internal, "the attempt was stopped"))
            }
            outcome = work => outcome,
        }
    }

    /// Returns the archive that an earlier attempt at this job completed, if any.
    async fn adopt_existing(&self) -> Result<Option<JobResult>, Verdict> {
        let stores = &self.parts.stores;
        if self.job.output_key.is_some() {
            let key = self.target()?;
            return match stores.results().head(&key, &ObjectVersion::CURRENT).await {
                Ok(found) => adopt(stores, &key, &found, &self.job).await.map(Some),
                Err(StorageError::NotFound(_)) => Ok(None),
                Err(error) => Err(Verdict::from_results_error(&error, Operation::Read)),
            };
        }
        match self.lease.epoch.0 {
            1 => Ok(None),
            _ => adopt_earlier(stores, &self.job).await,
        }
    }

    /// Returns the archive of another job with the same source and options. Reuse is an optimization: on any
    /// error the work is done again.
    async fn reusable_result(&self, hash: &WorkHash, options: &JobOptions) -> Option<JobResult> {
        if !self.config.reuse || self.job.output_key.is_some() {
            return None;
        }
        let result = self.parts.repo.find_result(hash).await.ok().flatten()?;
        // An object under a key that a client chose belongs to that client.
        let is_own = result.key.starts_with(&format!("{RESULTS}/"));
        let limits = options.limits.within(&self.config.limits);
        let outputs = result.outputs.iter().map(|output| (output.frames, output.size));
        let mut sizes = outputs.chain([(result.frames, result.size)]);
        let exceeds = sizes.any(|(frames, size)| frames > limits.frames || size > limits.output_bytes);
        if !is_own || exceeds {
            return None;
        }
        let stores = &self.parts.stores;
        if !renditions::still_exist(stores, &result.renditions).await
            || !outputs::still_exist(stores, &result.outputs).await
        {
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
        // A result near the end of its retention may be deleted before this job completes.
        let kept = self.config.timing.retention.mul_f64(0.9);
        let young = self.parts.age(info.modified) < kept;
        let usable = young && info.size == result.size;
        if usable {
            tracing::info!(
                output.key = result.key,
                "reusing an earlier result of the same work"
            );
            telemetry::result_reused();
        }
        usable.then_some(result)
    }

    /// Returns the key of the archive: the client's key, or a key that no other claim uses.
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
            metadata: ownership::of_archive(&self.job),
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
                // Examined frames are no pictures.
                if !progress.examining {
                    extracting.progress(progress.frames, progress.total);
                }
                fault::reached(Point::Extracting);
            })
            .on_compress_progress(move |CompressProgress { frames, total }| {
                compressing.enter(Stage::Compress);
                compressing.progress(frames, total);
            });
        let pipeline = match &self.parts.encoder {
            Some(encoder) => pipeline.encoder(Arc::clone(encoder)),
            None => pipeline,
        };
        match &self.parts.compressor {
            Some(compressor) => pipeline.compressor(Arc::clone(compressor)),
            None => pipeline,
        }
    }

    /// Handles a failed extraction: adopts the archive of an earlier attempt of this job if only the key was
    /// taken.
    async fn recover(&self, key: &ObjectKey, error: &Error) -> Result<Done, Verdict> {
        use crate::archive::ArchiveError;
        if let Error::Archive(ArchiveError::Storage(StorageError::AlreadyExists(name))) = error
            && name == key.as_str()
        {
            let stores = &self.parts.stores;
            let found = stores
                .results()
                .head(key, &ObjectVersion::CURRENT)
                .await
                .map_err(|e| Verdict::from_results_error(&e, Operation::Read))?;
            return Ok((adopt(stores, key, &found, &self.job).await?, None));
        }
        // A slow earlier attempt of this job may have stored a rendition in the meantime, which the next
        // attempt finds. An object of another job fails here.
        if let (Error::Video(StorageError::AlreadyExists(_)), Some(_)) = (error, &self.job.output_key) {
            let options = self.job.options.get().map_err(Verdict::invalid)?;
            RenditionSet::new(&self.parts.stores, &self.job, options, key).await?;
            let message = "an earlier attempt wrote a rendition in the meantime";
            return Err(Verdict::retryable(ErrorCode::Internal, message));
        }
        Err(Verdict::from_pipeline_error(error))
    }
}

/// The outputs of a claim in addition to the archive.
struct Wanted {
    renditions: RenditionSet,
    composed: OutputSet,
}

impl Wanted {
    /// Returns the outputs that no earlier attempt made.
    fn missing(&self) -> AdditionalOutputs {
        AdditionalOutputs::default()
            .renditions(self.renditions.missing.clone())
            .compositions(self.composed.missing.clone())
    }

    /// Returns the keys of all objects of this attempt.
    fn keys(&self, archive: &ObjectKey, summary: &Summary) -> Vec<ObjectKey> {
        let manifests = summary.compositions.iter().map(|made| &made.manifest);
        let mut keys = self.composed.keys(manifests);
        keys.push(archive.clone());
        keys.extend_from_slice(self.renditions.keys());
        keys
    }
}

/// Counts the pictures, and logs the differences from the request.
fn report(summary: &Summary, archive_bytes: u64) {
    let frames = summary.manifest.frames.len() as u64;
    telemetry::extracted(frames, summary.work.bytes_read, archive_bytes);
    let composed = summary.compositions.iter().flat_map(|made| &made.warnings);
    for warning in summary.warnings.iter().chain(composed) {
        tracing::warn!(warning, "result differs from the request");
    }
    for rendition in &summary.renditions {
        if let RenditionOutcome::Made(video) = rendition {
            for warning in &video.warnings {
                tracing::warn!(warning, codec = video.codec, "rendition differs from the request");
            }
        }
    }
}

async fn open(storage: &dyn Storage, source: &SourceRef) -> Result<Opened, Verdict> {
    let opened = storage.open(&source.key, &source.version).await;
    opened.map_err(|e| Verdict::from_source_error(&e))
}

/// Returns whether the source is still the object that was opened.
async fn is_unchanged(
    storage: &dyn Storage,
    source: &SourceRef,
    opened: &ObjectInfo,
) -> Result<bool, Verdict> {
    // A named version never changes.
    if source.version.id.is_some() {
        return Ok(true);
    }
    match storage.head(&source.key, &ObjectVersion::CURRENT).await {
        Ok(now) => Ok(now.etag == opened.etag),
        // The source was read completely before it was deleted.
        Err(StorageError::NotFound(_)) => Ok(true),
        Err(error) => Err(Verdict::from_source_error(&error)),
    }
}

fn work_hash(source: &SourceRef, info: &ObjectInfo, options: &JobOptions) -> WorkHash {
    WorkHash(digest::of_json(&json!({
        "library": env!("CARGO_PKG_VERSION"),
        "bucket": source.bucket,
        "source": source.key.as_str(),
        "etag": info.etag,
        "options": options.work_json(),
    })))
}
