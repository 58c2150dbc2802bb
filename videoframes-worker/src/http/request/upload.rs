//! Names and checksums of uploads.

use axum::http::HeaderMap;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use uuid::Uuid;
use videoframes_core::storage::ObjectKey;

use super::invalid::InvalidRequest;

/// Header with the expected checksum of the body (RFC 9530).
const CONTENT_DIGEST: &str = "content-digest";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PresignRequest {
    pub(crate) name: String,
    /// Size of the video in bytes.
    pub(crate) size: u64,
}

/// Returns a new key for an upload. Nobody can choose the key of another upload.
pub(crate) fn upload_key(name: &str) -> Result<ObjectKey, InvalidRequest> {
    let invalid = "name: must be the name of a file, without '/', '\\' and control characters";
    if name.contains(['/', '\\']) {
        return Err(InvalidRequest::new(invalid));
    }
    let key = format!("uploads/{}/{name}", Uuid::now_v7()).parse();
    key.map_err(|_| InvalidRequest::new(invalid))
}

/// Returns the SHA-256 of the header in hexadecimal, if the header has one.
pub(crate) fn content_digest(headers: &HeaderMap) -> Result<Option<String>, InvalidRequest> {
    let invalid = || InvalidRequest::new("Content-Digest: must be sha-256=:BASE64:");
    let Some(value) = headers.get(CONTENT_DIGEST) else {
        return Ok(None);
    };
    let mut digests = value.to_str().map_err(|_| invalid())?.split(',');
    // Other algorithms are ignored (RFC 9530).
    let Some(digest) = digests.find_map(|digest| digest.trim().strip_prefix("sha-256=")) else {
        return Ok(None);
    };
    let encoded = digest
        .strip_prefix(':')
        .and_then(|digest| digest.strip_suffix(':'));
    let bytes = BASE64_STANDARD.decode(encoded.ok_or_else(invalid)?);
    let bytes = bytes.ok().filter(|bytes| bytes.len() == 32).ok_or_else(invalid)?;
    Ok(Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_folder_of_their_upload() {
        for name in ["v.mp4", "a b ü.mp4", "...", "<img src=x>.mp4"] {
            let key = upload_key(name).unwrap();
            assert!(
                key.as_str().starts_with("uploads/") && key.name() == name,
                "{key}"
            );
        }
        for name in ["", ".", "..", "a/b", "../x", "a\\b", "a\nb", &"x".repeat(1000)] {
            assert!(upload_key(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_digest_is_read_from_its_header() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_DIGEST, value.parse().unwrap());
            content_digest(&headers).map_err(drop)
        };
        let encoded = BASE64_STANDARD.encode([7; 32]);
        assert_eq!(of(&format!("sha-256=:{encoded}:")), Ok(Some("07".repeat(32))));
        assert_eq!(
            of(&format!("md5=:eA==:, sha-256=:{encoded}:")),
            Ok(Some("07".repeat(32)))
        );
        assert_eq!(of("md5=:eA==:"), Ok(None));
        for invalid in ["sha-256=abc", "sha-256=:eA==:", "sha-256=::"] {
            assert_eq!(of(invalid), Err(()), "{invalid}");
        }
    }
}
