//! An HTTP client that ends uploads without progress.
//!
//! The client of the SDK watches a body only until it has sent the body. A connection that is silent afterwards would delay the
//! upload until the timeout for slow uploads.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::{Error, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::aws::SdkConfig;

/// Size of the pieces of a body in bytes. Each is progress.
const PIECE: usize = 64 << 10;
/// Maximum number of sent bytes that are still in buffers of this machine: the limit of Linux for one connection.
const BUFFERED: u64 = 4 << 20;
/// Slowest supported rate of a transfer in bytes per second: 1 Mbit/s.
const SLOWEST_RATE: u64 = 125_000;

/// Returns a client whose uploads end after `stall` without progress, otherwise like that of `config`.
pub(super) fn client(config: &SdkConfig, stall: Duration) -> SharedHttpClient {
    let inner = config.http_client().unwrap_or_else(|| {
        // The default of the SDK, which its configuration does not return.
        Builder::new().build_with_connector_fn(|settings, components| {
            let mut builder = ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
            builder.set_connector_settings(settings.cloned());
            builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
            builder.set_proxy_config(Some(ProxyConfig::from_env()));
            builder.build()
        })
    });
    SharedHttpClient::new(Limited { inner, stall })
}

/// A client or a connector with a limit.
#[derive(Debug)]
struct Limited<T> {
    inner: T,
    stall: Duration,
}

impl HttpClient for Limited<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Limited {
            inner: self.inner.http_connector(settings, components),
            stall: self.stall,
        })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

impl HttpConnector for Limited<SharedHttpConnector> {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        // The completion of an upload (POST) and a copy (without a body) take as long as the store works.
        let size = request.body().content_length();
        if request.method() != "PUT" || size == Some(0) {
            return self.inner.call(request);
        }
        let progress = Arc::new(Progress::new());
        let body = request.take_body();
        *request.body_mut() = SdkBody::from_body_1_x(Tracked::new(body, Arc::clone(&progress)));
        let (call, patience) = (self.inner.call(request), patience(size, self.stall));
        HttpConnectorFuture::new(async move {
            tokio::pin!(call);
            loop {
                let until = progress.last() + patience;
                tokio::select! {
                    response = &mut call => return response,
                    () = tokio::time::sleep_until(until) => {}
                }
                if progress.last() + patience <= Instant::now() {
                    let error = format!("the upload made no progress for {} s", patience.as_secs_f32());
                    return Err(ConnectorError::timeout(error.into()));
                }
            }
        })
    }
}

/// Returns the maximum time without progress. The last bytes of a body may still wait in buffers when all have been sent.
fn patience(size: Option<u64>, stall: Duration) -> Duration {
    let buffered = size.unwrap_or(BUFFERED).min(BUFFERED);
    stall.saturating_add(Duration::from_secs(buffered.div_ceil(SLOWEST_RATE)))
}

/// The time at which bytes were sent last.
#[derive(Debug)]
struct Progress(Mutex<Instant>);

impl Progress {
    fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    fn time(&self) -> MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> Instant {
        *self.time()
    }

    fn record(&self) {
        *self.time() = Instant::now();
    }
}

/// A body that records the progress of its transfer.
#[derive(Debug)]
struct Tracked {
    body: SdkBody,
    /// Bytes of the body that are not sent yet.
    rest: Bytes,
    progress: Arc<Progress>,
}

impl Tracked {
    fn new(body: SdkBody, progress: Arc<Progress>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            progress,
        }
    }
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => this.rest = bytes,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
        this.progress.record();
        let piece = this.rest.split_to(PIECE.min(this.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_grows_with_the_bytes_that_may_be_buffered() {
        let stall = Duration::from_secs(20);
        for (size, seconds) in [
            (Some(1), 21),
            (Some(1_000_000), 28),
            (Some(8 << 20), 54),
            (Some(u64::MAX), 54),
            (None, 54),
        ] {
            assert_eq!(patience(size, stall), Duration::from_secs(seconds), "{size:?}");
        }
    }

    #[tokio::test]
    async fn a_body_is_sent_unchanged_in_pieces() {
        for length in [1, PIECE - 1, PIECE, 3 * PIECE + 7] {
            let content: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            let mut body = Tracked::new(SdkBody::from(content.clone()), Arc::new(Progress::new()));
            let mut sent = Vec::new();
            assert_eq!(body.size_hint().exact(), Some(length as u64));
            while let Some(frame) =
                std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
            {
                let piece = frame.unwrap().into_data().unwrap();
                assert!(piece.len() <= PIECE);
                sent.extend_from_slice(&piece);
                assert_eq!(body.size_hint().exact(), Some((length - sent.len()) as u64));
            }
            assert!(sent == content && body.is_end_stream());
        }
    }

    /// A store that never responds, and receives a piece of the body every ten seconds.
    #[derive(Debug)]
    struct Slow {
        pieces: usize,
    }

    impl HttpConnector for Slow {
        fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
            let pieces = self.pieces;
            HttpConnectorFuture::new(async move {
                let mut body = request.take_body();
                for _ in 0..pieces {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
                }
                std::future::pending().await
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_ends_after_the_last_progress() {
        for pieces in [0, 1, 7] {
            let connector = Limited {
                inner: SharedHttpConnector::new(Slow { pieces }),
                stall: Duration::from_secs(20),
            };
            let mut request = HttpRequest::new(SdkBody::from(vec![0; 8 << 20]));
            request.set_method("PUT").unwrap();
            let since = Instant::now();
            let error = connector.call(request).await.unwrap_err();
            assert!(error.is_timeout(), "{error:?}");
            let expected = Duration::from_secs(54 + 10 * pieces as u64);
            assert!(since.elapsed() >= expected && since.elapsed() < expected + Duration::from_secs(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_without_an_upload_have_no_limit_here() {
        for (method, body) in [("POST", "<parts/>"), ("PUT", ""), ("GET", "")] {
            let connector = Limited {
                inner: SharedHttpConnector::new(Slow { pieces: 0 }),
                stall: Duration::from_secs(20),
            };
            let mut request = HttpRequest::new(SdkBody::from(body));
            request.set_method(method).unwrap();
            let call = tokio::time::timeout(Duration::from_secs(1000), connector.call(request));
            assert!(call.await.is_err(), "{method}");
        }
    }
}
