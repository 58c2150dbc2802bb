//! Sends a request and follows its redirects.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, LOCATION, RANGE};
use reqwest::{Response, StatusCode, redirect};

use super::address::is_public;
use super::error::NotPublic;
use super::{Addresses, HttpError, HttpUrl};
use crate::limits::HTTP_REDIRECTS;

const CONNECT: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    admits: Admits,
}

/// Decides whether an address may be connected to.
type Admits = fn(IpAddr) -> bool;

impl Client {
    /// Returns a client that fails if a server sends nothing for `idle`.
    pub(super) fn new(addresses: Addresses, idle: Duration) -> Result<Self, HttpError> {
        let admits: Admits = match addresses {
            Addresses::Public => |address| is_public(address) && !is_own(address),
            Addresses::Any => |_| true,
        };
        Self::admitting(admits, idle)
    }

    fn admitting(admits: Admits, idle: Duration) -> Result<Self, HttpError> {
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("videoframes/", env!("CARGO_PKG_VERSION")))
                // Every hop is checked, and a proxy would connect to unchecked addresses.
                .redirect(redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .connect_timeout(CONNECT.min(idle))
                .read_timeout(idle)
                .dns_resolver(Resolver { admits })
        };
        // A machine without CA certificates can still read over plain HTTP.
        let http = builder()
            .build()
            .or_else(|error| {
                tracing::debug!(%error, "no CA certificates found");
                builder().tls_certs_only([]).build()
            })
            .map_err(HttpError::Transport)?;
        Ok(Self { http, admits })
    }

    /// Requests a range that is not empty, and returns the response with its final URL.
    pub(super) async fn get(
        &self,
        url: &HttpUrl,
        range: Range<u64>,
    ) -> Result<(Response, HttpUrl), HttpError> {
        let mut url = url.clone();
        for _ in 0..=HTTP_REDIRECTS {
            self.admit(&url)?;
            let response = self
                .http
                .get(url.url().clone())
                .header(RANGE, format!("bytes={}-{}", range.start, range.end - 1))
                .header(ACCEPT_ENCODING, "identity")
                .send()
                .await
                .map_err(|error| HttpError::from_request(error, url.host()))?;
            if !is_redirect(response.status()) {
                check_encoding(&response)?;
                return Ok((response, url));
            }
            let location = response.headers().get(LOCATION);
            let location = location.and_then(|l| std::str::from_utf8(l.as_bytes()).ok());
            let location =
                location.ok_or_else(|| HttpError::Answer("redirect without a location".to_owned()))?;
            let next = url.join(location);
            url = next.map_err(|error| HttpError::Answer(format!("invalid redirect: {error}")))?;
        }
        Err(HttpError::Answer(format!("more than {HTTP_REDIRECTS} redirects")))
    }

    /// Checks a literal address; names are checked during resolution.
    fn admit(&self, url: &HttpUrl) -> Result<(), HttpError> {
        let host = url.host().trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(address) if !(self.admits)(address) => Err(HttpError::PrivateAddress(url.host().to_owned())),
            _ => Ok(()),
        }
    }
}

/// Returns whether an address belongs to this machine, whose services may trust local clients.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Sends nothing: the system only selects the source address.
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == address)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The encoding of an error page is irrelevant.
fn check_encoding(response: &Response) -> Result<(), HttpError> {
    match response.headers().get(CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" && response.status().is_success() => {
            Err(HttpError::Answer("unexpected content encoding".to_owned()))
        }
        _ => Ok(()),
    }
}

/// The system's resolver without disallowed addresses. The client connects to the checked addresses, so a
/// name cannot resolve differently after the check.
struct Resolver {
    admits: Admits,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let admits = self.admits;
        Box::pin(async move {
            let all = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = all.filter(|address| admits(address.ip())).collect();
            if allowed.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers one request with a redirect, and returns the address of the server.
    fn redirecting(to: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
            );
        });
        address
    }

    #[tokio::test]
    async fn every_redirect_is_checked() {
        // Stands in for a public address, which tests do not have.
        let admits: Admits = |address| address == IpAddr::from([127, 0, 0, 1]);
        let client = Client::admitting(admits, CONNECT).expect("a client");
        for to in [
            "http://127.0.0.2:9/",
            "http://[::1]:9/",
            "http://2130706434:9/",
            "http://0x7f.2:9/",
        ] {
            let url = format!("http://{}/", redirecting(to))
                .parse()
                .expect("an address");
            let refused = client.get(&url, 0..1).await.err();
            assert!(
                matches!(refused, Some(HttpError::PrivateAddress(_))),
                "{to}: {refused:?}"
            );
        }
    }

    #[test]
    fn addresses_of_this_machine_are_recognized() {
        assert!(is_own([127, 0, 0, 1].into()));
        assert!(!is_own([192, 0, 2, 1].into()));
    }

    #[tokio::test]
    async fn names_are_checked_by_their_addresses() {
        let client = Client::new(Addresses::Public, CONNECT).expect("a client");
        for host in ["localhost", "127.0.0.1", "[::1]", "169.254.169.254", "0"] {
            let url = format!("http://{host}:9/").parse().expect("an address");
            let refused = client.get(&url, 0..1).await.err();
            assert!(
                matches!(refused, Some(HttpError::PrivateAddress(_))),
                "{host}: {refused:?}"
            );
        }
    }
}
