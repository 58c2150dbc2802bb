//! Headers of requests.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use videoframes_core::trace::TraceContext;

use super::invalid::InvalidRequest;

/// Header with a key that makes repetitions of a request the same job.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Maximum length of an idempotency key in bytes.
const KEY_BYTES: usize = 256;
/// Header in which proxies name their clients.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Returns the key that the client chose for its job.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, InvalidRequest> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let text = value
        .to_str()
        .ok()
        .filter(|text| (1..=KEY_BYTES).contains(&text.len()));
    let invalid = || {
        InvalidRequest::new(format!(
            "Idempotency-Key: must have 1 to {KEY_BYTES} ASCII characters"
        ))
    };
    text.map(|text| Some(text.to_owned())).ok_or_else(invalid)
}

/// Returns the trace of the client.
pub(crate) fn parent(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    TraceContext::new(text(TraceContext::TRACEPARENT)?, text(TraceContext::TRACESTATE))
}

/// Returns whether the body is JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = media_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// Returns the secret in the headers of a request: of the bearer token, else of the cookie.
pub(crate) fn presented_secret<'a>(headers: &'a HeaderMap, cookie: &str) -> Option<&'a str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then_some(token.trim());
    }
    let cookies = headers.get_all(header::COOKIE).iter();
    let mut pairs = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == cookie).then_some(value))
}

/// Returns the client of a trusted proxy: the last address that the proxy added to `X-Forwarded-For`. Earlier
/// addresses come from the client.
pub(crate) fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all(FORWARDED_FOR).iter().next_back()?.to_str().ok()?;
    let address = last.rsplit(',').next()?.trim();
    // Some proxies add the port.
    let with_port = || address.parse::<SocketAddr>().ok().map(|address| address.ip());
    address.parse().ok().or_else(with_port)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_bearer_token_or_a_cookie() {
        for (name, value, expected) in [
            ("authorization", "Bearer vft_a", Some("vft_a")),
            ("authorization", "bearer  vft_a ", Some("vft_a")),
            ("authorization", "Basic dXNlcjpw", None),
            ("authorization", "vft_a", None),
            ("cookie", "a=b; vf_session=vft_a; c=d", Some("vft_a")),
            ("cookie", "__Host-vf_session=vft_a", None),
            ("cookie", "xvf_session=vft_a", None),
            ("cookie", "", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(
                presented_secret(&headers, "vf_session"),
                expected,
                "{name}: {value}"
            );
        }
        let mut both = HeaderMap::new();
        both.insert("authorization", "Basic x".parse().unwrap());
        both.insert("cookie", "vf_session=vft_a".parse().unwrap());
        assert_eq!(
            presented_secret(&both, "vf_session"),
            None,
            "the header has precedence"
        );
    }

    #[test]
    fn a_client_cannot_forge_its_address() {
        for (values, expected) in [
            (&["192.0.2.1"][..], Some("192.0.2.1")),
            (&["198.51.100.7, 192.0.2.1"], Some("192.0.2.1")),
            (&["198.51.100.7", "2001:db8::1"], Some("2001:db8::1")),
            (&["198.51.100.7, 192.0.2.1:5678"], Some("192.0.2.1")),
            (&["[2001:db8::1]:5678"], Some("2001:db8::1")),
            (&["192.0.2.1, unknown"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(FORWARDED_FOR, value.parse().unwrap());
            }
            let found = forwarded(&headers).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{values:?}");
        }
    }
}
