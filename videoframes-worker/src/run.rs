//! `vf-worker run`: processes jobs until stopped.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use metrics_process::Collector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use videoframes_console::{Failure, INSTALL_FFMPEG, cancelled_by_signals, exit};
use videoframes_core::database::Database;
use videoframes_core::ffmpeg::{FfmpegCompressor, FfmpegExtractor, SandboxMode, SandboxStatus};
use videoframes_core::fleet::SeaOrmFleet;
use videoframes_core::pipeline::Scratch;
use videoframes_core::processor::{
    FleetMember, Monitor, Parts, Processor, ProcessorConfig, Queues as MessageQueues, Until,
};

use crate::args::RunArgs;
use crate::config::{Config, HttpSettings, MetricsFormat};
use crate::connections::{Connections, open};
use crate::dlq::DeadLetters;
use crate::fleet::Protection;
use crate::http::{ApiParts, HttpPort};
use crate::logs::LogFilter;
use crate::objects::Objects;
use crate::ops::{self, Control, MAX_BLOCKED, Observer, Ops, OpsParts, PULSE, Resources};
use crate::queues::Queues;
use crate::service;
use crate::start::with_retries;
use crate::sweeper::Sweeper;
use crate::workspace::Workspace;

pub(crate) async fn run(config: Config, args: &RunArgs, log_filter: LogFilter) -> Result<ExitCode, Failure> {
    let config = with_args(config, args)?;
    let stop = cancelled_by_signals(Duration::ZERO).map_err(|e| Failure::internal(&e))?;
    let machine = Machine::open(&config, log_filter).await?;
    let _pulse = AbortOnDropHandle::new(tokio::spawn(pulse(machine.monitor.clone())));
    let http = bind_http(&config, args)?;
    let place = open(&config).await?;
    let member = member(&config, &place.database, args.standby).await?;
    let ready = with_retries(&stop, async || {
        place.objects.check().await?;
        let queues = place.queues(&config).await?;
        for queue in queues.inputs.iter().chain([&queues.notifier]) {
            queue.check().await?;
        }
        Ok(queues)
    });
    let Some(queues) = ready.await? else {
        return Ok(ExitCode::SUCCESS);
    };
    machine.ops.complete_startup();
    let serving = stop.child_token();
    let http = match http {
        Some(port) => Some(serve_http(port, &config, &place, &queues, &serving).await?),
        None => None,
    };
    let workspace = &machine.workspace;
    let extractor = Arc::new(machine.extractor.with_registry(workspace.children()));
    let compressor = FfmpegCompressor::new(&extractor);
    let parts = Parts::new(
        MessageQueues {
            input: queues.input.clone(),
            notifier: queues.notifier.queue(),
        },
        place.repo,
        place.objects.storage(),
        Arc::<FfmpegExtractor>::clone(&extractor),
    )
    .with_compressor(Arc::new(compressor))
    .with_encoder(Arc::<FfmpegExtractor>::clone(&extractor))
    .with_stores(place.stores)
    .with_rules(config.rules)
    .with_tenants(config.tenants)
    .with_restore_mark()
    .with_monitor(machine.monitor.clone())
    .with_fleet(member)
    .with_scratch(Scratch::new(workspace.copies(), config.scratch_quota));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        ffmpeg = machine.ffmpeg_version,
        sandbox = %extractor.sandbox(),
        "worker started"
    );
    let observer = Observer {
        input: queues.input.clone(),
        notifier: queues.notifier.queue(),
        dead_letter_queue: queues.dead_letter_queue.queue(),
        database: place.database.clone(),
    };
    let _observer = AbortOnDropHandle::new(tokio::spawn(observer.run()));
    let sweeper = sweeper(&config.processor, workspace, place.objects, queues);
    let sweeper = tokio::spawn(sweeper.run());
    let protected = stop.child_token();
    let protection = Protection::from_environment()
        .map(|protection| tokio::spawn(protection.run(machine.monitor, protected.clone())));
    Processor::new(parts, config.processor)
        .run(until(args), &stop)
        .await;
    protected.cancel();
    serving.cancel();
    if let Some(protection) = protection {
        // Its requests have a timeout.
        let _ = protection.await;
    }
    sweeper.abort();
    if let Some(http) = http {
        // Open requests end within a short time.
        let _ = http.await;
    }
    place.database.close().await;
    Ok(ExitCode::SUCCESS)
}

fn until(args: &RunArgs) -> Until {
    match args.until_idle {
        true => Until::Idle,
        false => Until::Stopped,
    }
}

fn sweeper(
    config: &ProcessorConfig,
    workspace: &Arc<Workspace>,
    objects: Objects,
    queues: Queues,
) -> Sweeper {
    Sweeper {
        workspace: Arc::clone(workspace),
        objects,
        queues: [queues.notifier, queues.dead_letter_queue],
        retention: config.timing.retention,
        pause: config.timing.sweep,
        max_upload: config.timing.orphan.max(config.limits.wall_time),
    }
}

/// Binds the HTTP port, if it is on. A worker that stops when idle has no jobs page unless it is requested.
fn bind_http(config: &Config, args: &RunArgs) -> Result<Option<HttpPort>, Failure> {
    let requested = |settings: &&HttpSettings| !(settings.is_default && args.until_idle);
    let Some(settings) = config.http.as_ref().filter(requested) else {
        return Ok(None);
    };
    HttpPort::bind(settings.clone()).map_err(|error| {
        let text = format!("failed to open the HTTP port on {}: {error}", settings.listen);
        Failure::new(exit::UNAVAILABLE, text).hint("VF_HTTP_LISTEN sets another IP:PORT, or off")
    })
}

/// Starts to answer HTTP requests, until `stop`.
async fn serve_http(
    port: HttpPort,
    config: &Config,
    place: &Connections,
    queues: &Queues,
    stop: &CancellationToken,
) -> Result<AbortOnDropHandle<()>, Failure> {
    let processor = &config.processor;
    let parts = ApiParts {
        repo: Arc::clone(&place.repo) as _,
        database: place.database.clone(),
        objects: place.objects.clone(),
        stores: place.stores.clone(),
        queues: queues.clone(),
        dead_letters: DeadLetters::open(config, queues).await?,
        max_upload: processor.limits.input_bytes,
        deadline: processor.deadline,
        lease: processor.timing.lease,
        relay_hold: processor.timing.relay_hold,
        tenants: config.tenants.clone(),
        connections: config.connections,
    };
    port.serve(parts, stop).map_err(|error| Failure::internal(&error))
}

/// Returns the configuration with the options of the command line and the instance of the service manager.
fn with_args(mut config: Config, args: &RunArgs) -> Result<Config, Failure> {
    if let Some(concurrency) = args.concurrency {
        if concurrency == 0 {
            return Err(Failure::new(exit::USAGE, "--concurrency must be at least 1"));
        }
        config.processor.concurrency = concurrency;
    }
    if args.standby && config.revision.is_none() {
        return Err(Failure::new(
            exit::USAGE,
            "--standby needs VF_REVISION, the name of the revision",
        ));
    }
    if let Some(instance) = service::instance() {
        config.processor.owner = instance.to_owned();
    }
    Ok(config)
}

async fn member(config: &Config, database: &Database, standby: bool) -> Result<FleetMember, Failure> {
    let registry = SeaOrmFleet::new(database.clone());
    let member = FleetMember::new(Arc::new(registry), env!("CARGO_PKG_VERSION")).with_standby(standby);
    Ok(match &config.revision {
        Some(source) => member.with_revision(source.resolve().await?),
        None => member,
    })
}

/// Returns the number of threads of each decoder, so that decoders in all slots together use all cores.
fn decoder_threads(slots: usize) -> NonZeroUsize {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    NonZeroUsize::new(cores / slots.max(1)).unwrap_or(NonZeroUsize::MIN)
}

/// Fails without a required sandbox, and reports an incomplete sandbox.
fn check_sandbox(sandbox: &SandboxStatus) -> Result<(), Failure> {
    match (sandbox.mode, sandbox.missing()) {
        (SandboxMode::Require, Some(missing)) => {
            let failure = Failure::new(
                exit::FFMPEG,
                format!("the sandbox of ffmpeg is incomplete: {missing}"),
            );
            Err(failure.hint("use a kernel with Landlock and seccomp, or set VF_SANDBOX=auto"))
        }
        (SandboxMode::Off, _) => {
            tracing::warn!("ffmpeg runs without a sandbox");
            Ok(())
        }
        (_, Some(missing)) => {
            tracing::warn!(missing, "ffmpeg runs in an incomplete sandbox");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The resources of a worker on its machine, before any connection.
struct Machine {
    workspace: Arc<Workspace>,
    extractor: FfmpegExtractor,
    ffmpeg_version: String,
    monitor: Monitor,
    ops: Ops,
}

impl Machine {
    /// Finds ffmpeg, creates the folder for temporary files, and opens the operations port and the control socket.
    async fn open(config: &Config, log_filter: LogFilter) -> Result<Self, Failure> {
        let threads = decoder_threads(config.processor.concurrency);
        let extractor = FfmpegExtractor::new(config.ffmpeg.clone())
            .with_sandbox(config.sandbox)
            .with_threads(threads);
        check_sandbox(&extractor.sandbox())?;
        let version = extractor.ffmpeg_version().await.map_err(|error| {
            Failure::because(exit::FFMPEG, &error).hint(format!("{INSTALL_FFMPEG}, or set VF_FFMPEG"))
        })?;
        let scratch = &config.places.scratch;
        let workspace = Workspace::create(scratch, &config.processor.owner).map_err(|error| {
            let folder = scratch.display();
            Failure::new(
                exit::UNAVAILABLE,
                format!("failed to create a folder for temporary files in '{folder}': {error}"),
            )
        })?;
        let metrics = match config.metrics {
            MetricsFormat::Off => None,
            _ => Some(ops::install(&version.text, &extractor.sandbox()).map_err(|e| Failure::internal(&e))?),
        };
        let monitor = Monitor::default();
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
            metrics_format: config.metrics,
            ffmpeg_version: version.text.clone(),
            backup_metrics: config.backup_metrics.clone(),
        };
        let ops = Ops::start(parts, config.ops_listen, workspace.socket());
        Ok(Self {
            workspace: Arc::new(workspace),
            extractor,
            ffmpeg_version: version.text,
            monitor,
            ops: ops.map_err(|error| not_open(config.ops_listen, &error))?,
        })
    }
}

fn not_open(listen: Option<SocketAddr>, error: &io::Error) -> Failure {
    let address = listen.map(|address| format!(" on {address}")).unwrap_or_default();
    let text = format!("failed to open the operations port{address}: {error}");
    Failure::new(exit::UNAVAILABLE, text).hint("VF_OPS_LISTEN sets another IP:PORT, or off")
}

/// Shows that the runtime is not blocked.
async fn pulse(monitor: Monitor) {
    let runtime = monitor.watch("runtime", MAX_BLOCKED);
    loop {
        runtime.beat();
        tokio::time::sleep(PULSE).await;
    }
}
