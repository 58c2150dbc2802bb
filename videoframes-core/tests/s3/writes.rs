//! Objects are written as a whole or not at all, whatever faults occur.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use videoframes_core::storage::{IfExists, ObjectKey, ObjectVersion, Storage, StorageError};

use super::{Own, PART, content, key, write};
use videoframes_core::testing::{Fault, ProxiedRequest};

type Kind = fn(&ProxiedRequest) -> bool;

/// Returns a fault for the first `times` requests of a kind.
fn first(times: usize, kind: Kind, fault: Fault) -> impl Fn(&ProxiedRequest) -> Fault + Send + Sync {
    let met = AtomicUsize::new(0);
    move |request| {
        let meets = kind(request) && met.fetch_add(1, Ordering::SeqCst) < times;
        if meets { fault } else { Fault::None }
    }
}

#[tokio::test]
async fn large_objects_are_written_in_parts_and_small_ones_at_once() {
    let Some(own) = Own::new().await else { return };
    let (proxy, storage) = own.behind(|_| Fault::None).await;
    for (length, parts) in [(0, 0), (1, 0), (PART, 0), (PART + 1, 2), (3 * PART, 3)] {
        let (key, bytes) = (key(&format!("of-{length}")), content(length));
        let before = proxy.count(ProxiedRequest::is_part);
        write(&storage, &key, IfExists::Refuse, &bytes).await.unwrap();
        own.holds(&key, &bytes).await;
        assert_eq!(proxy.count(ProxiedRequest::is_part) - before, parts, "{length}");
    }
    assert_eq!(own.open_uploads().await, 0);
}

#[tokio::test]
async fn retries_requests_to_a_busy_store() {
    let Some(own) = Own::new().await else { return };
    let kinds: [Kind; 4] = [
        ProxiedRequest::is_part,
        ProxiedRequest::is_put,
        ProxiedRequest::starts_upload,
        ProxiedRequest::completes_upload,
    ];
    for (at, kind) in kinds.into_iter().enumerate() {
        let (_proxy, storage) = own.behind(first(2, kind, Fault::Answer(503, "SlowDown"))).await;
        for length in [9, PART + 9] {
            let (key, bytes) = (key(&format!("busy/{at}/{length}")), content(length));
            write(&storage, &key, IfExists::Refuse, &bytes).await.unwrap();
            own.holds(&key, &bytes).await;
        }
    }
    assert_eq!(own.open_uploads().await, 0);
}

#[tokio::test]
async fn a_permanently_failing_part_leaves_no_upload() {
    let Some(own) = Own::new().await else { return };
    let second =
        |request: &ProxiedRequest| match request.is_part() && request.target.contains("partNumber=2&") {
            true => Fault::Answer(500, "InternalError"),
            false => Fault::None,
        };
    let (_proxy, storage) = own.behind(second).await;
    let key = key("never");
    let error = write(&storage, &key, IfExists::Refuse, &content(4 * PART))
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    own.holds_nothing(&key).await;
    own.until_no_upload_is_open().await;
}

#[tokio::test]
async fn an_upload_that_cannot_be_completed_is_aborted() {
    let Some(own) = Own::new().await else { return };
    for fault in [
        Fault::Answer(200, "InternalError"),
        Fault::Answer(500, "InternalError"),
        Fault::Answer(403, "AccessDenied"),
    ] {
        let (_proxy, storage) = own
            .behind(first(usize::MAX, ProxiedRequest::completes_upload, fault))
            .await;
        let key = key("never");
        let error = write(&storage, &key, IfExists::Refuse, &content(PART + 1))
            .await
            .unwrap_err();
        assert!(error.is_retryable(), "{fault:?}: {error:?}");
        own.holds_nothing(&key).await;
        assert_eq!(own.open_uploads().await, 0, "{fault:?}");
    }
}

#[tokio::test]
async fn adopts_an_object_whose_response_was_lost() {
    let Some(own) = Own::new().await else { return };
    let last: Kind = |request| request.completes_upload() || request.is_put();
    for (at, fault) in [
        Fault::LoseAnswer,
        Fault::DoneBut(500, "InternalError"),
        Fault::DoneBut(200, "InternalError"),
        Fault::Stall(0),
    ]
    .into_iter()
    .enumerate()
    {
        // Lost once, and lost every time.
        for times in [1, usize::MAX] {
            // Takes as long as all attempts together may take.
            if matches!((fault, times), (Fault::Stall(_), usize::MAX)) {
                continue;
            }
            let options = own.options().attempt_timeout(Duration::from_secs(3));
            let (_proxy, storage) = own.behind_with(options, first(times, last, fault)).await;
            for length in [9, PART + 9] {
                for how in [IfExists::Refuse, IfExists::Replace] {
                    let (key, bytes) = (key(&format!("{at}/{times}/{length}/{how:?}")), content(length));
                    let written = write(&storage, &key, how, &bytes).await;
                    assert!(written.is_ok(), "{fault:?} {times} {length} {how:?}: {written:?}");
                    own.holds(&key, &bytes).await;
                }
            }
        }
    }
    assert_eq!(own.open_uploads().await, 0);
}

#[tokio::test]
async fn silent_connections_delay_writes_only_by_the_stall_time() {
    let Some(own) = Own::new().await else { return };
    // The first request of each kind is never answered. A part, a copy and the completion of an upload may take long.
    let seen = Mutex::new(HashSet::new());
    let rule = move |request: &ProxiedRequest| {
        let short =
            !request.is_part() && !request.completes_upload() && !request.head.contains("x-amz-copy-source");
        let resource = request.target.split('/').next_back().unwrap_or_default();
        let kind = (
            request.method.clone(),
            resource.contains("upload"),
            resource.contains("-copy"),
        );
        match short && seen.lock().unwrap().insert(kind) {
            true => Fault::Silence,
            false => Fault::None,
        }
    };
    let options = own
        .options()
        .stall(Duration::from_millis(500))
        .attempt_timeout(Duration::from_secs(600));
    let longest = options.attempt_timeout;
    let (proxy, storage) = own.behind_with(options, rule).await;
    let since = Instant::now();
    for length in [9, PART + 9] {
        let (key, bytes) = (key(&format!("silent-{length}")), content(length));
        write(&storage, &key, IfExists::Refuse, &bytes).await.unwrap();
        own.holds(&key, &bytes).await;
        let copy: ObjectKey = format!("{key}-copy").parse().unwrap();
        storage.copy(&key, &copy).await.unwrap();
        storage.delete(&copy).await.unwrap();
    }
    let mut sink = storage
        .create(&key("silent-abort"), &IfExists::Refuse.into())
        .await
        .unwrap();
    sink.write(content(PART + 9).into()).await.unwrap();
    sink.abort().await;
    assert_eq!(own.open_uploads().await, 0);
    assert!(since.elapsed() < longest / 10, "{:?}", since.elapsed());
    for (kind, count) in [("PUT", 4), ("POST", 3), ("DELETE", 4)] {
        let sent = proxy.count(|request| request.method == kind && !request.is_part());
        assert!(sent >= count, "{kind}: {sent} requests");
    }
}

#[tokio::test]
async fn does_not_overwrite_an_object_of_another_writer() {
    let Some(own) = Own::new().await else { return };
    let storage = own.storage();
    for length in [9, PART + 9] {
        let key = key(&format!("of-{length}"));
        let mut sink = storage.create(&key, &IfExists::Refuse.into()).await.unwrap();
        sink.write(content(length).into()).await.unwrap();
        write(&storage, &key, IfExists::Refuse, b"foreign").await.unwrap();
        let before = storage.head(&key, &ObjectVersion::CURRENT).await.unwrap();
        let refused = sink.finish().await;
        assert!(
            matches!(refused, Err(StorageError::AlreadyExists(_))),
            "{refused:?}"
        );
        own.holds(&key, b"foreign").await;
        assert_eq!(storage.head(&key, &ObjectVersion::CURRENT).await.unwrap(), before);
    }
    assert_eq!(own.open_uploads().await, 0);
}

#[tokio::test]
async fn retries_after_a_conflict_with_another_request() {
    let Some(own) = Own::new().await else { return };
    let last: Kind = |request| request.completes_upload() || request.is_put();
    let conflict = Fault::Answer(409, "ConditionalRequestConflict");
    for length in [9, PART + 9] {
        let (_proxy, storage) = own.behind(first(2, last, conflict)).await;
        let (key, bytes) = (key(&format!("of-{length}")), content(length));
        write(&storage, &key, IfExists::Refuse, &bytes).await.unwrap();
        own.holds(&key, &bytes).await;
    }
    let (_proxy, storage) = own.behind(first(usize::MAX, last, conflict)).await;
    let key = key("never");
    let error = write(&storage, &key, IfExists::Refuse, &content(PART + 9))
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(own.open_uploads().await, 0);
}

#[tokio::test]
async fn dropped_writers_leave_no_upload() {
    let Some(own) = Own::new().await else { return };
    let storage = own.storage();
    let key = key("never");
    let open = async || {
        let mut sink = storage.create(&key, &IfExists::Refuse.into()).await.unwrap();
        sink.write(content(2 * PART + 1).into()).await.unwrap();
        assert_eq!(own.open_uploads().await, 1);
        sink
    };
    open().await.abort().await;
    assert_eq!(own.open_uploads().await, 0);
    drop(open().await);
    own.until_no_upload_is_open().await;
    own.holds_nothing(&key).await;
}

/// A call is dropped before the store responds.
#[tokio::test]
async fn dropped_calls_leave_no_upload() {
    let Some(own) = Own::new().await else { return };
    let kinds: [(Kind, Fault); 3] = [
        (ProxiedRequest::is_part, Fault::Silence),
        (ProxiedRequest::completes_upload, Fault::Silence),
        // The response with the upload ID is late but arrives.
        (ProxiedRequest::starts_upload, Fault::Hold),
    ];
    for (kind, fault) in kinds {
        let reached = Arc::new(tokio::sync::Notify::new());
        let tell = Arc::clone(&reached);
        let rule = move |request: &ProxiedRequest| {
            if !kind(request) {
                return Fault::None;
            }
            tell.notify_one();
            fault
        };
        let (proxy, storage) = own.behind(rule).await;
        let never = key("never");
        let bytes = content(4 * PART + 1);
        let writing = write(&storage, &never, IfExists::Refuse, &bytes);
        tokio::select! {
            done = writing => panic!("{done:?}"),
            () = reached.notified() => {}
        }
        if matches!(fault, Fault::Hold) {
            own.until_open_uploads_are(1).await;
            proxy.release();
        }
        own.until_no_upload_is_open().await;
        own.holds_nothing(&never).await;
    }
}
