//! Conformance suite for [`Storage`] and [`Sink`].

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::source_conformance;
use crate::storage::{
    IfExists, METADATA_BYTES, ObjectKey, ObjectVersion, Opened, PutOptions, Sink, Storage, StorageError,
};

/// Optional capabilities of a [`Storage`].
#[derive(Debug, Clone, Copy)]
pub struct StorageCapabilities {
    /// The store keeps metadata. Otherwise metadata is empty rather than an error.
    pub metadata: bool,
    /// The store keeps metadata without a value. Otherwise such entries are dropped.
    pub empty_metadata: bool,
    /// Lists are in byte order of the keys. Otherwise they have another, stable order.
    pub byte_order: bool,
}

impl StorageCapabilities {
    /// All capabilities.
    pub const ALL: Self = Self {
        metadata: true,
        empty_metadata: true,
        byte_order: true,
    };
}

/// Checks the contract of [`Storage`] and [`Sink`] on an empty store.
///
/// # Panics
/// Panics if the implementation violates the contract.
pub async fn storage_conformance(storage: Arc<dyn Storage>, capabilities: StorageCapabilities) {
    missing_objects_are_not_found(&*storage).await;
    objects_are_written_atomically(&*storage).await;
    versions_are_distinguished(&*storage).await;
    metadata_is_kept_within_its_limits(&*storage, capabilities).await;
    of_two_writers_the_first_to_finish_wins(&*storage).await;
    of_many_writers_exactly_one_wins(&storage).await;
    files_are_imported(&*storage, capabilities).await;
    lists_are_in_order_and_in_pages(&*storage, capabilities).await;
}

async fn missing_objects_are_not_found(storage: &dyn Storage) {
    let key = key("no folder/no object");
    let missing = |error| matches!(error, Some(StorageError::NotFound(_)));
    assert!(
        missing(storage.open(&key, &ObjectVersion::CURRENT).await.err()),
        "open"
    );
    assert!(
        missing(storage.open(&key, &ObjectVersion::with_etag("etag")).await.err()),
        "open if it matches"
    );
    assert!(
        missing(storage.head(&key, &ObjectVersion::CURRENT).await.err()),
        "head"
    );
    for _ in 0..2 {
        storage
            .delete(&key)
            .await
            .expect("deleting a missing object is not an error");
    }
    let listed = storage.list("", None, 10).await.expect("a list");
    assert_eq!(listed, [], "the suite needs an empty store");
}

async fn objects_are_written_atomically(storage: &dyn Storage) {
    let key = key("a folder/ü 100%d.zip");
    write(storage, &key, IfExists::Refuse, &["first ", "version"])
        .await
        .expect("a new object");
    let Opened { info, source } = storage
        .open(&key, &ObjectVersion::CURRENT)
        .await
        .expect("a finished object can be opened");
    source_conformance(source.as_ref(), b"first version").await;
    let head = storage.head(&key, &ObjectVersion::CURRENT).await;
    assert_eq!(
        info,
        head.expect("the object exists"),
        "open and head return the same metadata"
    );
    assert_eq!(source.name(), "ü 100%d.zip");

    let refused = write(storage, &key, IfExists::Refuse, &["unasked"]).await;
    assert!(
        matches!(refused, Err(StorageError::AlreadyExists(name)) if name == key.as_str()),
        "an object is not replaced without permission, and the error has its key"
    );
    holds(storage, &key, b"first version").await;
    for end in [Ending::Abort, Ending::Drop] {
        let mut sink = storage
            .create(&key, &IfExists::Replace.into())
            .await
            .expect("replacing");
        sink.write(Bytes::from_static(b"never seen"))
            .await
            .expect("a write");
        end.apply(sink).await;
    }
    holds(storage, &key, b"first version").await;
    write(storage, &key, IfExists::Replace, &["second"])
        .await
        .expect("replacing");
    holds(storage, &key, b"second").await;

    for end in [Ending::Abort, Ending::Drop] {
        let never = self::key("a folder/never");
        let mut sink = storage
            .create(&never, &PutOptions::default())
            .await
            .expect("a sink");
        sink.write(Bytes::from_static(b"never seen"))
            .await
            .expect("a write");
        let visible = storage.head(&never, &ObjectVersion::CURRENT).await;
        assert!(
            matches!(visible, Err(StorageError::NotFound(_))),
            "nothing is visible before the end"
        );
        assert_eq!(keys(storage, "").await, [key.as_str()], "and nothing is listed");
        end.apply(sink).await;
        assert!(matches!(
            storage.head(&never, &ObjectVersion::CURRENT).await,
            Err(StorageError::NotFound(_))
        ));
    }
    let empty = self::key("empty");
    write(storage, &empty, IfExists::Refuse, &[])
        .await
        .expect("an object of no bytes");
    holds(storage, &empty, b"").await;

    for key in [key, empty] {
        storage.delete(&key).await.expect("deleting");
        assert!(matches!(
            storage.open(&key, &ObjectVersion::CURRENT).await,
            Err(StorageError::NotFound(_))
        ));
    }
    assert_eq!(keys(storage, "").await, [""; 0]);
}

async fn versions_are_distinguished(storage: &dyn Storage) {
    let key = key("versions");
    write(storage, &key, IfExists::Refuse, &["one"])
        .await
        .expect("a new object");
    let first = storage
        .head(&key, &ObjectVersion::CURRENT)
        .await
        .expect("the object exists");
    assert_eq!(first.size, 3);
    let age = SystemTime::now().duration_since(first.modified);
    assert!(
        age.is_ok_and(|age| age.as_secs() < 3600),
        "{:?} is not the current time",
        first.modified
    );
    assert_eq!(
        storage
            .head(&key, &ObjectVersion::CURRENT)
            .await
            .expect("the object exists"),
        first,
        "the metadata is stable"
    );
    let opened = storage
        .open(&key, &ObjectVersion::with_etag(&first.etag))
        .await
        .expect("the same version")
        .source;

    write(storage, &key, IfExists::Replace, &["two"])
        .await
        .expect("replacing");
    let second = storage
        .head(&key, &ObjectVersion::CURRENT)
        .await
        .expect("the object exists");
    assert_ne!(first.etag, second.etag, "different content has a different ETag");
    let changed = storage.open(&key, &ObjectVersion::with_etag(&first.etag)).await;
    assert!(
        matches!(changed, Err(StorageError::Changed(_))),
        "the old version is gone"
    );
    let source = storage
        .open(&key, &ObjectVersion::with_etag(&second.etag))
        .await
        .expect("the new version")
        .source;
    assert_eq!(source.read_at(0, 3).await.expect("a read"), "two");
    match opened.read_at(0, 3).await {
        Ok(bytes) => assert_eq!(bytes, "one", "reads return the opened version"),
        Err(error) => assert!(
            matches!(StorageError::of_read(&error), Some(StorageError::Changed(_))),
            "{error:?}"
        ),
    }
    storage.delete(&key).await.expect("deleting");
    let gone = storage.open(&key, &ObjectVersion::with_etag(&second.etag)).await;
    assert!(matches!(gone, Err(StorageError::NotFound(_))));
}

async fn metadata_is_kept_within_its_limits(storage: &dyn Storage, capabilities: StorageCapabilities) {
    let key = key("with metadata");
    let with = |pairs: &[(&str, &str)]| PutOptions {
        if_exists: IfExists::Replace,
        metadata: metadata(pairs),
    };
    let longest = "v".repeat(METADATA_BYTES - 2);
    let good: [&[(&str, &str)]; 3] = [
        &[("job-id", "8"), ("hash-2", "a: b=\"c\" \\ ~")],
        &[("a", &longest), ("b", "")],
        &[],
    ];
    for pairs in good {
        put(storage, &key, &with(pairs), b"content")
            .await
            .expect("an object");
        let kept = storage
            .head(&key, &ObjectVersion::CURRENT)
            .await
            .expect("the object exists")
            .metadata;
        if capabilities.metadata {
            let mut expected = metadata(pairs);
            expected.retain(|_, value| capabilities.empty_metadata || !value.is_empty());
            assert_eq!(kept, expected);
        } else {
            assert_eq!(kept, BTreeMap::new());
        }
    }
    let too_long = "v".repeat(METADATA_BYTES);
    let bad: [&[(&str, &str)]; 9] = [
        &[("a", &too_long)],
        &[("", "x")],
        &[("Upper", "x")],
        &[("under_score", "x")],
        &[("ü", "x")],
        &[("a", "line\nbreak")],
        &[("a", "ü")],
        &[("a", " x")],
        &[("a", "x ")],
    ];
    for pairs in bad {
        let refused = storage.create(&key, &with(pairs)).await.err();
        assert!(
            matches!(refused, Some(StorageError::Invalid { .. })),
            "{pairs:?}: {refused:?}"
        );
    }
    storage.delete(&key).await.expect("deleting");
}

async fn of_two_writers_the_first_to_finish_wins(storage: &dyn Storage) {
    let key = key("two/writers");
    let mut slow = storage
        .create(&key, &PutOptions::default())
        .await
        .expect("nothing there yet");
    slow.write(Bytes::from_static(b"slow")).await.expect("a write");
    write(storage, &key, IfExists::Refuse, &["fast"])
        .await
        .expect("nothing there yet");
    assert!(matches!(slow.finish().await, Err(StorageError::AlreadyExists(_))));
    holds(storage, &key, b"fast").await;
    storage.delete(&key).await.expect("deleting");
}

async fn of_many_writers_exactly_one_wins(storage: &Arc<dyn Storage>) {
    for round in 0..8 {
        let key = key(&format!("many/{round}/writers"));
        let mut writers = JoinSet::new();
        let ready = Arc::new(Barrier::new(16));
        for writer in 0..16 {
            let (storage, key, ready) = (Arc::clone(storage), key.clone(), Arc::clone(&ready));
            writers.spawn(async move {
                let content = format!("writer {writer}");
                let mut sink = storage
                    .create(&key, &PutOptions::default())
                    .await
                    .expect("nothing there yet");
                sink.write(content.clone().into()).await.expect("a write");
                ready.wait().await;
                let outcome = sink.finish().await;
                (content, outcome)
            });
        }
        let mut winners = Vec::new();
        for (content, outcome) in writers.join_all().await {
            match outcome {
                Ok(()) => winners.push(content),
                Err(StorageError::AlreadyExists(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        holds(&**storage, &key, winners[0].as_bytes()).await;
        storage.delete(&key).await.expect("deleting");
    }
}

async fn files_are_imported(storage: &dyn Storage, capabilities: StorageCapabilities) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    std::fs::write(&path, "imported").expect("a file");
    let key = key("imports/object");
    let missing = storage
        .import(&key, &folder.path().join("none"), &PutOptions::default())
        .await;
    assert!(matches!(missing, Err(StorageError::NotFound(_))), "{missing:?}");
    let no_file = storage.import(&key, folder.path(), &PutOptions::default()).await;
    assert!(no_file.is_err(), "a folder is not an object");

    let options = PutOptions {
        metadata: metadata(&[("job-id", "8")]),
        ..PutOptions::default()
    };
    for options in [options, PutOptions::default()] {
        storage.import(&key, &path, &options).await.expect("an import");
        holds(storage, &key, b"imported").await;
        let info = storage
            .head(&key, &ObjectVersion::CURRENT)
            .await
            .expect("the object exists");
        if capabilities.metadata {
            assert_eq!(info.metadata, options.metadata);
        }
        let again = storage.import(&key, &path, &options).await;
        assert!(
            matches!(again, Err(StorageError::AlreadyExists(_))),
            "an object is not replaced without permission"
        );
        let replace = PutOptions {
            if_exists: IfExists::Replace,
            ..options
        };
        storage
            .import(&key, &path, &replace)
            .await
            .expect("the same import again");
        holds(storage, &key, b"imported").await;

        // The file stays. A later change of the file either does not affect the object or changes its ETag.
        let before = storage
            .head(&key, &ObjectVersion::CURRENT)
            .await
            .expect("the object exists");
        let mut file = std::fs::File::options()
            .append(true)
            .open(&path)
            .expect("the file stays");
        file.write_all(b" and altered").expect("a write");
        drop(file);
        let after = storage
            .head(&key, &ObjectVersion::CURRENT)
            .await
            .expect("the object exists");
        if after.etag == before.etag {
            holds(storage, &key, b"imported").await;
        }
        std::fs::write(&path, "imported").expect("a file");
        storage.delete(&key).await.expect("deleting");
        assert!(path.is_file(), "deleting the object keeps the file");
    }
    assert_eq!(keys(storage, "").await, [""; 0]);
}

async fn lists_are_in_order_and_in_pages(storage: &dyn Storage, capabilities: StorageCapabilities) {
    // In byte order, in which a folder does not sort next to its name.
    let mut all = [
        "a!b", "a-b", "a/b", "a/b!", "a/c/d", "a/c0", "a0", "b", "b.x", "ba/c", "ü/ä",
    ];
    for key in all.iter().rev() {
        write(storage, &self::key(key), IfExists::Refuse, &[key])
            .await
            .expect("a new object");
    }
    let listed = keys(storage, "").await;
    if !capabilities.byte_order {
        let index = |key: &str| listed.iter().position(|listed| listed == key);
        all.sort_by_key(|key| index(key));
    }
    assert_eq!(listed, all);
    for prefix in [
        "a", "a/", "a/b", "a/c", "a/c/", "b", "b/", "ü", "ü/ä", "ü/ä/", "z",
    ] {
        let expected: Vec<&str> = all.into_iter().filter(|key| key.starts_with(prefix)).collect();
        assert_eq!(keys(storage, prefix).await, expected, "{prefix}");
    }
    for limit in 1..=all.len() + 1 {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = storage.list("", after.as_ref(), limit).await.expect("a page");
            assert!(page.len() <= limit);
            let last = page.len() < limit;
            found.extend(page.iter().map(|entry| entry.key.to_string()));
            assert!(found.len() <= all.len(), "no page repeats another: {found:?}");
            if last {
                break;
            }
            after = page.last().map(|entry| entry.key.clone());
        }
        assert_eq!(found, all, "in pages of {limit}");
    }
    let next = storage.list("a/", Some(&key("a/b~")), 1).await.expect("a page");
    assert_eq!(
        next[0].key.as_str(),
        "a/c/d",
        "the start key does not have to exist"
    );
    assert_eq!(storage.list("", None, 0).await.expect("no page"), []);

    let entry = &storage.list("b", None, 1).await.expect("a page")[0];
    let info = storage
        .head(&entry.key, &ObjectVersion::CURRENT)
        .await
        .expect("the object exists");
    assert_eq!((entry.size, entry.modified), (info.size, info.modified));
    for key in all {
        storage.delete(&self::key(key)).await.expect("deleting");
    }
    assert_eq!(keys(storage, "").await, [""; 0]);
}

enum Ending {
    Abort,
    Drop,
}

impl Ending {
    async fn apply(self, sink: Box<dyn Sink>) {
        match self {
            Self::Abort => sink.abort().await,
            Self::Drop => drop(sink),
        }
    }
}

fn key(text: &str) -> ObjectKey {
    text.parse().expect("a valid key")
}

fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    owned.collect()
}

async fn keys(storage: &dyn Storage, prefix: &str) -> Vec<String> {
    let found = storage.list(prefix, None, 1000).await.expect("a list");
    found.iter().map(|entry| entry.key.to_string()).collect()
}

async fn holds(storage: &dyn Storage, key: &ObjectKey, content: &[u8]) {
    let source = storage
        .open(key, &ObjectVersion::CURRENT)
        .await
        .expect("the object exists")
        .source;
    source_conformance(source.as_ref(), content).await;
}

async fn write(
    storage: &dyn Storage,
    key: &ObjectKey,
    if_exists: IfExists,
    parts: &[&str],
) -> Result<(), StorageError> {
    let mut sink = storage.create(key, &if_exists.into()).await?;
    for part in parts {
        sink.write(Bytes::copy_from_slice(part.as_bytes())).await?;
    }
    sink.finish().await
}

async fn put(
    storage: &dyn Storage,
    key: &ObjectKey,
    options: &PutOptions,
    content: &[u8],
) -> Result<(), StorageError> {
    let mut sink = storage.create(key, options).await?;
    sink.write(Bytes::copy_from_slice(content)).await?;
    sink.finish().await
}
