//! Logs on stderr, as text or as JSON.

use tracing_subscriber::EnvFilter;
use videoframes_console::OneLine;

use crate::config::{Config, LogFormat};

/// Starts logging to stderr.
pub(crate) fn start(config: &Config) {
    // Callers log errors of the database client, so the client's own messages would be duplicates.
    let filter = EnvFilter::builder().parse_lossy(format!("{},sqlx=error,sea_orm=warn", config.log));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Errors of the log writer are ignored: a worker must survive a closed reader of its log.
        .log_internal_errors(false);
    match config.log_format {
        LogFormat::Text => logs.with_writer(OneLine::Text).with_ansi(false).init(),
        LogFormat::Json => logs.with_writer(OneLine::Json).json().flatten_event(true).init(),
    }
}
