//! Checks of every request before its handler: host, site of origin, and proxies.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};

use super::identity::Mode;
use super::problem::Problem;

/// Headers that proxies add.
const OF_PROXIES: [&str; 4] = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];

/// The host names and sites from which requests are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Guard {
    pub(super) mode: Mode,
    /// Configured host names, in lower case.
    pub(super) hosts: Vec<String>,
}

impl Guard {
    /// Fails for a request that a browser sent on behalf of another site, or that reached the port by another name.
    pub(super) fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let host = uri
            .authority()
            .map_or_else(|| text("host"), |authority| Some(authority.as_str()));
        let host = host.unwrap_or_default();
        if !self.accepts_host(host) {
            let detail = "the port does not have this host name: VF_HTTP_HOSTS lists the names of the port";
            return Err(Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "unknown_host",
                detail,
            ));
        }
        if self.mode == Mode::Open && OF_PROXIES.iter().any(|name| headers.contains_key(*name)) {
            let detail = "requests through a proxy need access tokens: set VF_HTTP_AUTH=tokens";
            return Err(Problem::new(StatusCode::FORBIDDEN, "proxy_refused", detail));
        }
        let other_site = || {
            Problem::new(
                StatusCode::FORBIDDEN,
                "cross_site",
                "the request comes from another site",
            )
        };
        let is_safe = matches!(*method, Method::GET | Method::HEAD);
        let site = text("sec-fetch-site");
        // A link on another site may open the page.
        let is_navigation = is_safe && text("sec-fetch-mode") == Some("navigate");
        if !matches!(site, None | Some("same-origin" | "none")) && !is_navigation {
            return Err(other_site());
        }
        match text(header::ORIGIN.as_str()) {
            Some(origin) if !is_safe && !self.is_own_origin(origin, host) => Err(other_site()),
            _ => Ok(()),
        }
    }

    fn accepts_host(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        if self.hosts.contains(&name) {
            return true;
        }
        let address = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        match self.mode {
            // A name that another site controls may resolve to a loopback address (DNS rebinding).
            Mode::Open => name == "localhost" || address.is_ok_and(|address| address.is_loopback()),
            Mode::Tokens => self.hosts.is_empty() || address.is_ok() || name == "localhost",
        }
    }

    fn is_own_origin(&self, origin: &str, host: &str) -> bool {
        let Some((_, origin)) = origin.split_once("://") else {
            return false;
        };
        // A proxy may pass its own name as the host.
        origin.eq_ignore_ascii_case(host) || self.hosts.contains(&without_port(origin).to_ascii_lowercase())
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(mode: Mode, hosts: &[&str], method: Method, headers: &[(&str, &str)]) -> Result<(), u16> {
        let guard = Guard {
            mode,
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(
                header::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        let checked = guard.check(&method, &"/api/v1/jobs".parse().unwrap(), &map);
        checked.map_err(|problem| {
            axum::response::IntoResponse::into_response(problem)
                .status()
                .as_u16()
        })
    }

    #[test]
    fn names_of_other_sites_are_refused() {
        for (mode, hosts, host, expected) in [
            (Mode::Open, &[][..], "127.0.0.1:9465", Ok(())),
            (Mode::Open, &[], "localhost:9465", Ok(())),
            (Mode::Open, &[], "LOCALHOST", Ok(())),
            (Mode::Open, &[], "[::1]:9465", Ok(())),
            (Mode::Open, &[], "attacker.example:9465", Err(421)),
            (Mode::Open, &[], "localhost.attacker.example", Err(421)),
            (Mode::Open, &[], "192.0.2.1", Err(421)),
            (Mode::Open, &[], "", Err(421)),
            (Mode::Open, &["jobs.example"], "Jobs.example:80", Ok(())),
            (Mode::Tokens, &[], "any.example", Ok(())),
            (Mode::Tokens, &["jobs.example"], "any.example", Err(421)),
            (Mode::Tokens, &["jobs.example"], "192.0.2.1:443", Ok(())),
        ] {
            assert_eq!(
                check(mode, hosts, Method::GET, &[("host", host)]),
                expected,
                "{mode:?} {host}"
            );
        }
    }

    #[test]
    fn requests_of_other_sites_are_refused() {
        let host = ("host", "localhost:1");
        for (method, headers, expected) in [
            (Method::POST, vec![], Ok(())),
            (Method::POST, vec![("origin", "http://localhost:1")], Ok(())),
            (Method::POST, vec![("origin", "http://localhost:2")], Err(403)),
            (
                Method::POST,
                vec![("origin", "http://attacker.example")],
                Err(403),
            ),
            (Method::POST, vec![("origin", "null")], Err(403)),
            (Method::POST, vec![("sec-fetch-site", "cross-site")], Err(403)),
            (Method::POST, vec![("sec-fetch-site", "same-site")], Err(403)),
            (Method::POST, vec![("sec-fetch-site", "same-origin")], Ok(())),
            (Method::GET, vec![("sec-fetch-site", "cross-site")], Err(403)),
            (
                Method::GET,
                vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
                Ok(()),
            ),
            (
                Method::POST,
                vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
                Err(403),
            ),
            (Method::GET, vec![("x-forwarded-for", "192.0.2.1")], Err(403)),
        ] {
            let all: Vec<_> = [host].into_iter().chain(headers.clone()).collect();
            assert_eq!(
                check(Mode::Open, &[], method.clone(), &all),
                expected,
                "{method} {headers:?}"
            );
        }
        let proxied = [
            ("host", "10.0.0.1:80"),
            ("origin", "https://jobs.example"),
            ("via", "1.1 proxy"),
        ];
        assert_eq!(
            check(Mode::Tokens, &["jobs.example"], Method::POST, &proxied),
            Ok(())
        );
        assert_eq!(check(Mode::Tokens, &[], Method::POST, &proxied), Err(403));
    }
}
