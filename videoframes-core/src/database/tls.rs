//! TLS of connections to Postgres.

use std::fmt;

/// The protection of connections to Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatabaseTls {
    /// TLS with a server whose certificate a known authority has issued for the host name of the address.
    VerifyFull,
    /// TLS with a server whose certificate a known authority has issued for any name.
    VerifyCa,
    /// TLS with any server: an attacker in the network can pretend to be the server.
    Require,
    /// No TLS.
    Off,
}

impl fmt::Display for DatabaseTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VerifyFull => "verify-full",
            Self::VerifyCa => "verify-ca",
            Self::Require => "require",
            Self::Off => "off",
        })
    }
}
