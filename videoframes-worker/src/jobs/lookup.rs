//! Finds jobs by the start of their ids.

use videoframes_console::Failure;
use videoframes_core::jobs::{JobId, JobIdPrefix, JobRepo, VideoJob};

use super::failure::{ambiguous, missing, unavailable};

/// Maximum number of candidates in an error.
const CANDIDATES: usize = 5;

/// Returns the job with this id, or the only job whose id starts with it.
pub(crate) async fn existing(repo: &dyn JobRepo, id: &JobIdPrefix) -> Result<VideoJob, Failure> {
    let found = find(repo, id).await?;
    let job = repo.get(found).await.map_err(|e| unavailable(&e))?;
    job.ok_or_else(|| missing(id))
}

/// Returns the id of the only job whose id starts with `id`. A whole id may be that of a missing job.
pub(super) async fn find(repo: &dyn JobRepo, id: &JobIdPrefix) -> Result<JobId, Failure> {
    if let Some(id) = id.whole() {
        return Ok(id);
    }
    let limit = u32::try_from(CANDIDATES + 1).unwrap_or(u32::MAX);
    let found = repo.find(id, limit).await.map_err(|e| unavailable(&e))?;
    match found.as_slice() {
        [] => Err(missing(id)),
        [only] => Ok(*only),
        several => Err(ambiguous(id, &candidates(several))),
    }
}

fn candidates(ids: &[JobId]) -> String {
    let shown: Vec<String> = ids.iter().take(CANDIDATES).map(JobId::to_string).collect();
    let more = if ids.len() > CANDIDATES { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
