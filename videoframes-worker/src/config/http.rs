//! Settings of the HTTP port. The fuzz target `configuration` includes this file.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use super::values::{Reader, count, on_off};

/// Default address with `--local`.
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9465);

/// Who may send requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpAuth {
    /// The holder of an access token, within its scopes.
    Tokens,
    /// Every program on this machine.
    Open,
}

/// Files of the certificate for TLS, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The certificate with its chain.
    pub(crate) certificates: PathBuf,
    pub(crate) key: PathBuf,
}

/// Settings of the HTTP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpSettings {
    pub(crate) listen: SocketAddr,
    /// Whether the address is the default with `--local`, which may be in use.
    pub(crate) is_default: bool,
    pub(crate) auth: HttpAuth,
    /// Host names by which clients reach the port, in lower case.
    pub(crate) hosts: Vec<String>,
    pub(crate) tls: Option<TlsFiles>,
    /// Whether all clients connect through a proxy, which terminates TLS.
    pub(crate) behind_proxy: bool,
    /// Maximum number of requests per second and client.
    pub(crate) rate: NonZeroU32,
}

impl HttpSettings {
    /// Reads the settings; `None` if the port is off.
    pub(super) fn read(is_local: bool, read: &mut Reader) -> Option<Self> {
        let listen = read.optional("VF_HTTP_LISTEN", listen);
        let auth = read.optional("VF_HTTP_AUTH", auth);
        let hosts = read.optional("VF_HTTP_HOSTS", hosts).unwrap_or_default();
        let certificates = read.optional("VF_HTTP_TLS_CERT_FILE", |text| Ok(PathBuf::from(text)));
        let key = read.optional("VF_HTTP_TLS_KEY_FILE", |text| Ok(PathBuf::from(text)));
        let behind_proxy = read.get("VF_HTTP_BEHIND_PROXY", on_off);
        let rate = read.get("VF_HTTP_RATE", count::<u32>);
        let (address, is_default) = match (listen, is_local) {
            (Some(listen), _) => (listen, false),
            (None, true) => (Some(LOCAL), true),
            (None, false) => (None, false),
        };
        if certificates.is_some() != key.is_some() {
            read.record("VF_HTTP_TLS_CERT_FILE and VF_HTTP_TLS_KEY_FILE must both be set");
        }
        let settings = Self {
            listen: address?,
            is_default,
            auth: auth.unwrap_or(match is_local {
                true => HttpAuth::Open,
                false => HttpAuth::Tokens,
            }),
            hosts,
            tls: certificates
                .zip(key)
                .map(|(certificates, key)| TlsFiles { certificates, key }),
            behind_proxy,
            rate: NonZeroU32::new(rate).unwrap_or(NonZeroU32::MIN),
        };
        if let Err(problem) = settings.check() {
            read.record(problem);
        }
        Some(settings)
    }

    /// Refuses settings under which anyone could read tokens or send requests.
    fn check(&self) -> Result<(), &'static str> {
        if self.auth == HttpAuth::Open && (!self.listen.ip().is_loopback() || self.behind_proxy) {
            return Err(
                "VF_HTTP_AUTH=open allows every client: VF_HTTP_LISTEN must be a loopback address, without a proxy",
            );
        }
        if !self.listen.ip().is_loopback() && self.tls.is_none() && !self.behind_proxy {
            return Err(
                "VF_HTTP_LISTEN is not a loopback address: set VF_HTTP_TLS_CERT_FILE and VF_HTTP_TLS_KEY_FILE, or \
                 VF_HTTP_BEHIND_PROXY=on if a proxy terminates TLS",
            );
        }
        Ok(())
    }
}

fn listen(text: &str) -> Result<Option<SocketAddr>, String> {
    match text {
        "off" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| "IP:PORT or off".to_owned()),
    }
}

fn auth(text: &str) -> Result<HttpAuth, String> {
    match text {
        "tokens" => Ok(HttpAuth::Tokens),
        "open" => Ok(HttpAuth::Open),
        _ => Err("tokens or open".to_owned()),
    }
}

fn hosts(text: &str) -> Result<Vec<String>, String> {
    let is_name = |name: &str| {
        let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        !name.is_empty() && name.chars().all(is_valid)
    };
    let names: Vec<String> = text
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    match names.iter().all(|name| is_name(name)) {
        true => Ok(names),
        false => Err("a list of host names without ports, separated by commas".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(is_local: bool, values: &[(&str, &str)]) -> Result<Option<HttpSettings>, String> {
        let values = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut read = Reader::new(values.collect());
        let settings = HttpSettings::read(is_local, &mut read);
        let errors = read.into_errors();
        match errors.is_empty() {
            true => Ok(settings),
            false => Err(errors.join("\n")),
        }
    }

    #[test]
    fn the_port_is_off_by_default_and_open_on_loopback_with_local() {
        assert_eq!(of(false, &[]), Ok(None));
        assert_eq!(of(true, &[("VF_HTTP_LISTEN", "off")]), Ok(None));
        let local = of(true, &[]).ok().flatten();
        let local = local.map(|settings| (settings.listen, settings.is_default, settings.auth));
        assert_eq!(local, Some((LOCAL, true, HttpAuth::Open)));
        let deployed = of(false, &[("VF_HTTP_LISTEN", "127.0.0.1:80")]).ok().flatten();
        let deployed = deployed.map(|settings| (settings.is_default, settings.auth));
        assert_eq!(deployed, Some((false, HttpAuth::Tokens)));
    }

    #[test]
    fn other_machines_need_tokens_and_tls() {
        let (all, tls) = (
            ("VF_HTTP_LISTEN", "0.0.0.0:443"),
            [
                ("VF_HTTP_TLS_CERT_FILE", "c.pem"),
                ("VF_HTTP_TLS_KEY_FILE", "k.pem"),
            ],
        );
        for (values, expected) in [
            (vec![all], Some("not a loopback address")),
            (vec![all, tls[0]], Some("must both be set")),
            (vec![all, tls[0], tls[1]], None),
            (vec![all, ("VF_HTTP_BEHIND_PROXY", "on")], None),
            (
                vec![all, tls[0], tls[1], ("VF_HTTP_AUTH", "open")],
                Some("allows every client"),
            ),
            (
                vec![
                    ("VF_HTTP_BEHIND_PROXY", "on"),
                    ("VF_HTTP_AUTH", "open"),
                    ("VF_HTTP_LISTEN", "127.0.0.1:1"),
                ],
                Some("allows every client"),
            ),
            (vec![all, ("VF_HTTP_HOSTS", "a.example:8")], Some("without ports")),
        ] {
            let error = of(false, &values).err();
            let shown = error.as_deref().unwrap_or("no error");
            assert_eq!(error.is_some(), expected.is_some(), "{values:?}: {shown}");
            assert!(
                shown.contains(expected.unwrap_or("no error")),
                "{values:?}: {shown}"
            );
        }
    }
}
