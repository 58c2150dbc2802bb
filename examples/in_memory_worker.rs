//! Runs the job engine without a server, with queues, jobs and objects in memory:
//! `cargo run --example in_memory_worker -- video.mp4`

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use videoframes_core::clock::SystemClock;
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::jobs::{JobFilter, JobRepo, MemoryJobRepo};
use videoframes_core::processor::{Parts, Processor, ProcessorConfig, Queues, Until};
use videoframes_core::queue::{MemoryQueue, Outgoing, Queue};
use videoframes_core::storage::{MemoryStorage, PutOptions, Storage};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: in_memory_worker VIDEO")?;
    let clock = Arc::new(SystemClock);
    let input = Arc::new(MemoryQueue::new("input", clock.clone()));
    let notifier = Arc::new(MemoryQueue::new("notifier", clock.clone()));
    let repo = Arc::new(MemoryJobRepo::new(clock));
    let storage = Arc::new(MemoryStorage::default());

    // The client imports the video into the store and sends a job message.
    let key = "uploads/video".parse()?;
    storage
        .import(&key, path.as_ref(), &PutOptions::default())
        .await?;
    let message = r#"{"version": 1, "source": {"key": "uploads/video"}, "selection": {"count": 5}}"#;
    for sent in input.send(&[Outgoing::new(message)]).await? {
        sent?;
    }

    // The worker runs until all jobs are done.
    let extractor = Arc::new(FfmpegExtractor::default());
    let queues = Queues {
        input: input.into(),
        notifier: notifier.clone(),
    };
    let parts = Parts::new(queues, repo.clone(), storage, extractor);
    Processor::new(parts, ProcessorConfig::default())
        .run(Until::Idle, &CancellationToken::new())
        .await;

    for job in repo.list(&JobFilter::default()).await?.jobs {
        println!("{}: {}, {:?}", job.id, job.status, job.result);
    }
    let notifications = notifier
        .receive(10, std::time::Duration::from_secs(30), std::time::Duration::ZERO)
        .await?;
    for message in notifications {
        println!("{}", message.body);
    }
    Ok(())
}
