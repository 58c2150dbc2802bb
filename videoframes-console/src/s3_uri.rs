//! URIs of objects: `s3://BUCKET/KEY`. The fuzz target `configuration` includes this file.

use std::fmt;
use std::str::FromStr;

use videoframes_core::storage::ObjectKey;

/// The URI of an object in S3 or an S3-compatible store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Uri {
    /// The bucket.
    pub bucket: String,
    /// The key of the object.
    pub key: ObjectKey,
}

const SCHEME: &str = "s3://";

impl S3Uri {
    /// Returns whether `text` has the scheme of an S3 URI, in any case.
    pub fn has_s3_scheme(text: &str) -> bool {
        text.get(..SCHEME.len())
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
    }
}

impl FromStr for S3Uri {
    type Err = String;

    /// Parses a URI. The key is taken literally, without percent-decoding.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let path = if Self::has_s3_scheme(text) {
            &text[SCHEME.len()..]
        } else {
            ""
        };
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let known = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
        };
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(known) {
            return Err("expected s3://BUCKET/KEY with a valid bucket name".to_owned());
        }
        if key.is_empty() {
            return Err("the key of the object is missing: expected s3://BUCKET/KEY".to_owned());
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.parse().map_err(|error| format!("{error}"))?,
        })
    }
}

impl fmt::Display for S3Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bucket, self.key)
    }
}

/// Returns whether `text` starts with the scheme of a URL (RFC 3986, section 3.1) and `://`.
///
/// Such a text is not a path. The text may contain credentials and must not be printed unless parsed.
pub fn has_scheme(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_not_decoded() {
        for (text, key) in [
            ("s3://bucket/a/b.mp4", "a/b.mp4"),
            ("S3://my.bucket-1/with space+%41.mp4", "with space+%41.mp4"),
        ] {
            let uri: S3Uri = text.parse().unwrap();
            assert_eq!(uri.key.as_str(), key);
        }
        let shown = "s3://bucket/ü.mp4".parse::<S3Uri>().unwrap().to_string();
        assert_eq!(shown, "s3://bucket/ü.mp4");
    }

    #[test]
    fn uris_without_an_object_are_rejected() {
        for text in [
            "s3://",
            "s3://bucket",
            "s3://bucket/",
            "s3:///key",
            "s3://B/k",
            "s3://bucket//k",
            "s3://bucket/../k",
        ] {
            assert!(text.parse::<S3Uri>().is_err(), "{text}");
        }
    }
}
