//! Objects in S3 and S3-compatible stores, as inputs and outputs.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;
use videoframes_console::S3Uri;
use videoframes_core::aws::{AwsOptions, s3_endpoint_is_set, sdk_config};
use videoframes_core::source::Source;
use videoframes_core::storage::{IfExists, ObjectVersion, S3Options, S3Storage, Storage, StorageError};

/// Returns the store of a bucket. All objects of a bucket share connections and credentials.
async fn storage(bucket: &str) -> S3Storage {
    static STORES: Mutex<Option<HashMap<String, S3Storage>>> = Mutex::const_new(None);
    let mut stores = STORES.lock().await;
    let stores = stores.get_or_insert_default();
    if let Some(store) = stores.get(bucket) {
        return store.clone();
    }
    let config = sdk_config(&AwsOptions::default()).await;
    let options = S3Options::new(bucket).path_style(s3_endpoint_is_set());
    let store = S3Storage::new(&config, options);
    stores.insert(bucket.to_owned(), store.clone());
    store
}

/// Returns whether the object exists.
pub(crate) async fn exists(address: &S3Uri) -> Result<bool, StorageError> {
    let storage = storage(&address.bucket).await;
    match storage.head(&address.key, &ObjectVersion::CURRENT).await {
        Ok(_) => Ok(true),
        Err(StorageError::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
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
    if exists(address).await? && if_exists == IfExists::Refuse {
        return Err(StorageError::AlreadyExists(address.key.to_string()));
    }
    Ok(Arc::new(storage(&address.bucket).await))
}
