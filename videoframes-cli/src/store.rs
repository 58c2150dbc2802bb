//! Objects of S3, and of stores that speak as it does, as videos and as results: `s3://bucket/key`.

use std::fmt;
use std::str::FromStr;

use videoframes_core::storage::ObjectKey;

#[cfg(feature = "s3")]
pub(crate) use self::store::{open, open_to_write};

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectAddress {
    bucket: String,
    pub(crate) key: ObjectKey,
}

/// How it begins.
const SCHEME: &str = "s3://";

impl ObjectAddress {
    /// Whether a text is meant as one.
    pub(crate) fn is_meant(text: &str) -> bool {
        text.get(..SCHEME.len())
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
    }
}

impl FromStr for ObjectAddress {
    type Err = String;

    /// The key is taken as it is: nothing in it is decoded.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let place = if Self::is_meant(text) {
            &text[SCHEME.len()..]
        } else {
            ""
        };
        let (bucket, key) = place.split_once('/').unwrap_or((place, ""));
        let known = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
        };
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(known) {
            return Err("has to be s3://BUCKET/KEY, with the name of a bucket".to_owned());
        }
        if key.is_empty() {
            return Err("names a bucket and no object in it: s3://BUCKET/KEY".to_owned());
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.parse().map_err(|error| format!("{error}"))?,
        })
    }
}

impl fmt::Display for ObjectAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bucket, self.key)
    }
}

#[cfg(feature = "s3")]
mod store {
    use std::sync::Arc;

    use videoframes_core::aws::{AwsOptions, s3_endpoint_is_set, sdk_config};
    use videoframes_core::source::Source;
    use videoframes_core::storage::{IfExists, ObjectVersion, S3Options, S3Storage, Storage, StorageError};

    use super::ObjectAddress;

    async fn storage(bucket: &str) -> S3Storage {
        let config = sdk_config(&AwsOptions::default()).await;
        let options = S3Options {
            path_style: s3_endpoint_is_set(),
            ..S3Options::new(bucket)
        };
        S3Storage::new(&config, options)
    }

    /// The object, read in ranges.
    pub(crate) async fn open(address: &ObjectAddress) -> Result<Arc<dyn Source>, StorageError> {
        let storage = storage(&address.bucket).await;
        let opened = storage.open(&address.key, &ObjectVersion::CURRENT).await?;
        Ok(opened.source)
    }

    /// The store of an object that is to be written.
    ///
    /// # Errors
    /// At once, where it exists and is not to be replaced, or where the store does not answer.
    pub(crate) async fn open_to_write(
        address: &ObjectAddress,
        if_exists: IfExists,
    ) -> Result<Arc<dyn Storage>, StorageError> {
        let storage = storage(&address.bucket).await;
        match storage.head(&address.key, &ObjectVersion::CURRENT).await {
            Ok(_) if if_exists == IfExists::Refuse => {
                return Err(StorageError::AlreadyExists(address.key.to_string()));
            }
            Ok(_) | Err(StorageError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(Arc::new(storage))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_as_they_are() {
        for (text, key) in [
            ("s3://bucket/a/b.mp4", "a/b.mp4"),
            ("S3://my.bucket-1/with space+%41.mp4", "with space+%41.mp4"),
        ] {
            let address: ObjectAddress = text.parse().unwrap();
            assert_eq!(address.key.as_str(), key);
        }
        let shown = "s3://bucket/ü.mp4".parse::<ObjectAddress>().unwrap().to_string();
        assert_eq!(shown, "s3://bucket/ü.mp4");
    }

    #[test]
    fn what_names_no_object_is_refused() {
        for text in [
            "s3://",
            "s3://bucket",
            "s3://bucket/",
            "s3:///key",
            "s3://B/k",
            "s3://bucket//k",
            "s3://bucket/../k",
        ] {
            assert!(text.parse::<ObjectAddress>().is_err(), "{text}");
        }
    }
}
