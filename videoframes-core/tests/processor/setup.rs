//! A processor in memory, with components that can be made to fail.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use videoframes_core::clock::ManualClock;
use videoframes_core::extract::{
    Decoded, ExtractError, ExtractReport, ExtractRequest, FrameExtractor, Input, Picture, Scan,
};
use videoframes_core::ffmpeg::{FfmpegCompressor, FfmpegExtractor};
use videoframes_core::jobs::{JobRepo, MemoryJobRepo, Rules, VideoJob};
use videoframes_core::limits::Limits;
use videoframes_core::processor::{Parts, Processor, ProcessorConfig, Queues, Timing, Until};
use videoframes_core::queue::{MemoryQueue, Outgoing, Queue};
use videoframes_core::storage::{IfExists, MemoryStorage, PutOptions, Storage, Stores};
use videoframes_core::tenant::Tenants;
use videoframes_core::video::{Described, PacketList, StreamChoice, VideoInfo};

use crate::faulty::{FaultyQueue, FaultyRepo, FaultyStorage};

const PATIENCE: Duration = Duration::from_secs(60);

/// A lease that expires within the time of a test.
pub(crate) fn short_timing() -> Timing {
    let milliseconds = Duration::from_millis;
    timing()
        .heartbeat(milliseconds(300))
        .lease(milliseconds(1500))
        .fence_margin(milliseconds(300))
}

fn timing() -> Timing {
    let milliseconds = Duration::from_millis;
    Timing::default()
        .long_poll(milliseconds(100))
        .relay(milliseconds(50))
        .relay_hold(milliseconds(100))
}

pub(crate) struct Setup {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) input: Arc<FaultyQueue>,
    pub(crate) dead_letter_queue: MemoryQueue,
    pub(crate) notifier: Arc<FaultyQueue>,
    pub(crate) repo: Arc<FaultyRepo>,
    pub(crate) storage: Arc<FaultyStorage>,
    /// A second store, which only contains sources.
    pub(crate) uploads: Arc<FaultyStorage>,
    /// Number of running extractions.
    pub(crate) extractions: Arc<AtomicUsize>,
    pub(crate) rules: Rules,
    config: ProcessorConfig,
    bucket: Option<String>,
}

/// Name of the store in events.
pub(crate) const BUCKET: &str = "videos";
/// Bucket of [`Setup::uploads`].
pub(crate) const UPLOADS: &str = "uploads";

impl Setup {
    pub(crate) async fn new() -> Self {
        Self::with(ProcessorConfig::default()).await
    }

    pub(crate) async fn with(config: ProcessorConfig) -> Self {
        Self::with_tenants(config, Tenants::default()).await
    }

    /// Creates a setup with weights and limits of tenants.
    pub(crate) async fn with_tenants(mut config: ProcessorConfig, tenants: Tenants) -> Self {
        if config.timing == Timing::default() {
            config.timing = timing();
        }
        let clock = Arc::new(ManualClock::default());
        let dead_letter_queue = MemoryQueue::new("dead-letter queue", clock.clone());
        let input =
            MemoryQueue::new("input", clock.clone()).with_dead_letter_queue(dead_letter_queue.clone(), 100);
        let notifier = MemoryQueue::new("notifier", clock.clone());
        let storage = FaultyStorage::new(MemoryStorage::default());
        let setup = Self {
            input: Arc::new(FaultyQueue::new(input)),
            dead_letter_queue,
            notifier: Arc::new(FaultyQueue::new(notifier)),
            repo: Arc::new(FaultyRepo::new(
                MemoryJobRepo::new(clock.clone()).with_tenants(tenants),
            )),
            storage: Arc::new(storage),
            uploads: Arc::new(FaultyStorage::new(MemoryStorage::default())),
            extractions: Arc::default(),
            clock,
            rules: Rules::default(),
            config,
            bucket: None,
        };
        setup.store("v.mp4", "testsrc2=s=160x90:r=10:d=3").await;
        setup
    }

    /// Creates a setup whose clients find results in a bucket.
    pub(crate) async fn in_bucket(bucket: &str) -> Self {
        Self {
            bucket: Some(bucket.to_owned()),
            ..Self::new().await
        }
    }

    /// Puts a video into the store.
    pub(crate) async fn store(&self, name: &str, source: &str) {
        Self::put(&self.storage, name, source).await;
    }

    /// Puts a video into any store.
    pub(crate) async fn put(storage: &FaultyStorage, name: &str, source: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name.rsplit('/').next().unwrap());
        make(source, &path);
        let key = name.parse().unwrap();
        storage.import(&key, &path, &PutOptions::default()).await.unwrap();
    }

    fn processor(&self) -> Processor {
        let extractor = Counting {
            inner: FfmpegExtractor::default(),
            running: Arc::clone(&self.extractions),
        };
        let parts = Parts::new(
            Queues {
                input: self.input.clone().into(),
                notifier: self.notifier.clone(),
            },
            self.repo.clone(),
            self.storage.clone(),
            Arc::new(extractor),
        );
        let mut stores = Stores::one(self.storage.clone()).with_source(BUCKET, self.storage.clone());
        stores = stores.with_source(UPLOADS, self.uploads.clone());
        if let Some(bucket) = &self.bucket {
            stores = stores.in_bucket(bucket);
        }
        let compressor = FfmpegCompressor::new(&FfmpegExtractor::default());
        let parts = parts.with_stores(stores).with_rules(self.rules.clone());
        let parts = parts
            .with_compressor(Arc::new(compressor))
            .with_encoder(Arc::new(FfmpegExtractor::default()));
        Processor::new(parts, self.config.clone())
    }

    pub(crate) fn start(&self, until: Until, stop: &CancellationToken) -> JoinHandle<()> {
        let (processor, stop) = (self.processor(), stop.clone());
        tokio::spawn(async move { processor.run(until, &stop).await })
    }

    /// Runs until idle, or until the only job is terminal. The clock advances with the elapsed time.
    pub(crate) async fn run(&self, until: Until) {
        let stop = CancellationToken::new();
        let running = self.start(until, &stop);
        let ticking = self.tick();
        if until == Until::Stopped {
            self.until_job(|job| job.status.is_terminal()).await;
            stop.cancel();
        }
        let ended = tokio::time::timeout(PATIENCE, running).await;
        ticking.abort();
        ended.expect("the processor ends").unwrap();
    }

    /// Runs the processor during `test`. The clock advances with the elapsed time.
    pub(crate) async fn run_during(&self, test: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let running = self.start(Until::Stopped, &stop);
        let ticking = self.tick();
        test.await;
        stop.cancel();
        running.await.unwrap();
        ticking.abort();
    }

    fn tick(&self) -> JoinHandle<()> {
        let clock = Arc::clone(&self.clock);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                clock.advance(Duration::from_millis(20));
            }
        })
    }

    pub(crate) async fn ask(&self, message: &str) {
        for sent in self.input.send(&[Outgoing::new(message)]).await.unwrap() {
            sent.unwrap();
        }
    }

    pub(crate) async fn only_job(&self) -> VideoJob {
        let jobs = self.repo.list(&Default::default()).await.unwrap().jobs;
        assert_eq!(jobs.len(), 1);
        jobs.into_iter().next().unwrap()
    }

    pub(crate) async fn notifications(&self) -> Vec<Value> {
        let mut notifications = Vec::new();
        loop {
            let hidden = Duration::from_secs(3600);
            let messages = self.notifier.receive(10, hidden, Duration::ZERO).await.unwrap();
            if messages.is_empty() {
                return notifications;
            }
            notifications.extend(
                messages
                    .iter()
                    .map(|message| serde_json::from_str::<Value>(&message.body).unwrap()),
            );
        }
    }

    pub(crate) async fn until(&self, so: impl Fn(&Self) -> bool) {
        let since = Instant::now();
        while !so(self) {
            assert!(since.elapsed() < PATIENCE, "timed out");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until_job(&self, so: impl Fn(&VideoJob) -> bool) {
        let since = Instant::now();
        loop {
            let jobs = self.repo.list(&Default::default()).await.unwrap().jobs;
            if jobs.first().is_some_and(&so) {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "timed out: {jobs:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Replaces the object with another object.
    pub(crate) async fn replace(&self, key: &str) {
        replace(&self.storage.inner, key).await;
    }

    /// Replaces the object as soon as it has been opened.
    pub(crate) fn replace_when_read(&self, key: &str) {
        let (inner, key) = (self.storage.inner.clone(), key.to_owned());
        self.storage.after_open(Box::new(move || {
            let (inner, key) = (inner.clone(), key.clone());
            Box::pin(async move { replace(&inner, &key).await })
        }));
    }
}

async fn replace(storage: &MemoryStorage, key: &str) {
    let options = PutOptions::from(IfExists::Replace);
    let mut sink = storage.create(&key.parse().unwrap(), &options).await.unwrap();
    sink.write(Bytes::from_static(b"another video")).await.unwrap();
    sink.finish().await.unwrap();
}

fn make(source: &str, path: &Path) {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", source])
        .args(["-pix_fmt", "yuv420p", "-preset", "ultrafast"])
        .arg(path)
        .status();
    assert!(made.unwrap().success());
}

/// Counts the running extractions.
struct Counting {
    inner: FfmpegExtractor,
    running: Arc<AtomicUsize>,
}

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl FrameExtractor for Counting {
    async fn version(&self) -> Result<String, ExtractError> {
        self.inner.version().await
    }

    async fn describe(
        &self,
        input: &Path,
        stream: Option<StreamChoice>,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Described, ExtractError> {
        self.inner.describe(input, stream, limits, cancel).await
    }

    async fn packets(
        &self,
        input: &Path,
        stream: Option<StreamChoice>,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<PacketList, ExtractError> {
        self.inner.packets(input, stream, limits, cancel).await
    }

    async fn scan(
        &self,
        input: &Path,
        video: &VideoInfo,
        limits: &Limits,
        cancel: &CancellationToken,
    ) -> Result<Scan, ExtractError> {
        self.inner.scan(input, video, limits, cancel).await
    }

    async fn extract(
        &self,
        input: &Input,
        request: ExtractRequest,
        pictures: mpsc::Sender<Picture>,
        cancel: &CancellationToken,
    ) -> Result<Decoded<ExtractReport>, ExtractError> {
        self.running.fetch_add(1, Ordering::SeqCst);
        let _running = Running(Arc::clone(&self.running));
        self.inner.extract(input, request, pictures, cancel).await
    }
}
