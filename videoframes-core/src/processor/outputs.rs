//! Outputs that a job composes of frames: a folder of objects each, next to the archive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::keys::{archive_stem, object_key};
use super::ownership;
use super::verdict::{Unusable, Verdict};
use crate::archive::{MANIFEST_NAME, Manifest, ObjectFolder};
use crate::digest;
use crate::jobs::{ErrorCode, JobOptions, OutputKind, OutputResult, VideoJob};
use crate::limits::MANIFEST_BYTES;
use crate::pipeline::{Composition, STORYBOARD_WEBVTT};
use crate::source::Source;
use crate::storage::{IfExists, ObjectInfo, ObjectKey, ObjectVersion, PutOptions, StorageError, Stores};

/// Number of objects per list request.
const PAGE: usize = 1000;
/// Bytes per read of a manifest.
const CHUNK: usize = 4 << 20;
/// Metadata name of the kind of an output.
const OUTPUT: &str = "vf-output";

/// Returns whether an object is part of an output of any job, under any key.
pub(super) fn is_output(object: &ObjectInfo) -> bool {
    object.metadata.contains_key(OUTPUT)
}

/// Returns the folder of an output, next to the archive: `3.zip`, `3.storyboard`.
pub(super) fn folder(archive: &ObjectKey, kind: OutputKind) -> Result<ObjectKey, Verdict> {
    object_key(&format!("{}.{kind}", archive_stem(archive)))
}

/// The outputs of a claim: existing ones of an earlier attempt, and missing ones.
pub(super) struct OutputSet {
    folders: Vec<(OutputKind, ObjectKey)>,
    found: Vec<OutputResult>,
    /// Outputs to make, in order.
    pub(super) missing: Vec<Composition>,
}

impl OutputSet {
    /// Searches for existing outputs under a key that the client chose. A claim's own keys are always unused.
    ///
    /// # Errors
    /// Returns `OUTPUT_EXISTS` if a manifest belongs to another job.
    pub(super) async fn new(
        stores: &Stores,
        job: &VideoJob,
        options: &JobOptions,
        archive: &ObjectKey,
    ) -> Result<Self, Verdict> {
        let mut wanted = Self {
            folders: Vec::new(),
            found: Vec::new(),
            missing: Vec::new(),
        };
        for (kind, request) in options.compositions() {
            let folder = folder(archive, kind)?;
            let found = match job.output_key.is_some() {
                true => existing(stores, job, kind, &folder).await?,
                false => None,
            };
            match found {
                Some(found) => wanted.found.push(found),
                None => {
                    let destination = destination(stores, job, kind, &folder);
                    wanted.missing.push(Composition::new(request, destination));
                    wanted.folders.push((kind, folder));
                }
            }
        }
        Ok(wanted)
    }

    /// Returns the keys of the objects with these manifests of the missing outputs.
    pub(super) fn keys<'a>(&self, manifests: impl Iterator<Item = &'a Manifest>) -> Vec<ObjectKey> {
        let made = self.folders.iter().zip(manifests);
        made.filter_map(|((_, folder), manifest)| keys(folder, manifest))
            .flatten()
            .collect()
    }

    /// Reads the missing outputs, which are complete now, and returns the results of all outputs.
    pub(super) async fn results(self, stores: &Stores, job: &VideoJob) -> Result<Vec<OutputResult>, Verdict> {
        let mut results = self.found;
        for (kind, folder) in &self.folders {
            let made = find(stores, job, *kind, folder).await?;
            results.push(made.ok_or_else(|| Verdict::from(missing(folder)))?);
        }
        results.sort_by_key(|result| result.kind);
        Ok(results)
    }
}

/// Returns the complete output of an earlier attempt in a folder. An incomplete one is made again.
async fn existing(
    stores: &Stores,
    job: &VideoJob,
    kind: OutputKind,
    folder: &ObjectKey,
) -> Result<Option<OutputResult>, Verdict> {
    match find(stores, job, kind, folder).await {
        Err(Unusable::Object(verdict)) if verdict.retryable => {
            tracing::warn!(%folder, reason = verdict.error.message, "making an incomplete output again");
            Ok(None)
        }
        found => Ok(found?),
    }
}

/// Returns the outputs that belong to an existing archive. The attempt that wrote the archive stored its outputs before.
///
/// # Errors
/// Fails if an output is missing, if its folder belongs to another job, or if the store fails.
pub(super) async fn of_archive(
    stores: &Stores,
    job: &VideoJob,
    archive: &ObjectKey,
) -> Result<Vec<OutputResult>, Unusable> {
    let options = job.options.get().map_err(Verdict::invalid)?;
    let mut results = Vec::new();
    for kind in options.outputs.kinds() {
        let folder = folder(archive, kind)?;
        let found = find(stores, job, kind, &folder).await?;
        results.push(found.ok_or_else(|| missing(&folder))?);
    }
    Ok(results)
}

fn missing(folder: &ObjectKey) -> Unusable {
    Unusable::damaged(folder, "the folder has no manifest")
}

/// Returns whether the outputs of a result at its own keys still exist.
pub(super) async fn still_exist(stores: &Stores, results: &[OutputResult]) -> bool {
    for result in results {
        let folder = result.manifest.rsplit_once('/').map(|(folder, _)| folder.parse());
        let Some(Ok(folder)) = folder else {
            return false;
        };
        let Ok(objects) = list(stores, &folder).await else {
            return false;
        };
        if objects.len() as u64 != result.files || objects.values().sum::<u64>() != result.size {
            return false;
        }
    }
    true
}

/// Returns the objects below the folders of a job's outputs at a key that the client chose.
pub(super) async fn list(
    stores: &Stores,
    folder: &ObjectKey,
) -> Result<BTreeMap<ObjectKey, u64>, StorageError> {
    let prefix = format!("{folder}/");
    let mut objects = BTreeMap::new();
    let mut after: Option<ObjectKey> = None;
    loop {
        let page = stores.results().list(&prefix, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(objects);
        };
        after = Some(last.key.clone());
        objects.extend(page.into_iter().map(|object| (object.key, object.size)));
    }
}

/// Returns the complete output in a folder of this job, if it exists.
async fn find(
    stores: &Stores,
    job: &VideoJob,
    kind: OutputKind,
    folder: &ObjectKey,
) -> Result<Option<OutputResult>, Unusable> {
    let manifest_key = object_key(&format!("{folder}/{MANIFEST_NAME}"))?;
    let opened = match stores
        .results()
        .open(&manifest_key, &ObjectVersion::CURRENT)
        .await
    {
        Ok(opened) => opened,
        Err(StorageError::NotFound(_)) => return Ok(None),
        Err(error) => return Err(Unusable::Store(error)),
    };
    if !ownership::is_tagged(&opened.info, job) {
        let message = format!("'{manifest_key}' exists and was not written by this job");
        return Err(Verdict::permanent(ErrorCode::OutputExists, message).into());
    }
    let manifest = manifest(&manifest_key, opened.source.as_ref()).await?;
    let objects = list(stores, folder).await.map_err(Unusable::Store)?;
    let keys = keys(folder, &manifest).ok_or_else(|| invalid_names(&manifest_key))?;
    let mut size = 0;
    for key in &keys {
        size += objects
            .get(key)
            .ok_or_else(|| Unusable::damaged(key, "the object no longer exists"))?;
    }
    let main = match kind {
        OutputKind::Storyboard => Some(STORYBOARD_WEBVTT),
        OutputKind::Sheet | OutputKind::Preview => manifest.frames.first().map(|frame| frame.file.as_str()),
    };
    let main = main.ok_or_else(|| Unusable::damaged(&manifest_key, "the manifest has no frame"))?;
    let key = format!("{folder}/{main}").parse();
    let key: ObjectKey = key.map_err(|_| invalid_names(&manifest_key))?;
    let opened = stores.results().open(&key, &ObjectVersion::CURRENT).await;
    let source = opened.map_err(Unusable::of_request)?.source;
    let written = digest::of_source(source.as_ref())
        .await
        .map_err(|error| match error {
            digest::ReadError::Truncated => Unusable::damaged(&key, error),
            digest::ReadError::Io(error) => Unusable::of_read(&key, error),
        })?;
    Ok(Some(OutputResult {
        kind,
        media_type: media_type(main).to_owned(),
        key: key.to_string(),
        sha256: written.sha256,
        manifest: manifest_key.to_string(),
        frames: manifest.frames.len() as u64,
        files: keys.len() as u64,
        size,
        partial: manifest.partial,
    }))
}

async fn manifest(key: &ObjectKey, source: &dyn Source) -> Result<Manifest, Unusable> {
    if source.len() > MANIFEST_BYTES {
        return Err(Unusable::damaged(key, "the manifest is too large"));
    }
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < source.len() {
        let chunk = source.read_at(bytes.len() as u64, CHUNK).await;
        let chunk = chunk.map_err(|error| Unusable::of_read(key, error))?;
        if chunk.is_empty() {
            return Err(Unusable::damaged(key, "the object is truncated"));
        }
        bytes.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&bytes).map_err(|error| Unusable::damaged(key, error))
}

/// Returns the keys of all objects that a manifest names, and of the manifest.
///
/// Returns `None` for a name that is part of no key.
fn keys(folder: &ObjectKey, manifest: &Manifest) -> Option<Vec<ObjectKey>> {
    let frames = manifest.frames.iter().map(|frame| frame.file.as_str());
    let files = manifest.files.iter().map(String::as_str);
    let names: BTreeSet<&str> = frames.chain(files).chain([MANIFEST_NAME]).collect();
    let keys = names.into_iter().map(|name| format!("{folder}/{name}").parse());
    keys.collect::<Result<_, _>>().ok()
}

fn invalid_names(manifest: &ObjectKey) -> Unusable {
    Unusable::damaged(manifest, "the manifest has invalid names")
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("vtt") => "text/vtt",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        Some("gif") => "image/gif",
        Some("avif") => "image/avif",
        _ => "image/jpeg",
    }
}

fn destination(stores: &Stores, job: &VideoJob, kind: OutputKind, folder: &ObjectKey) -> ObjectFolder {
    let mut metadata = ownership::tag(job);
    metadata.insert(OUTPUT.to_owned(), kind.to_string());
    let options = PutOptions::default().metadata(metadata);
    let objects = |options| ObjectFolder::new(Arc::clone(stores.results()), folder.clone(), options);
    match job.output_key.is_some() {
        // Attempts share a key that the client chose.
        true => objects(options).shared(),
        // Only this claim writes here: an object is of an earlier pass whose deletion failed.
        false => objects(options.if_exists(IfExists::Replace)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn outputs_have_a_folder_next_to_their_archive() {
        for (archive, expected) in [
            ("results/j/3.zip", "results/j/3.storyboard"),
            ("a/b", "a/b.storyboard"),
        ] {
            let folder = folder(&archive.parse().unwrap(), OutputKind::Storyboard).unwrap();
            assert_eq!(folder.as_str(), expected);
        }
    }
}
