//! The listener: connections with limits on their number, idle time and stalls.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutWriter;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::identity::Peer;

/// Maximum number of connections.
const CONNECTIONS: usize = 512;
/// Maximum number of connections of one address.
const PER_ADDRESS: usize = 256;
/// Maximum time until the head of a request has arrived, which also ends idle connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time in which a client reads nothing of a response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum time of a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of the head of a request, and of other buffers of a connection, in bytes.
const BUFFER: usize = 64 << 10;
/// Time for open requests after a stop.
const DRAIN: Duration = Duration::from_secs(5);

/// A bound listener.
pub(super) struct Listener {
    pub(super) tcp: TcpListener,
    pub(super) tls: Option<TlsAcceptor>,
    /// Whether all connections come from one proxy.
    pub(super) behind_proxy: bool,
}

/// Accepts connections and answers their requests.
struct Server {
    router: Router,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
    addresses: Option<Arc<Addresses>>,
}

/// The number of connections by address.
#[derive(Debug, Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

/// One counted connection.
struct Counted {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    /// Counts a connection; `None` if the address has too many.
    fn count(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= PER_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Counted {
            addresses: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Serves requests until `stop`, and then finishes open requests for a short time.
pub(super) async fn serve(listener: Listener, router: Router, stop: CancellationToken) -> io::Result<()> {
    listener.tcp.set_nonblocking(true)?;
    let tcp = tokio::net::TcpListener::from_std(listener.tcp)?;
    let server = Arc::new(Server {
        router,
        tls: listener.tls,
        stop: stop.clone(),
        addresses: (!listener.behind_proxy).then(Arc::default),
    });
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = TaskTracker::new();
    while let Some(slot) = unless(&stop, Arc::clone(&slots).acquire_owned()).await {
        let Ok(slot) = slot else { break };
        match unless(&stop, tcp.accept()).await {
            None => break,
            Some(Ok((stream, peer))) => {
                connections.spawn(Arc::clone(&server).answer(stream, peer, slot));
            }
            Some(Err(error)) => {
                // Too many open files, for example.
                tracing::warn!(%error, "failed to accept an HTTP connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    connections.close();
    // Connections that are still open are closed with the runtime.
    let _ = tokio::time::timeout(DRAIN, connections.wait()).await;
    Ok(())
}

async fn unless<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        done = work => Some(done),
    }
}

impl Server {
    async fn answer(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, _slot: OwnedSemaphorePermit) {
        let _counted = match &self.addresses {
            None => None,
            Some(addresses) => match addresses.count(Peer(peer.ip()).network()) {
                Some(counted) => Some(counted),
                None => return,
            },
        };
        // Progress events are small.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return self.requests(stream, peer.ip()).await;
        };
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.requests(stream, peer.ip()).await,
            Ok(Err(error)) => tracing::debug!(%error, client.address = %peer.ip(), "failed to accept TLS"),
            Err(_) => tracing::debug!(client.address = %peer.ip(), "timed out accepting TLS"),
        }
    }

    async fn requests<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: S, peer: IpAddr) {
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(WRITE_TIMEOUT));
        let router = &self.router;
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            let mut router = router.clone();
            async move { tower_service::Service::call(&mut router, request).await }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            // Clients may disconnect at any time.
            tracing::debug!(%error, client.address = %peer, "HTTP connection failed");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_limited_number_of_connections() {
        let addresses = Arc::<Addresses>::default();
        let [one, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap());
        let mut counted: Vec<Counted> = (0..PER_ADDRESS).map(|_| addresses.count(one).unwrap()).collect();
        assert!(addresses.count(one).is_none());
        assert!(addresses.count(other).is_some());
        counted.pop();
        let again = addresses.count(one);
        assert!(again.is_some() && addresses.count(one).is_none());
        drop((counted, again));
        assert!(addresses.0.lock().unwrap().is_empty(), "no address is remembered");
    }
}
