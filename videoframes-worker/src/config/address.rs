//! Parsers for stores, queues and buckets, in environment variables and options. The fuzz target `configuration` includes
//! this file.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Maximum length of a queue name, including the suffix.
const MAX_NAME_BYTES: usize = 80;

/// An SQS queue: `sqs:NAME`, or a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QueueAddress {
    /// The name of a queue in the configured account and region.
    Name(String),
    /// The URL of the queue.
    Url(String),
}

impl QueueAddress {
    /// Returns whether `text` denotes an SQS queue rather than a queue of the database.
    pub(crate) fn is_sqs(text: &str) -> bool {
        text.starts_with("sqs:") || text.contains("://")
    }

    /// Returns the name or the URL, by which a client finds the queue.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Url(url) => url,
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Url(url) => {
                let path = url.trim_end_matches('/');
                path.rsplit('/').next().unwrap_or(path)
            }
        }
    }

    pub(crate) fn is_fifo(&self) -> bool {
        self.name().ends_with(".fifo")
    }
}

impl FromStr for QueueAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = match text.strip_prefix("sqs:") {
            Some(name) => Self::Name(name.to_owned()),
            None if text.starts_with("https://") || text.starts_with("http://") => Self::Url(text.to_owned()),
            None => return Err("sqs:NAME or the URL of a queue".to_owned()),
        };
        let name = address.name();
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let stem = name.strip_suffix(".fifo").unwrap_or(name);
        match !stem.is_empty() && name.len() <= MAX_NAME_BYTES && stem.chars().all(legal) {
            true => Ok(address),
            false => Err(
                "a queue with a name of 1 to 80 letters, digits, - and _, optionally with .fifo at the end"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Display for QueueAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The location of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QueuePlace {
    /// A queue in the database, by name.
    Database(String),
    /// A queue in SQS.
    Sqs(QueueAddress),
}

impl QueuePlace {
    /// Parses `sqs:NAME`, the URL of a queue, or the name of a queue in the database.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if QueueAddress::is_sqs(text) {
            return text.parse().map(Self::Sqs);
        }
        match (1..=80).contains(&text.len()) {
            true => Ok(Self::Database(text.to_owned())),
            false => Err("a name of 1 to 80 bytes, sqs:NAME, or the URL of a queue".to_owned()),
        }
    }

    /// Returns the address of a queue in SQS.
    pub(crate) fn in_sqs(&self) -> Option<&QueueAddress> {
        match self {
            Self::Database(_) => None,
            Self::Sqs(address) => Some(address),
        }
    }

    /// Returns the name of a queue in the database; `None` for SQS.
    pub(crate) fn in_database(&self) -> Option<String> {
        match self {
            Self::Database(name) => Some(name.clone()),
            Self::Sqs(_) => None,
        }
    }

    pub(crate) fn is_sqs(&self) -> bool {
        matches!(self, Self::Sqs(_))
    }
}

/// A bucket and a prefix, which is empty or ends in `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BucketPlace {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
}

impl BucketPlace {
    /// Parses `BUCKET` or `BUCKET/PREFIX`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
        let prefix = prefix.trim_end_matches('/');
        if prefix.split('/').any(|part| matches!(part, "." | "..")) {
            return Err("a bucket and a prefix without . and ..".to_owned());
        }
        Ok(Self {
            bucket: bucket_name(bucket)?,
            prefix: match prefix.is_empty() {
                true => String::new(),
                false => format!("{prefix}/"),
            },
        })
    }
}

/// The location of objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoragePlace {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket, or a prefix in a bucket.
    Bucket(BucketPlace),
}

/// Parses `file:FOLDER`, `s3://BUCKET` or `s3://BUCKET/PREFIX`.
pub(super) fn storage(text: &str) -> Result<StoragePlace, String> {
    if let Some(folder) = text.strip_prefix("file:").filter(|folder| !folder.is_empty()) {
        return Ok(StoragePlace::Folder(PathBuf::from(folder)));
    }
    let place = text.strip_prefix("s3://").map(BucketPlace::parse);
    match place {
        Some(Ok(place)) => Ok(StoragePlace::Bucket(place)),
        _ => Err("file:FOLDER, s3://BUCKET or s3://BUCKET/PREFIX".to_owned()),
    }
}

/// Parses the name of a bucket.
pub(crate) fn bucket_name(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    match (3..=63).contains(&text.len()) && text.chars().all(legal) {
        true => Ok(text.to_owned()),
        false => Err("a bucket with a name of 3 to 63 lower-case letters, digits, - and .".to_owned()),
    }
}

/// Parses a comma-separated list of buckets such as `uploads,archive`.
pub(crate) fn bucket_names(text: &str) -> Result<Vec<String>, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(bucket_name).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_given_by_name_or_url() {
        let parse = |text: &str| text.parse::<QueueAddress>();
        assert_eq!(parse("sqs:videos").unwrap().name(), "videos");
        let url = parse("https://sqs.eu-west-1.amazonaws.com/123456789012/videos.fifo").unwrap();
        assert_eq!((url.name(), url.is_fifo()), ("videos.fifo", true));
        for wrong in [
            "videos",
            "sqs:",
            "sqs:a b",
            "sqs:.fifo",
            "https://",
            "ftp://x/y",
            "sqs:a.b",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse(&format!("sqs:{}", "x".repeat(81))).is_err());
    }
}
