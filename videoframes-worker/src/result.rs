//! `vf-worker result`: writes the archive or another output of a job to a file or a folder.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use videoframes_console::{Failure, exit};
use videoframes_core::archive::{Archive, ArchiveError, DirectoryArchive, MANIFEST_NAME, Manifest};
use videoframes_core::digest::{self, Checksum};
use videoframes_core::jobs::{JobResult, OutputKind, RenditionResult};
use videoframes_core::source::Source;
use videoframes_core::storage::{FileSink, IfExists, ObjectKey, ObjectVersion, Sink, Storage, StorageError};

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
    let wanted = Wanted::of(result, args)?;
    let key = wanted.key()?;
    let Some(path) = &args.output else {
        return print_url(&connections, &key).await;
    };
    let storage = connections.storage();
    if args.storyboard {
        return folder(storage.as_ref(), (&key, &wanted), path, args.replace.if_exists()).await;
    }
    let object = open(storage.as_ref(), &key).await?;
    if path == Path::new("-") {
        return to_stdout(object.as_ref(), &wanted).await;
    }
    let mut sink = FileSink::create(path, args.replace.if_exists()).map_err(|e| Failure::of_output(&e))?;
    let mut digest = Checksum::default();
    let mut offset = 0;
    while let Some(bytes) = chunk(object.as_ref(), offset).await? {
        digest.update(&bytes);
        offset += bytes.len() as u64;
        sink.write(bytes).await.map_err(|e| Failure::of_output(&e))?;
    }
    check(&digest.finish().sha256, wanted.key, wanted.sha256)?;
    Box::new(sink)
        .finish()
        .await
        .map_err(|e| Failure::of_output(&e))?;
    Ok(ExitCode::SUCCESS)
}

async fn open(storage: &dyn Storage, key: &ObjectKey) -> Result<Arc<dyn Source>, Failure> {
    match storage.open(key, &ObjectVersion::CURRENT).await {
        Ok(opened) => Ok(opened.source),
        Err(error @ StorageError::NotFound(_)) => Err(Failure::because(exit::NOT_FOUND, &error)
            .hint("the retention of the result has ended, or the object was removed")),
        Err(error) => Err(Failure::because(exit::UNAVAILABLE, &error)),
    }
}

/// Writes a folder of objects to a local folder. `key` is the key of the main file.
async fn folder(
    storage: &dyn Storage,
    (key, wanted): (&ObjectKey, &Wanted<'_>),
    path: &Path,
    if_exists: IfExists,
) -> Result<ExitCode, Failure> {
    if path == Path::new("-") {
        return Err(Failure::new(
            exit::USAGE,
            "a storyboard has several files: -o must be a folder",
        ));
    }
    let of_archive = |error: ArchiveError| Failure::of_archive(&error);
    let mut archive = DirectoryArchive::create(path, if_exists).map_err(of_archive)?;
    let folder = key.as_str().strip_suffix(key.name()).unwrap_or_default();
    let file = async |name: &str| {
        let key = format!("{folder}{name}").parse();
        let key: ObjectKey = key.map_err(|e| Failure::internal(&e))?;
        let object = open(storage, &key).await?;
        let mut content = BytesMut::new();
        while let Some(bytes) = chunk(object.as_ref(), content.len() as u64).await? {
            content.extend_from_slice(&bytes);
        }
        Ok::<_, Failure>(content.freeze())
    };
    let text = file(MANIFEST_NAME).await?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| {
        let text = format!("failed to read '{folder}{MANIFEST_NAME}': {error}");
        Failure::new(exit::UNAVAILABLE, text)
    })?;
    let mut names: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    names.extend(manifest.files.iter().map(|name| (name.as_str(), None)));
    names.insert(key.name(), Some(wanted.sha256));
    names.extend(
        manifest
            .frames
            .iter()
            .map(|frame| (frame.file.as_str(), Some(frame.sha256.as_str()))),
    );
    for (name, sha256) in names {
        let content = file(name).await?;
        if let Some(sha256) = sha256 {
            check(&digest::sha256(&content), name, sha256)?;
        }
        archive.add(name, content).await.map_err(of_archive)?;
    }
    archive.add(MANIFEST_NAME, text).await.map_err(of_archive)?;
    Box::new(archive).finish().await.map_err(of_archive)?;
    Ok(ExitCode::SUCCESS)
}

/// An object written by a job.
struct Wanted<'a> {
    key: &'a str,
    sha256: &'a str,
}

impl<'a> Wanted<'a> {
    fn of(result: &'a JobResult, args: &ResultArgs) -> Result<Self, Failure> {
        let kinds = [
            (args.storyboard, OutputKind::Storyboard),
            (args.sheet, OutputKind::Sheet),
            (args.preview, OutputKind::Preview),
        ];
        let kind = kinds
            .into_iter()
            .find_map(|(wanted, kind)| wanted.then_some(kind));
        match (args.rendition, kind) {
            (Some(number), _) => rendition(result, number.get()),
            (None, Some(kind)) => composed(result, kind),
            (None, None) => Ok(Self {
                key: &result.key,
                sha256: &result.sha256,
            }),
        }
    }

    fn key(&self) -> Result<ObjectKey, Failure> {
        self.key.parse().map_err(|e| Failure::internal(&e))
    }
}

/// Returns the main file of an output that is composed of frames.
fn composed(result: &JobResult, kind: OutputKind) -> Result<Wanted<'_>, Failure> {
    let found = result.outputs.iter().find(|output| output.kind == kind);
    let found = found.map(|output| Wanted {
        key: &output.key,
        sha256: &output.sha256,
    });
    let name = match kind {
        OutputKind::Sheet => "contact sheet",
        kind => kind.as_str(),
    };
    found.ok_or_else(|| Failure::new(exit::USAGE, format!("the job has no {name}")))
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
    check(&digest.finish().sha256, wanted.key, wanted.sha256)?;
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
fn check(found: &str, name: &str, expected: &str) -> Result<(), Failure> {
    match found == expected {
        true => Ok(()),
        false => Err(Failure::new(
            exit::UNAVAILABLE,
            format!("checksum mismatch: '{name}' is not the object that the job wrote"),
        )),
    }
}
