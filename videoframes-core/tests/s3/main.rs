//! Objects in a real store that speaks as S3 does. `VF_TEST_S3` is its address; without it these tests skip.
#![allow(clippy::unwrap_used)]

mod bucket;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use videoframes_core::storage::{ObjectKey, ObjectVersion, PutOptions, S3Options, Storage, StorageError};
use videoframes_core::testing::{StorageCapabilities, storage_conformance};

use self::bucket::Bucket;

/// It lists folder by folder.
const SEAWEEDFS: StorageCapabilities = StorageCapabilities {
    metadata: true,
    ordered: false,
};

#[tokio::test]
async fn a_bucket_is_a_storage() {
    let Some(bucket) = Bucket::new().await else { return };
    let storage = Arc::new(bucket.storage(|_| {}).await);
    storage_conformance(storage, SEAWEEDFS).await;
    assert_eq!(bucket.uploads().await, 0);
}

#[tokio::test]
async fn what_lies_below_a_prefix_is_a_storage() {
    let Some(bucket) = Bucket::new().await else { return };
    bucket.put("beside", b"not below the prefix").await;
    let below = |options: &mut S3Options| options.prefix = Some("below/it".to_owned());
    let storage = Arc::new(bucket.storage(below).await);
    storage_conformance(storage, SEAWEEDFS).await;
    assert_eq!(bucket.keys().await, ["beside"]);
}

/// The smallest part that stores take.
const PART: usize = 5 << 20;

/// Bytes that are nowhere the same.
fn bytes(length: usize) -> Vec<u8> {
    (0..length as u64)
        .step_by(8)
        .flat_map(|at| (at ^ 0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .take(length)
        .collect()
}

#[tokio::test]
async fn large_objects_are_written_in_parts_and_read_back() {
    let Some(bucket) = Bucket::new().await else { return };
    let storage = bucket
        .storage(|options| (options.part_bytes, options.parts) = (PART, 2))
        .await;
    let content = bytes(3 * PART + 1);
    for length in [PART - 1, PART, PART + 1, 3 * PART, 3 * PART + 1] {
        let key = format!("of {length} bytes").parse().unwrap();
        let mut sink = storage.create(&key, &PutOptions::default()).await.unwrap();
        for piece in content[..length].chunks(700_001) {
            sink.write(piece.to_vec().into()).await.unwrap();
        }
        sink.finish().await.unwrap();
        let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap();
        assert!(
            source.read_at(0, length).await.unwrap() == content[..length],
            "{length}"
        );
        let mut verifier = source
            .verifier()
            .expect("the store knows a checksum of the whole");
        verifier.update(&content[..length]);
        assert!(verifier.agrees());
    }
    assert_eq!(bucket.uploads().await, 0);
}

#[tokio::test]
async fn an_upload_that_ends_early_leaves_nothing() {
    let Some(bucket) = Bucket::new().await else { return };
    let storage = bucket
        .storage(|options| (options.part_bytes, options.parts) = (PART, 2))
        .await;
    let key: ObjectKey = "never".parse().unwrap();
    for dropped in [false, true] {
        let mut sink = storage.create(&key, &PutOptions::default()).await.unwrap();
        sink.write(bytes(2 * PART + 1).into()).await.unwrap();
        assert_eq!(storage.unfinished("").await.unwrap()[0].key, key);
        match dropped {
            true => drop(sink),
            false => sink.abort().await,
        }
        bucket.no_uploads().await;
    }
    assert_eq!(bucket.keys().await, [""; 0]);
}

#[tokio::test]
async fn an_upload_of_a_writer_that_died_can_be_found_and_given_up() {
    let Some(bucket) = Bucket::new().await else { return };
    let storage = bucket
        .storage(|options| options.prefix = Some("below".to_owned()))
        .await;
    bucket.begin("below/results/a").await;
    bucket.begin("below/results/b").await;
    bucket.begin("beside").await;
    let found = storage.unfinished("results/").await.unwrap();
    let mut keys: Vec<_> = found.iter().map(|upload| upload.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["results/a", "results/b"]);
    for _ in 0..2 {
        storage.give_up(&found[0]).await.unwrap();
    }
    assert_eq!(storage.unfinished("").await.unwrap(), found[1..]);
    assert_eq!(bucket.uploads().await, 2);
}

#[tokio::test]
async fn versions_are_read_by_their_names() {
    let Some(bucket) = Bucket::new().await else { return };
    bucket.keep_versions().await;
    let storage = bucket.storage(|_| {}).await;
    let key: ObjectKey = "v.mp4".parse().unwrap();
    bucket.put("v.mp4", b"first").await;
    let first = storage.head(&key, &ObjectVersion::CURRENT).await.unwrap();
    bucket.put("v.mp4", b"the second").await;
    let by_name = ObjectVersion {
        id: first.version.clone(),
        etag: Some(first.etag.clone()),
    };
    assert_eq!(storage.head(&key, &by_name).await.unwrap(), first);
    let source = storage.open(&key, &by_name).await.unwrap();
    assert_eq!(source.read_at(0, 100).await.unwrap(), "first");
    for unknown in ["no-such-version", "00000000000000000000000000000000"] {
        let unknown = ObjectVersion {
            id: Some(unknown.to_owned()),
            etag: None,
        };
        let missing = storage.head(&key, &unknown).await;
        assert!(matches!(missing, Err(StorageError::NotFound(_))), "{missing:?}");
    }
}

#[tokio::test]
async fn objects_are_copied_and_have_addresses() {
    let Some(bucket) = Bucket::new().await else { return };
    let storage = bucket.storage(|_| {}).await;
    let odd = "a folder/ü + 100%25?&.mp4";
    bucket.put(odd, b"content").await;
    let from: ObjectKey = odd.parse().unwrap();
    storage.copy(&from, &"copy".parse().unwrap()).await.unwrap();
    assert_eq!(bucket.keys().await, [odd, "copy"]);
    let url = storage.presign(&from, Duration::from_secs(60)).await.unwrap();
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.bytes().await.unwrap(), "content");
    let missing = storage
        .copy(&"none".parse().unwrap(), &"copy".parse().unwrap())
        .await;
    assert!(matches!(missing, Err(StorageError::NotFound(_))), "{missing:?}");
    let long = storage.presign(&from, Duration::from_secs(8 * 24 * 3600)).await;
    assert!(matches!(long, Err(StorageError::Invalid { .. })), "{long:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_bucket_is_said_in_words() {
    let Some(bucket) = Bucket::new().await else { return };
    bucket.storage(|_| {}).await.check().await.unwrap();
    let text = |error: StorageError| format!("{error}: {}", error.source().unwrap());
    let none = bucket
        .storage(|options| options.bucket = "vf-none".to_owned())
        .await;
    let none = text(none.check().await.unwrap_err());
    assert!(
        none.contains("vf-none") && none.contains("no such bucket"),
        "{none}"
    );
    let stranger = bucket.storage_of("stranger", "wrong").await;
    let denied = text(stranger.check().await.unwrap_err());
    assert!(
        denied.contains("denied") && denied.contains("InvalidAccessKeyId"),
        "{denied}"
    );
    let nobody = bucket.storage_at("http://127.0.0.1:1", |_| {}).await;
    let refused = text(nobody.check().await.unwrap_err());
    assert!(refused.contains("refused"), "{refused}");
}
