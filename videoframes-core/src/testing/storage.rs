//! What every [`Storage`] and its sinks must do.

use bytes::Bytes;

use super::source_conformance;
use crate::storage::{IfExists, ObjectKey, Storage, StorageError};

/// Checks the contract of [`Storage`] and [`crate::storage::Sink`] on an empty store.
///
/// # Panics
/// Where the contract is broken.
pub async fn storage_conformance(storage: &dyn Storage) {
    let key: ObjectKey = "a folder/ü 100%d.zip".parse().expect("a valid key");
    assert!(
        matches!(storage.open(&key).await, Err(StorageError::NotFound(_))),
        "a missing object is NotFound"
    );
    storage
        .delete(&key)
        .await
        .expect("deleting a missing object is no error");

    write(storage, &key, IfExists::Refuse, &["first ", "version"])
        .await
        .expect("a new object");
    let source = storage.open(&key).await.expect("a finished object can be opened");
    source_conformance(source.as_ref(), b"first version").await;
    assert_eq!(source.name(), "ü 100%d.zip");

    let refused = storage.create(&key, IfExists::Refuse).await.err();
    assert!(
        matches!(refused, Some(StorageError::AlreadyExists(_))),
        "an object is not replaced unasked"
    );

    let mut sink = storage.create(&key, IfExists::Replace).await.expect("replacing");
    sink.write(Bytes::from_static(b"never seen"))
        .await
        .expect("a write");
    sink.abort().await;
    let mut sink = storage.create(&key, IfExists::Replace).await.expect("replacing");
    sink.write(Bytes::from_static(b"never seen"))
        .await
        .expect("a write");
    drop(sink);
    source_conformance(
        storage.open(&key).await.expect("still there").as_ref(),
        b"first version",
    )
    .await;

    write(storage, &key, IfExists::Replace, &["second"])
        .await
        .expect("replacing");
    source_conformance(storage.open(&key).await.expect("replaced").as_ref(), b"second").await;

    // Two writers of one new object: the second to finish is refused, and the first one's stays.
    let other: ObjectKey = "other".parse().expect("a valid key");
    let mut slow = storage
        .create(&other, IfExists::Refuse)
        .await
        .expect("nothing there yet");
    slow.write(Bytes::from_static(b"slow")).await.expect("a write");
    assert!(
        storage.open(&other).await.is_err(),
        "nothing is visible before the end"
    );
    write(storage, &other, IfExists::Refuse, &["fast"])
        .await
        .expect("nothing there yet");
    assert!(matches!(slow.finish().await, Err(StorageError::AlreadyExists(_))));
    source_conformance(storage.open(&other).await.expect("the first").as_ref(), b"fast").await;

    storage.delete(&key).await.expect("deleting");
    assert!(matches!(storage.open(&key).await, Err(StorageError::NotFound(_))));
}

async fn write(
    storage: &dyn Storage,
    key: &ObjectKey,
    if_exists: IfExists,
    parts: &[&'static str],
) -> Result<(), StorageError> {
    let mut sink = storage.create(key, if_exists).await?;
    for part in parts {
        sink.write(Bytes::from_static(part.as_bytes())).await?;
    }
    sink.finish().await
}
