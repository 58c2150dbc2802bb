//! Decides on the TLS of connections to Postgres.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use sea_orm::sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use super::{DatabaseOptions, DatabaseTls};

/// A setting of TLS outside the options: its value, and a description for errors.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    value: String,
    shown: String,
}

/// The settings of TLS that a caller can make, and the host that they apply to.
#[derive(Debug, Default)]
struct Facts<'a> {
    /// Name or IP address of the server; `None` for a Unix socket.
    host: Option<&'a str>,
    tls: Option<DatabaseTls>,
    ca_file: Option<&'a Path>,
    /// `sslmode` of the address or the environment.
    mode: Option<Setting>,
    /// `sslrootcert` of the address or the environment.
    root_cert: Option<Setting>,
}

/// The TLS of connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TlsPlan {
    /// `None` if the address decides.
    mode: Option<DatabaseTls>,
    ca_file: Option<PathBuf>,
}

/// Two settings that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TlsConflict {
    pub(super) setting: String,
    pub(super) option: String,
}

impl TlsPlan {
    /// Decides by the options, the address and the environment variables that libpq defines.
    pub(super) fn new(
        address: &str,
        connect: &PgConnectOptions,
        options: &DatabaseOptions,
    ) -> Result<Self, TlsConflict> {
        let in_socket = connect.get_socket().is_some() || connect.get_host().starts_with('/');
        decide(&Facts {
            host: (!in_socket).then(|| connect.get_host()),
            tls: options.tls,
            ca_file: options.tls_ca_file.as_deref(),
            mode: setting(address, &["sslmode", "ssl-mode"], "PGSSLMODE"),
            root_cert: setting(
                address,
                &["sslrootcert", "ssl-root-cert", "ssl-ca"],
                "PGSSLROOTCERT",
            ),
        })
    }

    /// Returns the file of certificate authorities of the options, if any.
    pub(super) fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    pub(super) fn apply(&self, connect: PgConnectOptions) -> PgConnectOptions {
        let connect = match self.mode {
            None => connect,
            Some(DatabaseTls::VerifyFull) => connect.ssl_mode(PgSslMode::VerifyFull),
            Some(DatabaseTls::VerifyCa) => connect.ssl_mode(PgSslMode::VerifyCa),
            Some(DatabaseTls::Require) => connect.ssl_mode(PgSslMode::Require),
            Some(DatabaseTls::Off) => connect.ssl_mode(PgSslMode::Disable),
        };
        match &self.ca_file {
            Some(file) => connect.ssl_root_cert(file),
            None => connect,
        }
    }
}

/// Returns a setting of the address, else of the environment. As for the client, the last of several applies.
fn setting(address: &str, keys: &[&str], variable: &str) -> Option<Setting> {
    let url = Url::parse(address).ok()?;
    let last = url.query_pairs().filter(|(key, _)| keys.contains(&&**key)).last();
    if let Some((key, value)) = last {
        return Some(Setting {
            shown: format!("{key}={value} in the database address"),
            value: value.into_owned(),
        });
    }
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
    Some(Setting {
        shown: format!("{variable}={value}"),
        value,
    })
}

fn decide(facts: &Facts<'_>) -> Result<TlsPlan, TlsConflict> {
    let by_default = match facts.host.is_none_or(is_local) {
        // A file of authorities has no other use.
        true => facts.ca_file.map(|_| DatabaseTls::VerifyFull),
        false => Some(DatabaseTls::VerifyFull),
    };
    let mode = facts.tls.or(by_default);
    let conflict = |setting: &str, option: String| {
        Err(TlsConflict {
            setting: setting.to_owned(),
            option,
        })
    };
    if let (Some(mode), Some(setting)) = (mode, &facts.mode)
        && sslmode(&setting.value) != Some(mode)
    {
        let option = match (facts.tls, facts.host) {
            (None, Some(host)) => format!("TLS mode {mode}, the default for the host '{host}'"),
            _ => format!("TLS mode {mode}"),
        };
        return conflict(&setting.shown, option);
    }
    if let Some(file) = facts.ca_file {
        let option = format!("the CA file '{}'", file.display());
        match (mode, &facts.root_cert) {
            (Some(mode @ (DatabaseTls::Require | DatabaseTls::Off)), _) => {
                return conflict(
                    &format!("TLS mode {mode}, which verifies no certificate,"),
                    option,
                );
            }
            (_, Some(setting)) if Path::new(&setting.value) != file => {
                return conflict(&setting.shown, option);
            }
            _ => {}
        }
    }
    Ok(TlsPlan {
        mode,
        ca_file: facts.ca_file.map(Path::to_owned),
    })
}

/// Returns the equivalent of a `sslmode`. There is none for `allow` and `prefer`, which an attacker can downgrade to
/// connections without TLS.
fn sslmode(value: &str) -> Option<DatabaseTls> {
    match value.to_ascii_lowercase().as_str() {
        "disable" => Some(DatabaseTls::Off),
        "require" => Some(DatabaseTls::Require),
        "verify-ca" => Some(DatabaseTls::VerifyCa),
        "verify-full" => Some(DatabaseTls::VerifyFull),
        _ => None,
    }
}

/// Returns whether connections to `host` stay on this machine.
fn is_local(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match address.unwrap_or(host).parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DatabaseTls::{Off, Require, VerifyCa, VerifyFull};

    const REMOTE: Option<&str> = Some("db.example.com");

    fn setting_of(value: &str) -> Option<Setting> {
        Some(Setting {
            value: value.to_owned(),
            shown: format!("{value} in the address"),
        })
    }

    fn with_mode(
        host: Option<&'static str>,
        tls: Option<DatabaseTls>,
        sslmode: Option<&str>,
    ) -> Facts<'static> {
        Facts {
            host,
            tls,
            mode: sslmode.and_then(setting_of),
            ..Facts::default()
        }
    }

    #[test]
    fn hosts_other_than_this_machine_are_verified_unless_told_otherwise() {
        for (host, tls, sslmode, expected) in [
            (REMOTE, None, None, Some(VerifyFull)),
            (Some("10.0.0.7"), None, None, Some(VerifyFull)),
            (Some("0.0.0.0"), None, None, Some(VerifyFull)),
            (Some("localhost.example.com"), None, None, Some(VerifyFull)),
            (REMOTE, None, Some("verify-full"), Some(VerifyFull)),
            (REMOTE, Some(VerifyCa), None, Some(VerifyCa)),
            (REMOTE, Some(VerifyCa), Some("verify-ca"), Some(VerifyCa)),
            (REMOTE, Some(Require), Some("REQUIRE"), Some(Require)),
            (REMOTE, Some(Off), None, Some(Off)),
            (REMOTE, Some(Off), Some("disable"), Some(Off)),
            // For this machine, the address decides.
            (None, None, None, None),
            (Some("localhost"), None, None, None),
            (Some("LOCALHOST"), None, Some("prefer"), None),
            (Some("127.0.0.1"), None, Some("disable"), None),
            (Some("127.8.9.10"), None, None, None),
            (Some("::1"), None, None, None),
            (Some("[::1]"), None, Some("require"), None),
            (Some("::ffff:127.0.0.1"), None, None, None),
            (Some("localhost"), Some(VerifyFull), None, Some(VerifyFull)),
            (None, Some(Off), None, Some(Off)),
        ] {
            let facts = with_mode(host, tls, sslmode);
            assert_eq!(decide(&facts).map(|plan| plan.mode), Ok(expected), "{facts:?}");
        }
    }

    #[test]
    fn an_address_never_changes_the_mode_silently() {
        for (host, tls, sslmode, option) in [
            (
                REMOTE,
                None,
                "require",
                "the default for the host 'db.example.com'",
            ),
            (REMOTE, None, "verify-ca", "verify-full"),
            (REMOTE, None, "prefer", "verify-full"),
            (REMOTE, None, "allow", "verify-full"),
            (REMOTE, None, "disable", "verify-full"),
            (REMOTE, Some(VerifyFull), "require", "verify-full"),
            (REMOTE, Some(Require), "prefer", "require"),
            (REMOTE, Some(Require), "verify-full", "require"),
            (REMOTE, Some(Off), "require", "off"),
            (Some("localhost"), Some(VerifyFull), "disable", "verify-full"),
            (None, Some(Require), "prefer", "require"),
        ] {
            let facts = with_mode(host, tls, Some(sslmode));
            let conflict = decide(&facts).map(|plan| plan.mode);
            let conflict = conflict.expect_err(sslmode);
            assert!(conflict.setting.contains(sslmode), "{conflict:?}");
            assert!(conflict.option.contains(option), "{conflict:?}");
        }
    }

    #[test]
    fn a_ca_file_is_used_or_reported() {
        let file = Path::new("/etc/rds.pem");
        for (host, tls, root_cert, expected) in [
            (REMOTE, None, None, Ok(Some(VerifyFull))),
            (REMOTE, Some(VerifyCa), None, Ok(Some(VerifyCa))),
            (Some("localhost"), None, None, Ok(Some(VerifyFull))),
            (REMOTE, None, Some("/etc/rds.pem"), Ok(Some(VerifyFull))),
            (REMOTE, None, Some("/etc/other.pem"), Err("/etc/other.pem")),
            (REMOTE, Some(Require), None, Err("require")),
            (Some("localhost"), Some(Off), None, Err("off")),
        ] {
            let facts = Facts {
                host,
                tls,
                ca_file: Some(file),
                root_cert: root_cert.and_then(setting_of),
                ..Facts::default()
            };
            match (decide(&facts), expected) {
                (Ok(plan), Ok(mode)) => {
                    assert_eq!((plan.mode, plan.ca_file()), (mode, Some(file)), "{facts:?}");
                }
                (Err(conflict), Err(setting)) => {
                    assert!(conflict.setting.contains(setting), "{conflict:?}");
                    assert_eq!(conflict.option, "the CA file '/etc/rds.pem'");
                }
                (decided, expected) => panic!("{facts:?}: {decided:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn the_settings_of_an_address_are_read_as_the_client_reads_them() {
        let mode = |address| setting(address, &["sslmode", "ssl-mode"], "VF_TEST_UNSET");
        assert_eq!(mode("postgres://db/jobs"), None);
        let found = mode("postgres://u:p%40ss@db/jobs?sslmode=disable&host=db&ssl-mode=verify%2dca").unwrap();
        assert_eq!(found.value, "verify-ca");
        assert_eq!(found.shown, "ssl-mode=verify-ca in the database address");
    }
}
