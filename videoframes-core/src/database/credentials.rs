//! Passwords that change while a database is in use.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

/// A source of passwords for new connections.
///
/// Callers ask for the password before the first connection, when [`DatabasePassword::renew_in`] has passed, and
/// after the server refused the last password. Open connections keep working with an older password.
///
/// Implementers return the current password on every call, without caching. A call that fails has no
/// effect: the last password stays in use, and callers ask again.
///
/// A call may be cancelled at any point.
#[async_trait]
pub trait DatabaseCredentials: fmt::Debug + Send + Sync + 'static {
    /// Returns the current password.
    ///
    /// # Errors
    /// Returns the reason why there is no password. The reason is logged, and must not contain a secret.
    async fn password(&self, login: &DatabaseLogin)
    -> Result<DatabasePassword, Box<dyn Error + Send + Sync>>;
}

/// The server and the user of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseLogin {
    /// Host name or IP address, as in the address of the database.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Name of the user.
    pub user: String,
}

impl DatabaseLogin {
    /// Returns the login of `user` at `host`.
    pub fn new(host: impl Into<String>, port: u16, user: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port,
            user: user.into(),
        }
    }
}

/// A password, and the time for which it is used without a renewal.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabasePassword {
    secret: String,
    renew_in: Duration,
}

impl DatabasePassword {
    /// Returns a password that is to be renewed after `renew_in`.
    pub fn new(secret: impl Into<String>, renew_in: Duration) -> Self {
        Self {
            secret: secret.into(),
            renew_in,
        }
    }

    /// Returns the text of the password.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Returns the time after which the password is renewed.
    pub fn renew_in(&self) -> Duration {
        self.renew_in
    }
}

impl fmt::Debug for DatabasePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabasePassword")
            .field("secret", &"[redacted]")
            .field("renew_in", &self.renew_in)
            .finish()
    }
}
