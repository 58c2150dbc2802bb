//! Reads give the bytes that were opened or fail, whatever happens on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use videoframes_core::extract::ffmpeg::FfmpegExtractor;
use videoframes_core::limits::Limits;
use videoframes_core::pipeline::{self, Error, Scratch};
use videoframes_core::source::Source;
use videoframes_core::storage::{IfExists, ObjectVersion, S3Options, Storage, StorageError};

use super::proxy::{Fault, Request};
use super::{Own, PART, content, key, write};

#[tokio::test]
async fn answers_that_break_off_are_asked_for_again() {
    let Some(own) = Own::new().await else { return };
    let (key, bytes) = (key("object"), content(300_000));
    write(&own.storage(), &key, IfExists::Refuse, &bytes)
        .await
        .unwrap();
    for fault in [
        Fault::Cut(0),
        Fault::Cut(100_000),
        Fault::Stall(0),
        Fault::Stall(100_000),
        Fault::LoseAnswer,
        Fault::Answer(503, "SlowDown"),
    ] {
        let met = AtomicUsize::new(0);
        let twice = move |request: &Request| match request.is_read() && met.fetch_add(1, Ordering::SeqCst) < 2
        {
            true => fault,
            false => Fault::None,
        };
        let options = S3Options {
            stall: Duration::from_millis(500),
            ..own.options()
        };
        let (proxy, storage) = own.behind_with(options, twice).await;
        let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap();
        assert!(
            source.read_at(0, bytes.len()).await.unwrap() == bytes,
            "{fault:?}"
        );
        assert_eq!(proxy.count(Request::is_read), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn reads_that_never_go_well_end() {
    let Some(own) = Own::new().await else { return };
    let (key, bytes) = (key("object"), content(300_000));
    write(&own.storage(), &key, IfExists::Refuse, &bytes)
        .await
        .unwrap();
    for fault in [
        Fault::Cut(1000),
        Fault::Stall(1000),
        Fault::Answer(503, "SlowDown"),
        Fault::Silence,
    ] {
        let always = move |request: &Request| if request.is_read() { fault } else { Fault::None };
        let options = S3Options {
            stall: Duration::from_millis(300),
            attempt_timeout: Duration::from_secs(1),
            ..own.options()
        };
        let (proxy, storage) = own.behind_with(options, always).await;
        let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap();
        let error = source.read_at(0, bytes.len()).await.unwrap_err();
        let error = StorageError::of_read(&error).expect("the store's error");
        assert!(error.is_retryable(), "{fault:?}: {error:?}");
        assert!(proxy.count(Request::is_read) <= 4, "{fault:?}");
    }
}

#[tokio::test]
async fn an_object_that_is_replaced_has_changed() {
    let Some(own) = Own::new().await else { return };
    let storage = own.storage();
    let key = key("object");
    for (before, after) in [(300_000, 300_000), (300_000, 10), (9 << 20, 9 << 20)] {
        write(&storage, &key, IfExists::Replace, &content(before))
            .await
            .unwrap();
        let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap();
        source.read_at(0, 100_000).await.unwrap();
        write(&storage, &key, IfExists::Replace, &vec![7; after])
            .await
            .unwrap();
        let error = source.read_at(200_000, 100_000).await.unwrap_err();
        let error = StorageError::of_read(&error);
        assert!(matches!(error, Some(StorageError::Changed(_))), "{error:?}");
    }
    let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap();
    storage.delete(&key).await.unwrap();
    let error = source.read_at(0, 10).await.unwrap_err();
    let error = StorageError::of_read(&error);
    assert!(matches!(error, Some(StorageError::NotFound(_))), "{error:?}");
}

#[tokio::test]
async fn small_reads_beside_each_other_are_few_requests() {
    let Some(own) = Own::new().await else { return };
    let (key, bytes) = (key("object"), content(300_000));
    write(&own.storage(), &key, IfExists::Refuse, &bytes)
        .await
        .unwrap();
    let (proxy, storage) = own.behind(|_| Fault::None).await;
    let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap();
    for at in (0..bytes.len()).step_by(100) {
        let read = source.read_at(at as u64, 100).await.unwrap();
        assert!(read == bytes[at..at + 100], "{at}");
    }
    let reads = proxy.count(Request::is_read);
    assert!(reads <= 5, "{reads} reads of 300 kB");
}

#[tokio::test]
async fn large_reads_are_several_requests() {
    let Some(own) = Own::new().await else { return };
    let (key, bytes) = (key("object"), content(4 * PART));
    write(&own.storage(), &key, IfExists::Refuse, &bytes)
        .await
        .unwrap();
    let (proxy, storage) = own.behind(|_| Fault::None).await;
    let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap();
    assert!(source.read_at(1, bytes.len()).await.unwrap() == bytes[1..]);
    assert_eq!(proxy.count(Request::is_read), 3);
}

/// A text, which is copied before ffmpeg is asked about it.
#[tokio::test]
async fn a_copy_that_came_to_harm_never_reaches_ffmpeg() {
    let Some(own) = Own::new().await else { return };
    // Written at once and in parts, and by somebody else without a checksum.
    let small = b"this is no video\n".repeat(20_000);
    let large = b"this is no video\n".repeat(400_000);
    write(&own.storage(), &key("small"), IfExists::Refuse, &small)
        .await
        .unwrap();
    write(&own.storage(), &key("large"), IfExists::Refuse, &large)
        .await
        .unwrap();
    let plain = own.client.put_object().bucket(&own.bucket).key("plain");
    plain.body(small.clone().into()).send().await.unwrap();
    for name in ["small", "large", "plain"] {
        let corrupt = Arc::new(AtomicBool::new(true));
        let on = Arc::clone(&corrupt);
        let rule = move |request: &Request| match request.is_read() && on.load(Ordering::SeqCst) {
            true => Fault::Corrupt,
            false => Fault::None,
        };
        let (_proxy, storage) = own.behind(rule).await;
        let source = storage.open(&key(name), &ObjectVersion::CURRENT).await.unwrap();
        assert!(source.verifier().is_some(), "{name}");
        let probe = async |source: Arc<dyn Source>| {
            let (ffmpeg, cancel) = (FfmpegExtractor::default(), CancellationToken::new());
            pipeline::probe(source, &ffmpeg, &Limits::default(), &Scratch::default(), &cancel).await
        };
        let outcome = probe(Arc::clone(&source)).await;
        let Err(Error::Source(error)) = outcome else {
            panic!("{name}: {outcome:?}");
        };
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{name}: {error:?}");
        corrupt.store(false, Ordering::SeqCst);
        let outcome = probe(source).await;
        assert!(matches!(outcome, Err(Error::Extract(_))), "{name}: {outcome:?}");
    }
}
