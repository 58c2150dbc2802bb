//! The HTTP port: the API for jobs, and the jobs page.
//!
//! Requests pass the checks of [`guard`] and [`rate`], then [`authenticate`], and reach the handlers in [`api`] by the
//! table in [`routes`].

mod api;
mod authenticate;
mod guard;
mod identity;
mod openapi;
mod page;
mod problem;
mod rate;
mod request;
mod routes;
mod server;
mod tls;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::api::Api;
pub(crate) use self::api::ApiParts;
use self::server::Listener;
use crate::config::{HttpAuth, HttpSettings};

/// The bound port, which does not answer yet.
pub(crate) struct HttpPort {
    settings: HttpSettings,
    listener: Listener,
}

impl HttpPort {
    /// Binds the address and reads the certificate. Returns `None` if the address is the default and is in use.
    ///
    /// # Errors
    /// Fails if the address cannot be bound, or the certificate is invalid.
    pub(crate) fn bind(settings: HttpSettings) -> io::Result<Option<Self>> {
        let tls = settings.tls.as_ref().map(tls::acceptor).transpose()?;
        let tcp = match TcpListener::bind(settings.listen) {
            Err(error) if settings.is_default && error.kind() == io::ErrorKind::AddrInUse => {
                tracing::warn!(
                    address = %settings.listen,
                    "the jobs page is off: another program uses its address; VF_HTTP_LISTEN sets another"
                );
                return Ok(None);
            }
            bound => bound?,
        };
        let listener = Listener {
            tcp,
            tls,
            behind_proxy: settings.behind_proxy,
        };
        Ok(Some(Self { settings, listener }))
    }

    /// Starts to answer requests, until `stop`.
    ///
    /// # Errors
    /// Fails if the address cannot be read.
    pub(crate) fn serve(
        self,
        parts: ApiParts,
        stop: &CancellationToken,
    ) -> io::Result<AbortOnDropHandle<()>> {
        let Self { settings, listener } = self;
        let scheme = match settings.tls {
            Some(_) => "https",
            None => "http",
        };
        let url = format!("{scheme}://{}/", listener.tcp.local_addr()?);
        let auth = match settings.auth {
            HttpAuth::Open => "open",
            HttpAuth::Tokens => "tokens",
        };
        tracing::info!(url, auth, "jobs page opened");
        let stop = stop.clone();
        let api = Arc::new(Api::new(parts, settings, stop.clone()));
        let router = routes::router(&api);
        let served = async move {
            if let Err(error) = server::serve(listener, router, stop).await {
                tracing::error!(%error, "failed to serve the HTTP port");
            }
        };
        Ok(AbortOnDropHandle::new(tokio::spawn(served)))
    }
}
