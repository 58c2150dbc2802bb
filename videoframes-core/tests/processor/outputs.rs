//! Storyboards and contact sheets of jobs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use videoframes_core::Pipeline;
use videoframes_core::archive::{MANIFEST_NAME, Manifest, ObjectFolder, ZipObject};
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::jobs::{ClaimTerms, Enqueue, JobMessage, JobRepo, JobStatus, OutputKind, VideoJob};
use videoframes_core::pipeline::{Request, StoryboardRequest};
use videoframes_core::processor::Until;
use videoframes_core::select::Selection;
use videoframes_core::storage::{MemoryStorage, ObjectVersion, PutOptions, Storage};

use crate::setup::Setup;
use crate::unavailable;

/// Returns the objects below a prefix.
async fn objects(storage: &dyn Storage, prefix: &str) -> BTreeMap<String, Bytes> {
    let mut objects = BTreeMap::new();
    for entry in storage.list(prefix, None, 100).await.unwrap() {
        let opened = storage.open(&entry.key, &ObjectVersion::CURRENT).await.unwrap();
        let bytes = opened.source.read_at(0, 1 << 24).await.unwrap();
        objects.insert(entry.key.as_str()[prefix.len()..].to_owned(), bytes);
    }
    objects
}

async fn keys(setup: &Setup, prefix: &str) -> Vec<String> {
    objects(setup.storage.as_ref(), prefix)
        .await
        .into_keys()
        .collect()
}

fn message(outputs: &Value, output_key: Option<&str>) -> String {
    let output = output_key.map(|key| json!({"key": key}));
    json!({"version": 1, "source": {"key": "v.mp4"}, "selection": {"fps": 2}, "outputs": outputs, "output": output})
        .to_string()
}

async fn latest(setup: &Setup) -> VideoJob {
    let jobs = setup.repo.list(&Default::default()).await.unwrap().jobs;
    jobs.into_iter().max_by_key(|job| job.id).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_of_a_job_are_those_of_the_library() {
    let setup = Setup::new().await;
    let outputs = json!({
        "archive": false,
        "storyboard": {"selection": {"every": 1}, "columns": 2, "rows": 1},
        "sheet": {"selection": {"count": 4}, "picture": {"format": "png"}},
        "preview": {"selection": {"fps": 5}, "max_width": 80},
    });
    setup.ask(&message(&outputs, None)).await;
    setup.run(Until::Idle).await;
    let job = setup.only_job().await;
    assert_eq!(job.status, JobStatus::Completed, "{job:?}");
    let result = job.result.unwrap();
    assert_eq!(result.frames, 0, "the archive has its manifest alone");

    let [storyboard, sheet, preview] = &result.outputs[..] else {
        panic!("{:?}", result.outputs);
    };
    let folder = format!("results/{}/1.storyboard/", job.id);
    assert_eq!((storyboard.kind, storyboard.frames), (OutputKind::Storyboard, 3));
    assert_eq!(storyboard.key, format!("{folder}storyboard.vtt"));
    let written = objects(setup.storage.as_ref(), &folder).await;
    assert_eq!(storyboard.files, written.len() as u64);
    assert_eq!(
        storyboard.size,
        written.values().map(|bytes| bytes.len() as u64).sum::<u64>()
    );

    let source = setup
        .storage
        .open(&"v.mp4".parse().unwrap(), &ObjectVersion::CURRENT)
        .await;
    let ffmpeg = FfmpegExtractor::default();
    let request = StoryboardRequest::new(Selection::Fps("1".parse().unwrap()))
        .columns(2)
        .rows(1);
    let alone = MemoryStorage::default();
    let target = ObjectFolder::new(
        Arc::new(alone.clone()),
        "alone".parse().unwrap(),
        PutOptions::default(),
    );
    let pipeline = Pipeline::new(ffmpeg.clone()).encoder(ffmpeg);
    pipeline
        .storyboard(source.unwrap().source, &request, &target)
        .await
        .unwrap();
    assert!(
        objects(&alone, "alone/").await == written,
        "the same bytes as without a job"
    );

    assert_eq!(
        (sheet.kind, sheet.media_type.as_str()),
        (OutputKind::Sheet, "image/png")
    );
    let sheet = objects(setup.storage.as_ref(), &format!("results/{}/1.sheet/", job.id)).await;
    let manifest: Manifest = serde_json::from_slice(&sheet[MANIFEST_NAME]).unwrap();
    assert_eq!(manifest.frames.len(), 4);
    assert_eq!(
        (preview.kind, preview.media_type.as_str()),
        (OutputKind::Preview, "image/webp")
    );
    assert_eq!(preview.key, format!("results/{}/1.preview/preview.webp", job.id));
    assert_eq!((preview.frames, preview.files), (15, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_leaves_no_outputs_at_requested_keys() {
    let setup = Setup::new().await;
    let theirs = "out/a.storyboard/sheet-000.jpg";
    let mut sink = setup
        .storage
        .create(&theirs.parse().unwrap(), &PutOptions::default())
        .await
        .unwrap();
    sink.write(Bytes::from_static(b"theirs")).await.unwrap();
    sink.finish().await.unwrap();
    let both = json!({"storyboard": {}, "sheet": {}});
    setup.ask(&message(&both, Some("out/a.zip"))).await;
    setup.run(Until::Idle).await;
    let failed = latest(&setup).await;
    assert_eq!(failed.error_code.as_deref(), Some("OUTPUT_EXISTS"), "{failed:?}");
    assert_eq!(
        keys(&setup, "out/").await,
        ["a.storyboard/sheet-000.jpg"],
        "objects of others are kept"
    );

    // The outputs are complete when the archive fails.
    let request = json!({"version": 1, "source": {"key": "v.mp4"}, "renditions": [{"max_bytes": 1}],
        "outputs": both, "output": {"key": "out/b.zip"}});
    setup.ask(&request.to_string()).await;
    setup.run(Until::Idle).await;
    let failed = latest(&setup).await;
    assert_eq!(
        failed.error_code.as_deref(),
        Some("RENDITION_FAILED"),
        "{failed:?}"
    );
    assert_eq!(keys(&setup, "out/b").await, [] as [&str; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_adopts_the_outputs_of_an_earlier_attempt() {
    for output_key in [None, Some("out/a.zip")] {
        let setup = Setup::new().await;
        let outputs = json!({"storyboard": {}, "sheet": {}});
        setup.ask(&message(&outputs, output_key)).await;
        // The first attempt completes, but its result is not recorded.
        setup.repo.fail("finish", 1, unavailable);
        setup.run(Until::Stopped).await;
        let job = setup.only_job().await;
        assert_eq!(job.status, JobStatus::Completed, "{job:?}");
        let result = job.result.unwrap();
        assert_eq!(result.outputs.len(), 2);
        let archives = keys(&setup, "").await;
        let archives = archives.iter().filter(|key| key.ends_with(".zip"));
        assert_eq!(archives.count(), 1, "nothing was made again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_without_its_outputs_is_not_adopted() {
    let setup = Setup::new().await;
    let JobMessage::Asked(request) = JobMessage::parse(&message(&json!({"storyboard": {}}), None)).unwrap()
    else {
        panic!("the message requests a job");
    };
    let job = request.into_job(None, Duration::MAX);
    setup
        .repo
        .submit(std::slice::from_ref(&job), Enqueue::ThroughOutbox)
        .await
        .unwrap();
    // Another worker claims the job, writes an archive without the storyboard, and crashes.
    let terms = ClaimTerms {
        lease: Duration::from_secs(1),
        crashes: 3,
        revision: None,
    };
    setup.repo.claim(job.id, "another", &terms).await.unwrap();
    let key = format!("results/{}/1.zip", job.id);
    let source = setup
        .storage
        .open(&"v.mp4".parse().unwrap(), &ObjectVersion::CURRENT)
        .await;
    let target = ZipObject::new(setup.storage.clone(), key.parse().unwrap(), PutOptions::default());
    let pipeline = Pipeline::new(FfmpegExtractor::default());
    pipeline
        .extract(source.unwrap().source, &Request::default(), &target)
        .await
        .unwrap();
    setup.clock.advance(Duration::from_secs(2));

    setup.run(Until::Idle).await;
    let result = setup.only_job().await.result.unwrap();
    assert_eq!(result.key, format!("results/{}/2.zip", job.id));
    assert_eq!(result.outputs.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_without_frames_fails_the_job_before_anything_is_written() {
    for outputs in [
        json!({"sheet": {"selection": {"keyframes": true}}}),
        json!({"preview": {"selection": {"keyframes": true}, "range": {"start": 1}}}),
    ] {
        let setup = Setup::new().await;
        setup.ask(&message(&outputs, None)).await;
        setup.run(Until::Idle).await;
        let job = setup.only_job().await;
        assert_eq!(
            job.error_code.as_deref(),
            Some("SELECTION_OUT_OF_RANGE"),
            "{job:?}"
        );
        assert_eq!(job.attempts, 1);
        assert_eq!(keys(&setup, "results/").await, [] as [&str; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_output_at_a_requested_key_is_made_again() {
    let setup = Setup::new().await;
    let message = message(&json!({"storyboard": {}}), Some("out/a.zip"));
    let JobMessage::Asked(request) = JobMessage::parse(&message).unwrap() else {
        panic!("the message requests a job");
    };
    let job = request.into_job(None, Duration::MAX);
    setup
        .repo
        .submit(std::slice::from_ref(&job), Enqueue::ThroughOutbox)
        .await
        .unwrap();
    // An earlier attempt completed the storyboard, of which a sheet was lost.
    let metadata = [
        ("vf-job", job.id.to_string()),
        ("vf-payload", job.payload_hash.clone()),
        ("vf-output", "storyboard".to_owned()),
    ];
    let metadata = metadata.map(|(name, value)| (name.to_owned(), value)).into();
    let options = PutOptions::default().metadata(metadata);
    let folder = "out/a.storyboard".parse().unwrap();
    let target = ObjectFolder::new(setup.storage.clone(), folder, options);
    let source = setup
        .storage
        .open(&"v.mp4".parse().unwrap(), &ObjectVersion::CURRENT)
        .await;
    let ffmpeg = FfmpegExtractor::default();
    let request = StoryboardRequest::new(Selection::Count(2));
    let pipeline = Pipeline::new(ffmpeg.clone()).encoder(ffmpeg);
    pipeline
        .storyboard(source.unwrap().source, &request, &target)
        .await
        .unwrap();
    let sheet = "out/a.storyboard/sheet-000.jpg".parse().unwrap();
    setup.storage.delete(&sheet).await.unwrap();

    setup.run(Until::Idle).await;
    let job = setup.only_job().await;
    assert_eq!((job.status, job.attempts), (JobStatus::Completed, 1), "{job:?}");
    assert_eq!(
        job.result.unwrap().outputs[0].frames,
        1,
        "a tile every five seconds"
    );
    assert!(setup.storage.head(&sheet, &ObjectVersion::CURRENT).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_reused_only_with_complete_outputs_and_within_the_limits() {
    let setup = Setup::new().await;
    let request = |frames: u64| {
        let outputs = json!({"archive": false, "storyboard": {"selection": {"every": 1}}});
        json!({"version": 1, "source": {"key": "v.mp4"}, "outputs": outputs, "limits": {"frames": frames},
            "idempotency_key": frames.to_string()})
        .to_string()
    };
    setup.ask(&request(3)).await;
    setup.run(Until::Idle).await;
    let first = latest(&setup).await.result.unwrap();
    setup.ask(&request(2)).await;
    setup.run(Until::Idle).await;
    let limited = latest(&setup).await;
    assert_eq!(
        limited.error_code.as_deref(),
        Some("LIMIT_EXCEEDED"),
        "{limited:?}"
    );

    setup.ask(&request(4)).await;
    setup.run(Until::Idle).await;
    assert_eq!(latest(&setup).await.result.unwrap(), first);
    let sheet = first.outputs[0].key.replace("storyboard.vtt", "sheet-000.jpg");
    setup.storage.delete(&sheet.parse().unwrap()).await.unwrap();
    setup.ask(&request(5)).await;
    setup.run(Until::Idle).await;
    assert_ne!(latest(&setup).await.result.unwrap().key, first.key);
}
