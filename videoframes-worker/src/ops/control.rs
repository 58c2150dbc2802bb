//! The control socket of a worker.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use videoframes_core::processor::Monitor;

use super::request::{Reply, Request};
use crate::logs::LogFilter;

/// Maximum length of a request in bytes.
const MAX_REQUEST: u64 = 4096;
/// Maximum duration of a connection.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Carries out requests of the control socket.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) monitor: Monitor,
    pub(crate) logs: LogFilter,
}

/// Binds a socket that only this user can access.
pub(super) fn bind(socket: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(socket)?;
    // The private folder protects the socket until this call.
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Control {
    /// Answers connections, one after another.
    pub(super) async fn serve(&self, listener: UnixListener) {
        let listener = match tokio::net::UnixListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "failed to serve the control socket");
                return;
            }
        };
        loop {
            let answered = match listener.accept().await {
                Ok((stream, _)) => tokio::time::timeout(TIMEOUT, self.answer(stream)).await,
                Err(error) => {
                    // Too many open files, for example.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    Ok(Err(error))
                }
            };
            if let Err(error) = answered.map_err(io::Error::from).flatten() {
                tracing::warn!(%error, "failed to answer a request on the control socket");
            }
        }
    }

    async fn answer(&self, stream: UnixStream) -> io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut line = String::new();
        BufReader::new(read.take(MAX_REQUEST))
            .read_line(&mut line)
            .await?;
        let reply = match serde_json::from_str(&line) {
            Ok(request) => self.carry_out(&request),
            Err(error) => Reply::Refused {
                reason: format!("invalid request: {error}"),
            },
        };
        let mut reply = serde_json::to_vec(&reply)?;
        reply.push(b'\n');
        write.write_all(&reply).await
    }

    fn carry_out(&self, request: &Request) -> Reply {
        match request {
            Request::Pause => {
                self.monitor.pause();
                tracing::info!("worker paused; receiving no messages");
            }
            Request::Resume => {
                self.monitor.resume();
                tracing::info!("worker resumed; receiving messages");
            }
            Request::LogLevel { filter } => {
                if let Err(reason) = self.logs.set(filter) {
                    return Reply::Refused { reason };
                }
                tracing::info!(filter, "log filter changed");
            }
        }
        Reply::Done
    }
}
