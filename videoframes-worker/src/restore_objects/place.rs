//! The bucket to restore, from options and environment.

use std::time::Duration;

use videoframes_console::{Failure, exit};
use videoframes_core::storage::S3Encryption;

use super::args::RestoreObjectsArgs;
use crate::args::LocationArgs;
use crate::config::{BucketPlace, Reader, bucket_names, encryption, on_off, time};

/// The bucket to restore, and the settings of its requests.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) bucket: String,
    /// Prefix of all keys, with the prefix of the store.
    pub(super) prefix: String,
    pub(super) encryption: S3Encryption,
    pub(super) path_style: bool,
    /// How long replaced and deleted versions are kept.
    pub(super) retention: Duration,
}

impl Place {
    pub(super) fn read(location: &LocationArgs, args: &RestoreObjectsArgs) -> Result<Self, Failure> {
        let mut read = Reader::from_environment();
        let store = match location.local {
            // `--local` ignores the environment.
            Some(_) => None,
            None => read.optional("VF_STORAGE", |text| match text.strip_prefix("s3://") {
                Some(place) => BucketPlace::parse(place).map(Some),
                None => Ok(None),
            }),
        };
        let sources = read.optional("VF_SOURCES", bucket_names).unwrap_or_default();
        let configured = read.optional("VF_S3_ENCRYPTION", encryption).unwrap_or_default();
        let path_style = read
            .optional("VF_S3_PATH_STYLE", on_off)
            .unwrap_or_else(videoframes_core::aws::s3_endpoint_is_set);
        let retention = read.get("VF_VERSION_RETENTION", time);
        let errors = read.into_errors();
        if !errors.is_empty() {
            return Err(Failure::all(exit::USAGE, errors));
        }
        let (bucket, below, encryption) = match (store.flatten(), &args.bucket) {
            (Some(store), None) => (store.bucket, store.prefix, configured),
            (Some(store), Some(name)) if *name == store.bucket => (store.bucket, store.prefix, configured),
            // Objects of others get the default encryption of their bucket.
            (_, Some(name)) if sources.contains(name) => (name.clone(), String::new(), S3Encryption::Bucket),
            (_, Some(name)) => {
                let text = format!("the bucket '{name}' is neither that of VF_STORAGE nor one of VF_SOURCES");
                return Err(Failure::new(exit::USAGE, text));
            }
            (None, None) => {
                let text = "the store is a folder, which has no versions";
                return Err(
                    Failure::new(exit::USAGE, text).hint("set VF_STORAGE=s3://BUCKET, or give --bucket")
                );
            }
        };
        Ok(Self {
            prefix: format!("{below}{}", args.prefix),
            bucket,
            encryption,
            path_style,
            retention,
        })
    }
}
