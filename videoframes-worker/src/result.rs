//! `vf-worker result`: writes the archive or a rendition of a job to a file.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use videoframes_console::{Failure, exit};
use videoframes_core::digest::Checksum;
use videoframes_core::jobs::{JobResult, RenditionResult};
use videoframes_core::source::Source;
use videoframes_core::storage::{FileSink, ObjectKey, ObjectVersion, Sink, StorageError};

use crate::args::ResultArgs;
use crate::config::Config;
use crate::connections::{Connections, open_existing};
use crate::jobs::{existing, missing};
use crate::objects::Objects;
use crate::stdout::print;

/// Number of bytes copied at once.
const CHUNK: usize = 4 << 20;

pub(crate) async fn run(config: &Config, args: &ResultArgs) -> Result<ExitCode, Failure> {
    let connections = open_existing(config).await?.ok_or_else(|| missing(&args.id))?;
    let job = existing(connections.repo.as_ref(), &args.id).await?;
    let Some(result) = &job.result else {
        let failure = Failure::new(exit::JOB, format!("the job is {} and has no result", job.status));
        return Err(match job.error_message {
            Some(message) => failure.hint(message),
            None => failure,
        });
    };
    let wanted = match args.rendition {
        None => Wanted {
            key: &result.key,
            sha256: &result.sha256,
        },
        Some(number) => rendition(result, number.get())?,
    };
    let key: ObjectKey = wanted.key.parse().map_err(|e| Failure::internal(&e))?;
    let Some(file) = &args.output else {
        return print_url(&connections, &key).await;
    };
    let archive = connections
        .storage()
        .open(&key, &ObjectVersion::CURRENT)
        .await
        .map_err(|error| match &error {
            StorageError::NotFound(_) => Failure::because(exit::NOT_FOUND, &error)
                .hint("the retention of the result has ended, or the object was removed"),
            _ => Failure::because(exit::UNAVAILABLE, &error),
        })?
        .source;
    if file == Path::new("-") {
        return to_stdout(archive.as_ref(), &wanted).await;
    }
    let mut sink = FileSink::create(file, args.replace.if_exists()).map_err(|e| Failure::of_output(&e))?;
    let mut digest = Checksum::default();
    let mut offset = 0;
    while let Some(bytes) = chunk(archive.as_ref(), offset).await? {
        digest.update(&bytes);
        offset += bytes.len() as u64;
        sink.write(bytes).await.map_err(|e| Failure::of_output(&e))?;
    }
    check(digest, &wanted)?;
    Box::new(sink)
        .finish()
        .await
        .map_err(|e| Failure::of_output(&e))?;
    Ok(ExitCode::SUCCESS)
}

/// An object written by a job.
struct Wanted<'a> {
    key: &'a str,
    sha256: &'a str,
}

/// Returns the rendition with the given number, counted from 1.
fn rendition(result: &JobResult, number: usize) -> Result<Wanted<'_>, Failure> {
    match result.renditions.get(number - 1) {
        Some(RenditionResult::Made(object)) => Ok(Wanted {
            key: &object.key,
            sha256: &object.video.sha256,
        }),
        Some(RenditionResult::Failed { message }) => {
            let text = format!("rendition {number} failed");
            Err(Failure::new(exit::JOB, text).hint(message.clone()))
        }
        None => {
            let text = format!("the job has {} rendition(s)", result.renditions.len());
            Err(Failure::new(exit::USAGE, text))
        }
    }
}

/// Validity of a presigned URL.
const URL_VALIDITY: Duration = Duration::from_secs(3600);

async fn print_url(connections: &Connections, key: &ObjectKey) -> Result<ExitCode, Failure> {
    let Objects::Bucket(storage) = &connections.objects else {
        return Err(Failure::new(exit::USAGE, "--url requires a result in a bucket"));
    };
    let url = storage.presign(key, URL_VALIDITY).await;
    let url = url.map_err(|error| Failure::because(exit::UNAVAILABLE, &error))?;
    print(&format!("{url}\n"))
}

async fn to_stdout(archive: &dyn Source, wanted: &Wanted<'_>) -> Result<ExitCode, Failure> {
    let mut digest = Checksum::default();
    let mut offset = 0;
    while let Some(bytes) = chunk(archive, offset).await? {
        digest.update(&bytes);
        offset += bytes.len() as u64;
        let written = std::io::stdout().lock().write_all(&bytes);
        written.map_err(|e| Failure::of_stdout(&e))?;
    }
    check(digest, wanted)?;
    Ok(ExitCode::SUCCESS)
}

async fn chunk(archive: &dyn Source, offset: u64) -> Result<Option<bytes::Bytes>, Failure> {
    if offset >= archive.len() {
        return Ok(None);
    }
    let bytes = archive.read_at(offset, CHUNK).await;
    let bytes =
        bytes.map_err(|e| Failure::new(exit::UNAVAILABLE, format!("failed to read the result: {e}")))?;
    match bytes.is_empty() {
        true => Err(Failure::new(exit::UNAVAILABLE, "the result is truncated")),
        false => Ok(Some(bytes)),
    }
}

/// Fails if the copied bytes are not the ones that the job wrote.
fn check(digest: Checksum, wanted: &Wanted<'_>) -> Result<(), Failure> {
    let found = digest.finish().sha256;
    match found == wanted.sha256 {
        true => Ok(()),
        false => Err(Failure::new(
            exit::UNAVAILABLE,
            format!(
                "checksum mismatch: '{}' is not the object that the job wrote",
                wanted.key
            ),
        )),
    }
}
