//! `vf-worker submit`: imports a video into the store and submits a job.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tracing::Instrument;
use videoframes_console::{Failure, S3Uri, exit, has_scheme};
use videoframes_core::digest;
use videoframes_core::error::chain;
use videoframes_core::jobs::{
    Enqueue, JobOptions, JobRepo, JobRepoError, JobRequest, RequestedLimits, SourceRef,
};
use videoframes_core::processor::relay;
use videoframes_core::source::FileSource;
use videoframes_core::storage::{IfExists, InvalidKey, ObjectKey, ObjectVersion, PutOptions, StorageError};
use videoframes_core::trace;

use crate::args::SubmitArgs;
use crate::config::Config;
use crate::connections::{Connections, open};
use crate::jobs::{Follow, Report, unavailable};
use crate::outage::Outage;
use crate::stdout::print;
use crate::traces;

/// Maximum time to send the job message, which workers can also send.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn run(config: &Config, args: SubmitArgs) -> Result<ExitCode, Failure> {
    // Invalid requests must be rejected before anything is created.
    let video = Video::identify(&args.video).await?;
    let source = video.source();
    let fields = fields(&args)?;
    if let Some(rejection) = JobRequest::new(&source, fields.clone()).rejection() {
        return Err(Failure::new(exit::USAGE, rejection).hint("'vf-worker submit --help' lists the options"));
    }

    let connections = open(config).await?;
    let etag = video.etag(&connections).await?;
    let request = JobRequest::new(&source, fields);
    let mut job = request.into_job(Some(etag), config.processor.deadline);
    let span = tracing::info_span!("submit", otel.kind = "producer", job.id = %job.id);
    let parent = traces::parent();
    if let Some(parent) = &parent {
        trace::set_parent(&span, parent);
    }
    job.trace = trace::context_of(&span).or(parent);
    if args.job.idempotency_key.is_none() {
        // Without a key, every submission is a separate job.
        job.idempotency_key = job.id.to_string();
    }
    let jobs = [job];
    let submitted = connections.repo.submit(&jobs, Enqueue::ThroughOutbox);
    let submitted = submitted.instrument(span.clone()).await;
    let submitted = submitted.map_err(|error| match &error {
        JobRepoError::IdempotencyConflict(_) => Failure::because(exit::CONFLICT, &error),
        _ => unavailable(&error),
    })?;
    let Some(submitted) = submitted.into_iter().next() else {
        return Err(Failure::new(
            exit::INTERNAL,
            "the database returned no job for the submission",
        ));
    };
    print(&format!("{}\n", submitted.id))?;
    // Workers would send the message at their next poll of the outbox; sending here avoids the delay.
    match tokio::time::timeout(SEND_TIMEOUT, send(config, &connections).instrument(span)).await {
        Ok(Ok(())) => {}
        Ok(Err(why)) => tracing::debug!(why, "failed to send the job message; left to the workers"),
        Err(_) => tracing::debug!("timed out sending the job message; left to the workers"),
    }
    if args.job.wait {
        let follow = Follow {
            repo: connections.repo.as_ref(),
            report: Report::Nothing,
            outage: Outage::new(config.outage),
        };
        follow.until_terminal(&[submitted.id]).await
    } else {
        Ok(ExitCode::SUCCESS)
    }
}

/// Sends the job message to the input queue.
async fn send(config: &Config, connections: &Connections) -> Result<(), String> {
    let queues = connections
        .queues(config)
        .await
        .map_err(|failure| Failure::from(failure).to_string())?;
    let notifier = queues.notifier.queue();
    let hold = config.processor.timing.relay_hold;
    let sent = relay(
        connections.repo.as_ref(),
        &queues.input,
        notifier.as_ref(),
        &config.tenants,
        hold,
    )
    .await;
    sent.map(drop).map_err(|error| chain(&error))
}

/// The submitted video.
enum Video {
    /// A file on this machine, to be imported under a key with its checksum.
    File {
        path: PathBuf,
        key: ObjectKey,
        sha256: String,
    },
    /// An object in a bucket.
    Object(SourceRef),
}

impl Video {
    async fn identify(named: &Path) -> Result<Self, Failure> {
        if let Some(text) = named.to_str().filter(|text| has_scheme(text)) {
            return Self::address(text);
        }
        let path = named.to_owned();
        let about = |error: io::Error| Failure::new(exit::NOT_FOUND, format!("{}: {error}", named.display()));
        let (name, sha256) = tokio::task::spawn_blocking(move || identify(&path))
            .await
            .map_err(io::Error::other)
            .flatten()
            .map_err(about)?;
        let key = format!("sources/{sha256}/{name}").parse();
        Ok(Self::File {
            path: named.to_owned(),
            key: key.map_err(|e: InvalidKey| {
                Failure::because(exit::USAGE, &e).hint("give the video another file name")
            })?,
            sha256,
        })
    }

    /// Parses an S3 URI. Other URLs may contain credentials and are not shown.
    fn address(text: &str) -> Result<Self, Failure> {
        if !S3Uri::has_s3_scheme(text) {
            let text = "unsupported URL: a job takes a file or s3://BUCKET/KEY";
            return Err(Failure::new(exit::USAGE, text));
        }
        let address = text.parse::<S3Uri>();
        let S3Uri { bucket, key } =
            address.map_err(|why| Failure::new(exit::USAGE, format!("{text}: {why}")))?;
        Ok(Self::Object(SourceRef::current(key).bucket(bucket)))
    }

    fn source(&self) -> SourceRef {
        match self {
            Self::File { key, .. } => SourceRef::current(key.clone()),
            Self::Object(source) => source.clone(),
        }
    }

    /// Imports the video if necessary, and returns the current version of the object.
    async fn etag(&self, connections: &Connections) -> Result<String, Failure> {
        match self {
            Self::File { path, key, sha256 } => import(connections, key, path, sha256).await,
            Self::Object(source) => {
                let storage = connections.stores.source(source.bucket.as_deref());
                let storage = storage.map_err(|e| {
                    Failure::because(exit::USAGE, &e).hint("VF_SOURCES lists the buckets of source videos")
                })?;
                let info = storage.head(&source.key, &source.version).await;
                Ok(info.map_err(|error| source_failure(&error))?.etag)
            }
        }
    }
}

fn source_failure(error: &StorageError) -> Failure {
    match error {
        StorageError::NotFound(_) => Failure::because(exit::NOT_FOUND, error),
        _ => Failure::because(exit::UNAVAILABLE, error),
    }
}

/// Returns the name and the SHA-256 of a regular file.
fn identify(path: &Path) -> io::Result<(String, String)> {
    FileSource::open(path)?;
    let name = std::path::absolute(path)?;
    let name = name
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        // Keys cannot contain these characters.
        .replace(|c: char| c.is_control() || c == '\\', "_");
    Ok((name, digest::of_reader(File::open(path)?)?.sha256))
}

/// Imports the file into the store under a key with its checksum; returns the version of the object.
async fn import(
    connections: &Connections,
    key: &ObjectKey,
    file: &Path,
    sha256: &str,
) -> Result<String, Failure> {
    let failed = |error: &StorageError| Failure::because(exit::UNAVAILABLE, error);
    let import = |if_exists| {
        let options = PutOptions::from(if_exists);
        async move { connections.storage().import(key, file, &options).await }
    };
    let holds = || async { holds(connections, key, sha256).await.map_err(|e| failed(&e)) };
    if !holds().await? {
        match import(IfExists::Refuse).await {
            // Either another submission was faster, or the object shares its data with a file that was changed
            // afterwards.
            Err(StorageError::AlreadyExists(_)) => {
                if !holds().await? {
                    import(IfExists::Replace).await.map_err(|e| failed(&e))?;
                }
            }
            other => other.map_err(|e| failed(&e))?,
        }
    }
    let info = connections
        .storage()
        .head(key, &ObjectVersion::CURRENT)
        .await
        .map_err(|e| failed(&e))?;
    Ok(info.etag)
}

async fn holds(connections: &Connections, key: &ObjectKey, sha256: &str) -> Result<bool, StorageError> {
    let source = match connections.storage().open(key, &ObjectVersion::CURRENT).await {
        Err(StorageError::NotFound(_) | StorageError::Changed(_)) => return Ok(false),
        other => other?.source,
    };
    let found = digest::of_source(source.as_ref()).await;
    Ok(found.is_ok_and(|found| found.sha256 == sha256))
}

/// Converts the arguments to fields of a job message, in canonical form.
fn fields(args: &SubmitArgs) -> Result<Map<String, Value>, Failure> {
    let output = &args.output;
    let mut options = JobOptions::default();
    options.stream = args.stream.stream;
    options.selection = args.select.selection();
    options.range = args.select.range();
    options.filters = args.select.filter.filters();
    options.picture = args.picture.options(None)?;
    options.names = output.name.name.clone().unwrap_or_default();
    options.on_damage = output.damage.on_error;
    options.limits = limits(args);
    let Value::Object(mut fields) = options.to_json() else {
        return Err(Failure::new(
            exit::INTERNAL,
            "failed to convert the options to a job message",
        ));
    };
    let composed = [
        ("storyboard", &output.storyboard),
        ("sheet", &output.sheet),
        ("preview", &output.preview),
    ];
    let mut outputs: Map<String, Value> = composed
        .into_iter()
        .filter_map(|(name, options)| Some((name.to_owned(), options.clone()?)))
        .collect();
    if output.no_pictures {
        outputs.insert("archive".to_owned(), json!(false));
    }
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    set(
        "renditions",
        (!output.rendition.is_empty()).then(|| json!(output.rendition)),
    );
    set("outputs", (!outputs.is_empty()).then_some(Value::Object(outputs)));
    set(
        "output",
        output.output_key.as_ref().map(|key| json!({"key": key})),
    );
    let job = &args.job;
    set(
        "idempotency_key",
        job.idempotency_key.as_ref().map(|key| json!(key)),
    );
    set("client_metadata", job.client_metadata.clone());
    set("tenant", job.tenant.as_ref().map(|tenant| json!(tenant)));
    set("priority", job.priority.map(|priority| json!(priority)));
    Ok(fields)
}

fn limits(args: &SubmitArgs) -> RequestedLimits {
    // Messages contain whole seconds; fractions are rounded up.
    let seconds = |time: Option<Duration>| {
        time.and_then(|time| NonZeroU64::new(time.as_secs() + u64::from(time.subsec_nanos() > 0)))
    };
    let (limit, input) = (&args.limit.plan, &args.limit.plan.input);
    let mut limits = RequestedLimits::default();
    limits.input_bytes = input.max_input;
    limits.pixels = input.max_pixels;
    limits.duration_s = seconds(input.max_duration);
    limits.frames = limit.max_frames;
    limits.output_bytes = args.limit.output.max_output;
    limits.attempt_s = seconds(input.timeout);
    limits.deadline_s = seconds(args.job.deadline);
    limits
}
