//! `vf-worker run`: processes jobs until stopped.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use metrics_process::Collector;
use tokio_util::task::AbortOnDropHandle;
use videoframes_console::{Failure, INSTALL_FFMPEG, cancelled_by_signals, exit};
use videoframes_core::error::chain;
use videoframes_core::ffmpeg::{FfmpegCompressor, FfmpegExtractor};
use videoframes_core::pipeline::Scratch;
use videoframes_core::processor::{Monitor, Parts, Processor, Queues, Until};

use crate::args::RunArgs;
use crate::config::{Config, MetricsFormat};
use crate::connections::open;
use crate::logs::{LogFilter, name_instance};
use crate::objects::Objects;
use crate::ops::{self, Control, MAX_BLOCKED, Ops, OpsParts, PULSE, Resources};
use crate::queues::Messages;
use crate::start::with_retries;
use crate::workspace::Workspace;

pub(crate) async fn run(
    mut config: Config,
    args: &RunArgs,
    log_filter: LogFilter,
) -> Result<ExitCode, Failure> {
    if let Some(concurrency) = args.concurrency {
        if concurrency == 0 {
            return Err(Failure::new(exit::USAGE, "--concurrency must be at least 1"));
        }
        config.processor.concurrency = concurrency;
    }
    name_instance(&config.processor.owner);
    let stop = cancelled_by_signals(Duration::ZERO).map_err(|e| Failure::internal(&e))?;
    let extractor = FfmpegExtractor::new(config.ffmpeg.clone());
    let version = extractor.ffmpeg_version().await.map_err(|error| {
        Failure::because(exit::FFMPEG, &error).hint(format!("{INSTALL_FFMPEG}, or set VF_FFMPEG"))
    })?;
    let workspace = Workspace::create(&config.places.scratch, &config.processor.owner).map_err(|error| {
        let folder = config.places.scratch.display();
        Failure::new(
            exit::UNAVAILABLE,
            format!("failed to create a folder for temporary files in '{folder}': {error}"),
        )
    })?;
    let workspace = Arc::new(workspace);
    let monitor = Monitor::default();
    let ops = start_ops(
        &config,
        &extractor,
        &version.text,
        &workspace,
        &monitor,
        log_filter,
    )?;
    let _pulse = AbortOnDropHandle::new(tokio::spawn(pulse(monitor.clone())));
    let place = open(&config).await?;
    let ready = with_retries(&stop, async || {
        place.objects.check().await?;
        let queues = place.queues(&config).await?;
        for queue in [&queues.input, &queues.notifier] {
            queue.check().await?;
        }
        Ok(queues)
    });
    let Some(queues) = ready.await? else {
        return Ok(ExitCode::SUCCESS);
    };
    ops.complete_startup();
    let extractor = extractor.with_registry(workspace.children());
    let compressor = FfmpegCompressor::new(&extractor);
    let parts = Parts::new(
        Queues {
            input: queues.input.queue(),
            notifier: queues.notifier.queue(),
        },
        place.repo,
        place.objects.storage(),
        Arc::new(extractor),
    )
    .with_compressor(Arc::new(compressor))
    .with_stores(place.stores)
    .with_rules(config.rules)
    .with_monitor(monitor)
    .with_scratch(Scratch::new(workspace.copies(), config.scratch_quota));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        ffmpeg = version.text,
        "worker started"
    );
    let sweeper = Sweeper {
        workspace: Arc::clone(&workspace),
        objects: place.objects,
        queues: [queues.notifier, queues.dead_letters],
        retention: config.processor.timing.retention,
        pause: config.processor.timing.sweep,
        max_upload: config
            .processor
            .timing
            .orphan
            .max(config.processor.limits.wall_time),
    };
    let sweeper = tokio::spawn(sweeper.run());
    let until = if args.until_idle {
        Until::Idle
    } else {
        Until::Stopped
    };
    Processor::new(parts, config.processor).run(until, &stop).await;
    sweeper.abort();
    place.database.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Opens the operations port and the control socket.
fn start_ops(
    config: &Config,
    extractor: &FfmpegExtractor,
    ffmpeg_version: &str,
    workspace: &Workspace,
    monitor: &Monitor,
    log_filter: LogFilter,
) -> Result<Ops, Failure> {
    let metrics = match config.metrics {
        MetricsFormat::Prometheus => Some(ops::install(ffmpeg_version).map_err(|e| Failure::internal(&e))?),
        MetricsFormat::Off => None,
    };
    let parts = OpsParts {
        monitor: monitor.clone(),
        resources: Resources {
            scratch: workspace.copies(),
            quota: config.scratch_quota,
            children: workspace.children(),
            extractor: extractor.clone(),
            process: Collector::default(),
        },
        control: Control {
            monitor: monitor.clone(),
            logs: log_filter,
        },
        metrics,
        ffmpeg_version: ffmpeg_version.to_owned(),
    };
    Ops::start(parts, config.ops_listen, workspace.socket()).map_err(|error| {
        let address = config
            .ops_listen
            .map(|address| format!(" on {address}"))
            .unwrap_or_default();
        Failure::new(
            exit::UNAVAILABLE,
            format!("failed to open the operations port{address}: {error}"),
        )
        .hint("VF_OPS_LISTEN sets another IP:PORT, or off")
    })
}

/// Shows that the runtime is not blocked.
async fn pulse(monitor: Monitor) {
    let runtime = monitor.watch("runtime", MAX_BLOCKED);
    loop {
        runtime.beat();
        tokio::time::sleep(PULSE).await;
    }
}

/// Removes files and incomplete objects of dead workers, and old messages that were never received.
struct Sweeper {
    workspace: Arc<Workspace>,
    objects: Objects,
    queues: [Messages; 2],
    retention: Duration,
    pause: Duration,
    max_upload: Duration,
}

impl Sweeper {
    async fn run(self) {
        loop {
            let folder = Arc::clone(&self.workspace);
            let swept = tokio::task::spawn_blocking(move || folder.sweep()).await;
            if let Err(error) = swept.map_err(std::io::Error::other).flatten() {
                tracing::warn!(error = chain(&error), "failed to sweep the scratch folder");
            }
            match self.objects.sweep(self.pause, self.max_upload).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "removed incomplete objects of dead workers"),
                Err(error) => tracing::warn!(error = chain(&error), "failed to remove incomplete objects"),
            }
            for queue in &self.queues {
                // SQS removes old messages itself.
                let Messages::Database(queue) = queue else {
                    continue;
                };
                if let Err(error) = queue.forget(self.retention).await {
                    tracing::warn!(error = chain(&error), "failed to remove old messages");
                }
            }
            tokio::time::sleep(self.pause).await;
        }
    }
}
