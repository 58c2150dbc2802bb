//! Every implementation passes the conformance suite of its trait.
#![allow(clippy::unwrap_used)]

mod resources;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::source::{FileSource, MemorySource};
use videoframes_core::storage::{LocalStorage, MemoryStorage, ObjectKey, Storage};
use videoframes_core::testing::{
    StorageCapabilities, frame_extractor_conformance, source_conformance, storage_conformance,
};

#[tokio::test]
async fn sources_conform() {
    let folder = tempfile::tempdir().unwrap();
    for content in [&b""[..], b"0123456789"] {
        let path = folder.path().join("file");
        std::fs::write(&path, content).unwrap();
        source_conformance(&FileSource::open(&path).unwrap(), content).await;
        source_conformance(&MemorySource::new("memory", content), content).await;
    }
}

#[tokio::test]
async fn storages_conform() {
    let all = StorageCapabilities::ALL;
    storage_conformance(Arc::new(MemoryStorage::default()), all).await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("made when needed");
    let storage = LocalStorage::new(&root);
    assert_eq!(
        storage.list("", None, 1).await.unwrap(),
        [],
        "no root is no object"
    );
    assert!(!root.exists());
    let metadata = LocalStorage::new(folder.path()).keeps_metadata().await.unwrap();
    storage_conformance(Arc::new(storage), StorageCapabilities { metadata, ..all }).await;
    let partial = root.join(".vf-partial").to_string_lossy().into_owned();
    assert_eq!(
        walk(&root),
        [partial],
        "no temporary file and no empty folder is left"
    );
}

fn walk(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        names.push(path.to_string_lossy().into_owned());
        if path.is_dir() {
            names.extend(walk(&path));
        }
    }
    names
}

#[test]
fn keys_cannot_leave_the_root() {
    for bad in [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "a/",
        ".",
        "a/.",
        "a\0b",
        "a\\..\\b",
    ] {
        assert!(bad.parse::<ObjectKey>().is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn ffmpeg_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let (video, text) = (folder.path().join("v.mp4"), folder.path().join("t.mp4"));
    std::fs::write(&text, "this is no video\n".repeat(100)).unwrap();
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=160x90:r=10:d=3",
            "-pix_fmt",
            "yuv420p",
            "-bf",
            "2",
        ])
        .arg(&video)
        .status()
        .unwrap();
    assert!(made.success());
    frame_extractor_conformance(&FfmpegExtractor::default(), &video, &text).await;
    if let Some(other) = resources::named("VF_TEST_FFMPEG", "testing only the ffmpeg on the PATH") {
        frame_extractor_conformance(&FfmpegExtractor::new(Some(other.into())), &video, &text).await;
    }
}
