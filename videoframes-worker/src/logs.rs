//! Logs on stderr, as text or as JSON.

use tracing_subscriber::EnvFilter;
use videoframes_console::OneLine;

use crate::config::{Config, LogFormat};

/// From here on what happens is written to stderr.
pub(crate) fn start(config: &Config) {
    // What a database's client says is said again by whoever asked it.
    let filter = EnvFilter::builder().parse_lossy(format!("{},sqlx=error,sea_orm=warn", config.log));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Where nobody can be told, nobody is: a worker outlives whoever reads its log.
        .log_internal_errors(false);
    match config.log_format {
        LogFormat::Text => logs.with_writer(OneLine::Text).with_ansi(false).init(),
        LogFormat::Json => logs.with_writer(OneLine::Json).json().flatten_event(true).init(),
    }
}
