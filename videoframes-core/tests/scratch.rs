//! Copies of sources: their location, their quota, and their removal.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;
use videoframes_core::Error;
use videoframes_core::extract::ExtractError;
use videoframes_core::limits::Limits;
use videoframes_core::pipeline::{Pipeline, Probe, Scratch};
use videoframes_core::source::{MemorySource, Source, Verifier};
use videoframes_core::testing::MockFrameExtractor;

const SIZE: u64 = 100_000;

/// Returns a source that is neither a video nor a file, so that a probe needs a copy.
fn source() -> MemorySource {
    MemorySource::new("video", vec![7; SIZE as usize])
}

/// Returns an extractor that checks for the copy and reports that the file is not a video.
fn extractor(folder: &Path) -> MockFrameExtractor {
    let folder = folder.to_owned();
    let mut mock = MockFrameExtractor::new();
    mock.expect_packets().returning(move |path, _, _, _| {
        assert_eq!(path.parent(), Some(folder.as_path()));
        assert_eq!(fs::read(path).unwrap(), vec![7; SIZE as usize]);
        Err(ExtractError::NotAVideo("as told".to_owned()))
    });
    mock
}

async fn probe(source: Arc<dyn Source>, scratch: &Scratch) -> Result<Probe, Error> {
    let pipeline = Pipeline::new(extractor(scratch.folder())).scratch(scratch.clone());
    pipeline.probe(source, None).await
}

fn was_copied(outcome: &Result<Probe, Error>) -> bool {
    matches!(outcome, Err(Error::Extract(ExtractError::NotAVideo(_))))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A source that never answers the reads of a copy.
struct Gate {
    inner: MemorySource,
    reached: Notify,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: source(),
            reached: Notify::new(),
        })
    }
}

#[async_trait]
impl Source for Gate {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn local_path(&self) -> Option<&Path> {
        None
    }

    fn verifier(&self) -> Option<Box<dyn Verifier>> {
        self.inner.verifier()
    }

    async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        // Reads of the index are smaller than reads of a copy.
        if length as u64 > SIZE {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
        self.inner.read_at(offset, length).await
    }
}

#[tokio::test]
async fn copies_are_in_the_scratch_folder_and_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    for quota in [SIZE, u64::MAX] {
        let scratch = Scratch::new(folder.path(), quota);
        // Repeatedly, since the space is released.
        for _ in 0..3 {
            let outcome = probe(Arc::new(source()), &scratch).await;
            assert!(was_copied(&outcome), "{outcome:?}");
            assert_eq!(names(folder.path()), [""; 0]);
        }
    }
}

#[tokio::test]
async fn rejects_a_source_larger_than_the_quota() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(folder.path(), SIZE - 1);
    let outcome = probe(Arc::new(source()), &scratch).await;
    assert!(matches!(outcome, Err(Error::LimitExceeded(_))), "{outcome:?}");
}

#[tokio::test]
async fn an_error_contains_the_missing_folder() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(folder.path().join("none"), SIZE);
    let error = probe(Arc::new(source()), &scratch).await.unwrap_err();
    assert!(matches!(error, Error::Copy { .. }) && error.to_string().contains("none"));
    assert_eq!(scratch.sweep().await.unwrap(), 0);
}

#[tokio::test]
async fn a_copy_waits_until_another_copy_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(folder.path(), SIZE + 1);
    let gate = Gate::new();
    let first = Box::pin(probe(gate.clone(), &scratch));
    let mut first = until(first, &gate.reached).await;
    assert_eq!(names(folder.path()).len(), 1);

    let limits = Limits::default().wall_time(std::time::Duration::ZERO);
    let idle = MockFrameExtractor::new();
    let late = Pipeline::new(idle)
        .limits(limits)
        .scratch(scratch.clone())
        .probe(source(), None)
        .await;
    assert!(
        matches!(late, Err(Error::LimitExceeded(_))),
        "waiting takes time: {late:?}"
    );

    let second = probe(Arc::new(source()), &scratch);
    tokio::pin!(second);
    tokio::select! {
        biased;
        outcome = &mut second => panic!("there was no room: {outcome:?}"),
        _ = &mut first => panic!("nothing opens the gate"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(names(folder.path()).len(), 1, "the second copy has not started");
    drop(first);
    assert!(was_copied(&second.await));
    assert_eq!(names(folder.path()), [""; 0]);
}

/// Runs `work` until `reached` is notified, and returns the unfinished future.
async fn until<F: Future<Output: std::fmt::Debug> + Unpin>(mut work: F, reached: &Notify) -> F {
    tokio::select! {
        outcome = &mut work => panic!("the work ended: {outcome:?}"),
        () = reached.notified() => work,
    }
}

#[tokio::test]
async fn a_sweep_removes_only_files_of_dead_processes() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(folder.path(), SIZE);
    let gate = Gate::new();
    let living = Box::pin(probe(gate.clone(), &scratch));
    let living = until(living, &gate.reached).await;
    let [copy] = &names(folder.path())[..] else {
        panic!("one copy");
    };

    let outside = folder.path().join("mine");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("video"), "mine").unwrap();
    fs::write(folder.path().join("vf-scratch-dead"), "left").unwrap();
    fs::create_dir(folder.path().join("vf-scratch-alias")).unwrap();
    std::os::unix::fs::symlink(&outside, folder.path().join("vf-scratch-alias/source")).unwrap();
    std::os::unix::fs::symlink(&outside, folder.path().join("vf-scratch-link")).unwrap();

    assert_eq!(scratch.sweep().await.unwrap(), 2);
    let left = ["mine", copy.as_str(), "vf-scratch-link"];
    assert_eq!(names(folder.path()).len(), left.len());
    assert!(left.iter().all(|name| folder.path().join(name).exists()));
    assert_eq!(fs::read(outside.join("video")).unwrap(), b"mine");
    drop(living);
    assert!(!folder.path().join(copy).exists());
}

#[tokio::test]
async fn a_sweep_of_a_shared_folder_removes_only_old_unlocked_files() {
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    let make = || {
        let file = tempfile::NamedTempFile::with_prefix("vf-scratch-").unwrap();
        file.as_file().set_modified(old).unwrap();
        file
    };
    let (dead, living, new) = (make(), make(), make());
    rustix::fs::flock(&living, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    new.as_file().set_modified(std::time::SystemTime::now()).unwrap();
    assert!(Scratch::default().sweep().await.unwrap() >= 1);
    assert!(!dead.path().exists());
    assert!(living.path().exists() && new.path().exists());
}
