//! Objects in S3 and S3-compatible stores, as inputs and outputs.

use std::sync::Arc;

use videoframes_console::S3Uri;
use videoframes_core::aws::{AwsOptions, s3_endpoint_is_set, sdk_config};
use videoframes_core::source::Source;
use videoframes_core::storage::{IfExists, ObjectVersion, S3Options, S3Storage, Storage, StorageError};

async fn storage(bucket: &str) -> S3Storage {
    let config = sdk_config(&AwsOptions::default()).await;
    let options = S3Options::new(bucket).path_style(s3_endpoint_is_set());
    S3Storage::new(&config, options)
}

/// Opens the object for range requests.
pub(crate) async fn open(address: &S3Uri) -> Result<Arc<dyn Source>, StorageError> {
    let storage = storage(&address.bucket).await;
    let opened = storage.open(&address.key, &ObjectVersion::CURRENT).await?;
    Ok(opened.source)
}

/// Opens the store of an output object.
///
/// # Errors
/// Fails if the object exists and must not be replaced, or if the store does not respond.
pub(crate) async fn open_to_write(
    address: &S3Uri,
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
