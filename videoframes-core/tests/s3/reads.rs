//! Reads return the opened bytes or fail, whatever faults occur.

use std::collections::HashSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use videoframes_core::Error;
use videoframes_core::archive::ZipFile;
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::pipeline::{Pipeline, Request, Scratch, Summary};
use videoframes_core::plan::Strategy;
use videoframes_core::select::Selection;
use videoframes_core::source::Source;
use videoframes_core::storage::{IfExists, ObjectKey, ObjectVersion, PutOptions, Storage, StorageError};

use super::{Own, PART, content, key, write};
use videoframes_core::testing::{Fault, ProxiedRequest};

#[tokio::test]
async fn truncated_responses_are_retried() {
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
        let twice = move |request: &ProxiedRequest| match request.is_read()
            && met.fetch_add(1, Ordering::SeqCst) < 2
        {
            true => fault,
            false => Fault::None,
        };
        let options = own.options().stall(Duration::from_millis(500));
        let (proxy, storage) = own.behind_with(options, twice).await;
        let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap().source;
        assert!(
            source.read_at(0, bytes.len()).await.unwrap() == bytes,
            "{fault:?}"
        );
        assert_eq!(proxy.count(ProxiedRequest::is_read), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn silent_connections_delay_reads_only_by_the_stall_time() {
    let Some(own) = Own::new().await else { return };
    let (key, bytes) = (key("object"), content(1000));
    write(&own.storage(), &key, IfExists::Refuse, &bytes)
        .await
        .unwrap();
    // The first request of each kind is never answered.
    let seen = Mutex::new(HashSet::new());
    let rule = move |request: &ProxiedRequest| {
        let kind = (request.method.clone(), request.target.contains("list-type"));
        match seen.lock().unwrap().insert(kind) {
            true => Fault::Silence,
            false => Fault::None,
        }
    };
    let options = own.options().stall(Duration::from_millis(500));
    let timeout = options.attempt_timeout;
    let (proxy, storage) = own.behind_with(options, rule).await;
    let since = Instant::now();
    let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap().source;
    assert!(source.read_at(0, bytes.len()).await.unwrap() == bytes);
    assert_eq!(storage.list("", None, 10).await.unwrap().len(), 1);
    assert_eq!(proxy.count(|_| true), 6, "each request was repeated once");
    assert!(since.elapsed() < timeout / 2, "{:?}", since.elapsed());
}

#[tokio::test]
async fn reads_that_always_fail_are_errors() {
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
        let always = move |request: &ProxiedRequest| if request.is_read() { fault } else { Fault::None };
        let options = own
            .options()
            .stall(Duration::from_millis(300))
            .attempt_timeout(Duration::from_secs(1));
        let (proxy, storage) = own.behind_with(options, always).await;
        let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap().source;
        let error = source.read_at(0, bytes.len()).await.unwrap_err();
        let error = StorageError::of_read(&error).expect("the store's error");
        assert!(error.is_retryable(), "{fault:?}: {error:?}");
        assert!(proxy.count(ProxiedRequest::is_read) <= 4, "{fault:?}");
    }
}

#[tokio::test]
async fn a_replaced_object_is_reported_as_changed() {
    let Some(own) = Own::new().await else { return };
    let storage = own.storage();
    let key = key("object");
    for (before, after) in [(300_000, 300_000), (300_000, 10), (9 << 20, 9 << 20)] {
        write(&storage, &key, IfExists::Replace, &content(before))
            .await
            .unwrap();
        let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap().source;
        source.read_at(0, 100_000).await.unwrap();
        write(&storage, &key, IfExists::Replace, &vec![7; after])
            .await
            .unwrap();
        let error = source.read_at(200_000, 100_000).await.unwrap_err();
        let error = StorageError::of_read(&error);
        assert!(matches!(error, Some(StorageError::Changed(_))), "{error:?}");
    }
    let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap().source;
    storage.delete(&key).await.unwrap();
    let error = source.read_at(0, 10).await.unwrap_err();
    let error = StorageError::of_read(&error);
    assert!(matches!(error, Some(StorageError::NotFound(_))), "{error:?}");
}

#[tokio::test]
async fn small_adjacent_reads_are_few_requests() {
    let Some(own) = Own::new().await else { return };
    let (key, bytes) = (key("object"), content(300_000));
    write(&own.storage(), &key, IfExists::Refuse, &bytes)
        .await
        .unwrap();
    let (proxy, storage) = own.behind(|_| Fault::None).await;
    let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap().source;
    for at in (0..bytes.len()).step_by(100) {
        let read = source.read_at(at as u64, 100).await.unwrap();
        assert!(read == bytes[at..at + 100], "{at}");
    }
    let reads = proxy.count(ProxiedRequest::is_read);
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
    let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap().source;
    assert!(source.read_at(1, bytes.len()).await.unwrap() == bytes[1..]);
    assert_eq!(proxy.count(ProxiedRequest::is_read), 3);
}

/// Returns a text, which is copied before ffmpeg is called.
#[tokio::test]
async fn a_corrupted_copy_is_not_passed_to_ffmpeg() {
    let Some(own) = Own::new().await else { return };
    // Written at once, in parts, and by another client without a checksum.
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
        let rule = move |request: &ProxiedRequest| match request.is_read() && on.load(Ordering::SeqCst) {
            true => Fault::Corrupt,
            false => Fault::None,
        };
        let (_proxy, storage) = own.behind(rule).await;
        let source = storage
            .open(&key(name), &ObjectVersion::CURRENT)
            .await
            .unwrap()
            .source;
        assert!(source.verifier().is_some(), "{name}");
        let probe = async |source: Arc<dyn Source>| {
            Pipeline::new(FfmpegExtractor::default())
                .probe(source, None)
                .await
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

/// Writes three seconds of video with a keyframe every half second to the store as `video.mp4`.
async fn video(own: &Own) -> ObjectKey {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.mp4");
    let made = Command::new("ffmpeg")
        .args("-v error -f lavfi -i testsrc2=s=320x180:r=10:d=3 -pix_fmt yuv420p -g 5 -bf 0".split(' '))
        .arg(&path)
        .status();
    assert!(made.unwrap().success());
    let key = key("video.mp4");
    own.storage()
        .import(&key, &path, &PutOptions::default())
        .await
        .unwrap();
    key
}

async fn extract(
    source: Arc<dyn Source>,
    request: &Request,
    scratch: Scratch,
) -> Result<(Summary, Vec<u8>), Error> {
    let folder = tempfile::tempdir().unwrap();
    let target = ZipFile::new(folder.path().join("frames.zip"));
    let pipeline = Pipeline::new(FfmpegExtractor::default()).scratch(scratch);
    let summary = pipeline.extract(source, request, &target).await?;
    Ok((summary, std::fs::read(&target.path).unwrap()))
}

#[tokio::test]
async fn a_mostly_needed_source_is_copied_and_verified() {
    let Some(own) = Own::new().await else { return };
    let key = video(&own).await;
    let corrupt = Arc::new(AtomicBool::new(false));
    let on = Arc::clone(&corrupt);
    let rule = move |request: &ProxiedRequest| match request.is_read() && on.load(Ordering::SeqCst) {
        true => Fault::Corrupt,
        false => Fault::None,
    };
    let (_proxy, storage) = own.behind(rule).await;
    let request = Request::new(Selection::All);
    let source = storage.open(&key, &ObjectVersion::CURRENT).await.unwrap().source;
    let (summary, whole) = extract(Arc::clone(&source), &request, Scratch::default())
        .await
        .unwrap();
    assert!(summary.work.bytes_read >= source.len(), "the source was copied");
    let planned = request.clone().strategy(Strategy::Planned);
    let (_, ranged) = extract(Arc::clone(&source), &planned, Scratch::default())
        .await
        .unwrap();
    assert!(whole == ranged, "the way makes no difference");

    let without_room = Scratch::new(std::env::temp_dir(), 10);
    let (summary, ranged) = extract(Arc::clone(&source), &request, without_room)
        .await
        .unwrap();
    assert_eq!(
        summary.work.strategy,
        Strategy::Planned,
        "where no copy fits, none is made"
    );
    assert!(whole == ranged);

    // The index, which is read first, is already in the window. The rest is corrupted.
    source.read_at(0, 10).await.unwrap();
    corrupt.store(true, Ordering::SeqCst);
    let error = extract(source, &request, Scratch::default()).await.unwrap_err();
    let Error::Source(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error:?}");
}

#[tokio::test]
async fn only_needed_ranges_are_read() {
    let Some(own) = Own::new().await else { return };
    let key = video(&own).await;
    let source = own
        .storage()
        .open(&key, &ObjectVersion::CURRENT)
        .await
        .unwrap()
        .source;
    let request = Request::new(Selection::Count(1));
    let (summary, _) = extract(source, &request, Scratch::new("/nowhere", 1 << 30))
        .await
        .unwrap();
    assert_eq!(summary.work.strategy, Strategy::Planned);
}
