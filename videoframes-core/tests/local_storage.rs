//! Storage in a folder: no name leads out of the folder, and no file is left behind.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{CWD, Mode};
use videoframes_core::storage::{
    IfExists, LocalStorage, ObjectKey, ObjectVersion, PutOptions, Storage, StorageError,
};

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

fn replace() -> PutOptions {
    IfExists::Replace.into()
}

async fn put(storage: &LocalStorage, key: &ObjectKey, content: &'static str) -> Result<(), StorageError> {
    let mut sink = storage.create(key, &replace()).await?;
    sink.write(Bytes::from_static(content.as_bytes())).await?;
    sink.finish().await
}

fn is_invalid<T>(outcome: Result<T, StorageError>) -> bool {
    matches!(outcome, Err(StorageError::Invalid { .. }))
}

/// Creates a storage next to a file that must not change.
fn store() -> (tempfile::TempDir, LocalStorage, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
    for folder in [&root, &outside] {
        std::fs::create_dir(folder).unwrap();
    }
    std::fs::write(outside.join("secret"), "secret").unwrap();
    (folder, LocalStorage::new(root), outside)
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn does_not_follow_links() {
    let (folder, storage, outside) = store();
    let root = folder.path().join("root");
    symlink(&outside, root.join("x")).unwrap();
    symlink(outside.join("secret"), root.join("file")).unwrap();
    std::fs::create_dir(root.join("inner")).unwrap();
    symlink("../../outside", root.join("inner/x")).unwrap();

    for bad in [
        "x/secret",
        "x/new",
        "x/new/deeper",
        "inner/x/secret",
        "inner/x/new",
    ]
    .map(key)
    {
        assert!(
            is_invalid(storage.head(&bad, &ObjectVersion::CURRENT).await),
            "{bad}"
        );
        assert!(
            is_invalid(storage.open(&bad, &ObjectVersion::CURRENT).await),
            "{bad}"
        );
        assert!(is_invalid(storage.create(&bad, &replace()).await), "{bad}");
        assert!(is_invalid(storage.delete(&bad).await), "{bad}");
        let import = storage.import(&bad, &outside.join("secret"), &replace()).await;
        assert!(is_invalid(import), "{bad}");
    }
    assert!(is_invalid(
        storage.open(&key("file"), &ObjectVersion::CURRENT).await
    ));
    assert!(is_invalid(
        storage.head(&key("file"), &ObjectVersion::CURRENT).await
    ));
    assert_eq!(storage.list("", None, 10).await.unwrap(), []);

    // Replacing or deleting a link affects the link and not its target.
    put(&storage, &key("file"), "new").await.unwrap();
    storage.delete(&key("x")).await.unwrap();
    assert_eq!(std::fs::read(root.join("file")).unwrap(), b"new");
    assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_eq!(entries(&outside), ["secret"]);
}

#[tokio::test]
async fn does_not_follow_a_link_created_during_a_write() {
    let (folder, storage, outside) = store();
    let root = folder.path().join("root");
    let mut sink = storage.create(&key("a/secret"), &replace()).await.unwrap();
    sink.write(Bytes::from_static(b"x")).await.unwrap();
    symlink(&outside, root.join("a")).unwrap();
    assert!(is_invalid(sink.finish().await));

    symlink(&outside, root.join("partial")).unwrap();
    std::fs::remove_dir_all(root.join(".vf-partial")).unwrap();
    std::fs::rename(root.join("partial"), root.join(".vf-partial")).unwrap();
    assert!(put(&storage, &key("b"), "x").await.is_err());
    assert!(storage.sweep(Duration::ZERO).await.is_err());
    assert_eq!(entries(&outside), ["secret"]);
    assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"secret");
}

#[tokio::test]
async fn rejects_names_that_are_not_valid_file_names() {
    let (_folder, storage, _) = store();
    let long = "ü".repeat(128);
    let long_parts = [format!("{long}/a"), format!("a/{long}"), long.clone()];
    let reserved = [".vf-partial", ".vf-partial/x", ".VF-Partial/x"].map(str::to_owned);
    for bad in long_parts.iter().chain(&reserved).map(|text| key(text)) {
        assert!(is_invalid(storage.create(&bad, &replace()).await), "{bad}");
        assert!(
            is_invalid(storage.open(&bad, &ObjectVersion::CURRENT).await),
            "{bad}"
        );
        assert!(
            is_invalid(storage.head(&bad, &ObjectVersion::CURRENT).await),
            "{bad}"
        );
    }
    let error = storage.create(&key(&long), &replace()).await.err().unwrap();
    assert!(
        error.to_string().contains("255 bytes") && !error.is_retryable(),
        "{error}"
    );
    for good in [
        "a".repeat(255),
        "a/.vf-partial/x".to_owned(),
        ".vf-partial2".to_owned(),
    ] {
        put(&storage, &key(&good), "x").await.unwrap();
    }
}

#[tokio::test]
async fn an_object_and_a_folder_cannot_have_the_same_name() {
    let (folder, storage, _) = store();
    put(&storage, &key("a/b"), "x").await.unwrap();
    for options in [PutOptions::default(), replace()] {
        assert!(is_invalid(storage.create(&key("a"), &options).await));
        assert!(is_invalid(storage.create(&key("a/b/c"), &options).await));
    }
    for missing in ["a", "a/b/c"].map(key) {
        let opened = storage.open(&missing, &ObjectVersion::CURRENT).await;
        assert!(matches!(opened, Err(StorageError::NotFound(_))));
        storage.delete(&missing).await.unwrap();
    }
    // The conflict appears too late for an early check.
    let late = storage.create(&key("c"), &PutOptions::default()).await.unwrap();
    std::fs::create_dir(folder.path().join("root/c")).unwrap();
    assert!(is_invalid(late.finish().await));
    assert!(storage.head(&key("a/b"), &ObjectVersion::CURRENT).await.is_ok());
}

#[tokio::test]
async fn special_files_are_no_objects_and_do_not_block() {
    let (folder, storage, _) = store();
    let fifo = folder.path().join("root/fifo");
    rustix::fs::mkfifoat(CWD, &fifo, Mode::from_raw_mode(0o666)).unwrap();
    assert!(is_invalid(
        storage.open(&key("fifo"), &ObjectVersion::CURRENT).await
    ));
    assert!(storage.import(&key("a"), &fifo, &replace()).await.is_err());
    assert_eq!(storage.list("", None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_sweep_removes_only_files_of_dead_processes() {
    let (folder, storage, _) = store();
    let mut living = storage.create(&key("living"), &replace()).await.unwrap();
    living.write(Bytes::from_static(b"alive")).await.unwrap();
    let partial = folder.path().join("root/.vf-partial");
    std::fs::write(partial.join("dead"), "left").unwrap();

    assert_eq!(
        storage.sweep(Duration::from_secs(3600)).await.unwrap(),
        0,
        "too young"
    );
    assert_eq!(storage.sweep(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(entries(&partial).len(), 1);
    living.finish().await.unwrap();
    assert_eq!(entries(&partial).len(), 0);
    assert_eq!(storage.list("", None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn writes_and_deletes_in_the_same_folder_do_not_conflict() {
    let (_folder, storage, _) = store();
    let write = async |name: &str| {
        for round in 0..100 {
            let key = key(&format!("a/b/c/{name}{round}"));
            put(&storage, &key, "x").await.unwrap();
            storage.delete(&key).await.unwrap();
        }
    };
    tokio::join!(write("one"), write("two"), write("three"));
}

#[tokio::test]
async fn detects_changes_of_an_imported_file() {
    let (_folder, storage, outside) = store();
    let (file, key) = (outside.join("secret"), key("imported"));
    storage.import(&key, &file, &replace()).await.unwrap();
    let info = storage.head(&key, &ObjectVersion::CURRENT).await.unwrap();
    let source = storage
        .open(&key, &ObjectVersion::with_etag(&info.etag))
        .await
        .unwrap()
        .source;
    let shared = source.local_path().unwrap().metadata().unwrap().ino() == file.metadata().unwrap().ino();
    // The same size with another modification time.
    std::fs::write(&file, "secreT").unwrap();
    let altered = std::fs::File::options().write(true).open(&file).unwrap();
    altered.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let (opened, read) = (
        storage.open(&key, &ObjectVersion::with_etag(&info.etag)).await,
        source.read_at(0, 6).await,
    );
    if shared {
        assert!(matches!(opened, Err(StorageError::Changed(_))));
        let error = read.unwrap_err();
        assert!(matches!(
            StorageError::of_read(&error),
            Some(StorageError::Changed(_))
        ));
    } else {
        assert_eq!(read.unwrap(), "secret");
    }
}

#[tokio::test]
async fn an_import_does_not_copy_metadata_of_the_file() {
    let (_folder, storage, outside) = store();
    let (file, other) = (outside.join("secret"), key("other"));
    let options = replace().metadata(BTreeMap::from([("job-id".to_owned(), "8".to_owned())]));
    storage.import(&key("first"), &file, &options).await.unwrap();
    storage.import(&other, &file, &replace()).await.unwrap();
    assert_eq!(
        storage
            .head(&other, &ObjectVersion::CURRENT)
            .await
            .unwrap()
            .metadata,
        BTreeMap::new()
    );
    // The metadata of a file is not imported with its content either.
    let first = storage
        .open(&key("first"), &ObjectVersion::CURRENT)
        .await
        .unwrap()
        .source;
    storage
        .import(&other, first.local_path().unwrap(), &replace())
        .await
        .unwrap();
    assert_eq!(
        storage
            .head(&other, &ObjectVersion::CURRENT)
            .await
            .unwrap()
            .metadata,
        BTreeMap::new()
    );
}
