//! The HTTP server of the operations port.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use videoframes_core::processor::Monitor;

use super::control::Control;
use super::emf::Emf;
use super::health::{Facts, Health, Startup, liveness, readiness};
use super::resources::Resources;
use crate::config::MetricsFormat;

/// Interval at which the recorder merges the samples of histograms, so that they cannot accumulate without scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// Interval of the lines of the embedded metric format: the shortest standard period of CloudWatch.
const EMF_INTERVAL: Duration = Duration::from_secs(60);

/// The components behind the operations port.
#[derive(Debug)]
pub(crate) struct OpsParts {
    pub(crate) monitor: Monitor,
    pub(crate) resources: Resources,
    pub(crate) control: Control,
    /// Renders the metrics, if enabled.
    pub(crate) metrics: Option<PrometheusHandle>,
    pub(crate) metrics_format: MetricsFormat,
    pub(crate) ffmpeg_version: String,
    /// File with the times of the last backup and restore test, if any.
    pub(crate) backup_metrics: Option<PathBuf>,
}

/// A running operations port, stopped on drop.
#[derive(Debug)]
pub(crate) struct Ops {
    shared: Arc<Shared>,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    parts: OpsParts,
    startup: Mutex<Startup>,
}

impl Ops {
    /// Starts the thread of the port. Without an address, only the control socket answers.
    ///
    /// # Errors
    /// Fails if the address or the socket cannot be bound.
    pub(crate) fn start(parts: OpsParts, listen: Option<SocketAddr>, socket: PathBuf) -> io::Result<Self> {
        let listener = listen.map(TcpListener::bind).transpose()?;
        let socket = super::control::bind(&socket)?;
        if let Some(listener) = &listener {
            listener.set_nonblocking(true)?;
            tracing::info!(address = %listener.local_addr()?, "operations port opened");
        }
        let shared = Arc::new(Shared {
            parts,
            startup: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let serve = {
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            async move {
                let http = async {
                    if let Some(listener) = listener {
                        http(&shared, listener, &stop).await;
                    }
                };
                let control = shared.parts.control.serve(socket);
                let upkeep = upkeep(&shared.parts);
                let emf = shared.write_emf();
                tokio::select! {
                    ((), (), (), ()) = async { tokio::join!(http, control, upkeep, emf) } => {}
                    () = stop.cancelled() => {}
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("operations".to_owned())
            .spawn(move || {
                runtime.block_on(serve);
                runtime.shutdown_background();
            })?;
        Ok(Self {
            shared,
            stop,
            thread: Some(thread),
        })
    }

    /// Records that all dependencies answered.
    pub(crate) fn complete_startup(&self) {
        *self.shared.startup.lock().unwrap_or_else(PoisonError::into_inner) = Startup::Complete;
    }
}

impl Drop for Ops {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // The panic hook has logged a panic of the thread.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn facts(&self) -> Facts {
        Facts {
            startup: *self.startup.lock().unwrap_or_else(PoisonError::into_inner),
            processor: self.parts.monitor.status(),
            scratch: self.parts.resources.scratch(),
            ffmpeg: self.parts.resources.has_ffmpeg(),
        }
    }
}

impl Shared {
    /// Returns all metrics in the text format, if metrics are enabled.
    fn exposition(&self) -> Option<String> {
        let metrics = self.parts.metrics.as_ref()?;
        let facts = self.facts();
        super::metrics::record(&facts, &readiness(&facts));
        self.parts.resources.record();
        super::metrics::record_backups(self.parts.backup_metrics.as_deref());
        Some(metrics.render())
    }

    /// Writes metrics to stdout at intervals, if the format is EMF.
    async fn write_emf(&self) {
        if self.parts.metrics_format != MetricsFormat::Emf {
            return;
        }
        let mut emf = Emf::default();
        loop {
            let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let time = u64::try_from(time.as_millis()).unwrap_or_default();
            let mut lines = emf.lines(&self.exposition().unwrap_or_default(), time).join("\n");
            lines.push('\n');
            // A blocked reader of stdout must not block health checks.
            let writing = move || io::stdout().lock().write_all(lines.as_bytes());
            let written = tokio::task::spawn_blocking(writing).await;
            if let Err(error) = written.map_err(io::Error::other).flatten() {
                tracing::warn!(%error, "failed to write metrics to stdout");
            }
            tokio::time::sleep(EMF_INTERVAL).await;
        }
    }
}

/// Merges the samples of histograms.
async fn upkeep(parts: &OpsParts) {
    loop {
        if let Some(metrics) = &parts.metrics {
            metrics.run_upkeep();
        }
        tokio::time::sleep(UPKEEP).await;
    }
}

async fn http(shared: &Arc<Shared>, listener: TcpListener, stop: &CancellationToken) {
    let router = Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/version", get(version))
        .with_state(Arc::clone(shared));
    let served = async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        axum::serve(listener, router)
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .await
    };
    if let Err(error) = served.await {
        tracing::error!(%error, "failed to serve the operations port");
    }
}

async fn live(State(shared): State<Arc<Shared>>) -> Response {
    answer(&liveness(&shared.facts()))
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    answer(&readiness(&shared.facts()))
}

fn answer(health: &Health) -> Response {
    let status = match health.is_ok() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, health.text()).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let exposition = match shared.parts.metrics_format {
        MetricsFormat::Prometheus => shared.exposition(),
        _ => None,
    };
    let Some(exposition) = exposition else {
        return (
            StatusCode::NOT_FOUND,
            "metrics are disabled here: VF_METRICS is not 'prometheus'\n",
        )
            .into_response();
    };
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content_type, exposition).into_response()
}

async fn version(State(shared): State<Arc<Shared>>) -> Response {
    let version = serde_json::json!({
        "name": crate::logs::NAME,
        "version": crate::logs::VERSION,
        "ffmpeg": shared.parts.ffmpeg_version,
    });
    (
        [(header::CONTENT_TYPE, "application/json")],
        format!("{version}\n"),
    )
        .into_response()
}
