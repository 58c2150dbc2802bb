//! Uploads of videos, streamed to the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::BytesMut;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use videoframes_core::clock::{Clock, SystemClock, UnixMillis};
use videoframes_core::digest::Checksum;
use videoframes_core::storage::{IfExists, PutOptions, Sink};

use super::extract::{JsonBody, Params};
use super::{Api, to_the_end};
use crate::http::identity::Actor;
use crate::http::problem::Problem;
use crate::http::request::{PresignRequest, content_digest, upload_key};
use crate::objects::Objects;

/// Maximum time in which a client sends fewer than [`MIN_BYTES`].
const STALL: Duration = Duration::from_secs(60);
/// Number of bytes that show that a client still sends.
const MIN_BYTES: usize = 64 << 10;
/// Number of bytes per write to the store.
const WRITE: usize = 1 << 20;
/// Validity of a presigned upload.
const PRESIGNED: Duration = Duration::from_secs(3600);
#[derive(Debug, Deserialize)]
pub(crate) struct UploadParams {
    name: String,
}

/// A source, as the request for a job names it.
#[derive(Debug, Serialize)]
struct UploadedSource {
    key: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Uploaded {
    source: UploadedSource,
    size: u64,
    sha256: String,
}

pub(crate) async fn upload(
    State(api): State<Arc<Api>>,
    actor: Actor,
    Params(UploadParams { name }): Params<UploadParams>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Uploaded>), Problem> {
    let key = upload_key(&name)?;
    let expected = content_digest(&headers)?;
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let length = length.and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > api.max_upload) {
        return Err(too_large(api.max_upload));
    }
    let Ok(_slot) = api.uploads.try_acquire() else {
        return Err(Problem::unavailable("too many uploads are in progress"));
    };
    let options = PutOptions::from(IfExists::Refuse);
    let mut sink = api.stores.results().create(&key, &options).await?;
    // A dropped sink, of a client that disconnected, leaves nothing behind.
    let copied = copy(body.into_data_stream(), sink.as_mut(), api.max_upload).await;
    let checked = copied.and_then(|copied| check(copied, expected.as_deref()));
    let (size, sha256) = match checked {
        Ok(copied) => copied,
        Err(problem) => {
            sink.abort().await;
            return Err(problem);
        }
    };
    let source = UploadedSource { key: key.to_string() };
    to_the_end(async move {
        sink.finish().await?;
        actor.changed("upload", key.as_str());
        Ok(())
    })
    .await?;
    Ok((StatusCode::CREATED, Json(Uploaded { source, size, sha256 })))
}

fn too_large(max: u64) -> Problem {
    let detail = format!("an upload has at most {max} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

/// Copies the body, and returns its size and SHA-256.
async fn copy(mut body: BodyDataStream, sink: &mut dyn Sink, max: u64) -> Result<(u64, String), Problem> {
    let mut checksum = Checksum::default();
    let (mut size, mut buffer) = (0, BytesMut::new());
    let (mut deadline, mut until_extension) = (Instant::now() + STALL, MIN_BYTES);
    loop {
        let next = tokio::time::timeout_at(deadline, body.next()).await;
        let stalled = |_| Problem::stalled("the client sent less than 64 KiB within 60 s");
        let Some(chunk) = next.map_err(stalled)? else {
            sink.write(buffer.freeze()).await?;
            return Ok((size, checksum.finish().sha256));
        };
        let chunk = chunk.map_err(|_| Problem::bad_request("the body ended early"))?;
        size += chunk.len() as u64;
        if size > max {
            return Err(too_large(max));
        }
        until_extension = until_extension.saturating_sub(chunk.len());
        if until_extension == 0 {
            (deadline, until_extension) = (Instant::now() + STALL, MIN_BYTES);
        }
        checksum.update(&chunk);
        buffer.extend_from_slice(&chunk);
        if buffer.len() >= WRITE {
            sink.write(buffer.split().freeze()).await?;
        }
    }
}

fn check((size, sha256): (u64, String), expected: Option<&str>) -> Result<(u64, String), Problem> {
    if size == 0 {
        return Err(Problem::bad_request("the body is empty"));
    }
    match expected {
        Some(expected) if expected != sha256 => {
            let detail = "the body differs from its Content-Digest";
            Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "checksum_mismatch",
                detail,
            ))
        }
        _ => Ok((size, sha256)),
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Presigned {
    source: UploadedSource,
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    expires_at: UnixMillis,
}

pub(crate) async fn presign(
    State(api): State<Arc<Api>>,
    actor: Actor,
    JsonBody(request): JsonBody<PresignRequest>,
) -> Result<(StatusCode, Json<Presigned>), Problem> {
    let key = upload_key(&request.name)?;
    if request.size == 0 {
        return Err(Problem::bad_request("size: must be at least 1"));
    }
    if request.size > api.max_upload {
        return Err(too_large(api.max_upload));
    }
    let Objects::Bucket(bucket) = &api.objects else {
        let detail = "the store is a folder: use POST /api/v1/uploads";
        return Err(Problem::new(StatusCode::CONFLICT, "no_bucket", detail));
    };
    let expires_at = SystemClock.now().after(PRESIGNED);
    let upload = bucket.presign_upload(&key, request.size, PRESIGNED).await?;
    actor.changed("presign", key.as_str());
    let presigned = Presigned {
        source: UploadedSource { key: key.to_string() },
        method: upload.method,
        url: upload.url,
        headers: upload.headers,
        expires_at,
    };
    Ok((StatusCode::CREATED, Json(presigned)))
}
