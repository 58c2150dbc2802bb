//! A token without its secret.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Scopes, TokenHash};
use crate::clock::UnixMillis;
use crate::tenant::Tenant;

/// Maximum length of a name in bytes.
const MAX_LENGTH: usize = 64;

/// The name of a token, which logs show instead of the secret: 1 to 64 ASCII letters, digits and `._@-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenName(Arc<str>);

/// The error of an invalid name of a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name of a token has 1 to 64 letters, digits and '._@-'")]
pub struct InvalidTokenName;

impl TokenName {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenName {
    type Err = InvalidTokenName;

    fn from_str(name: &str) -> Result<Self, InvalidTokenName> {
        let is_valid = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
        match (1..=MAX_LENGTH).contains(&name.len()) && name.chars().all(is_valid) {
            true => Ok(Self(name.into())),
            false => Err(InvalidTokenName),
        }
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for TokenName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A token to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewToken {
    /// Name of the token.
    pub name: TokenName,
    /// Hash of the secret.
    pub hash: TokenHash,
    /// Scopes of the token.
    pub scopes: Scopes,
    /// Time after which the token is invalid; `None` for a token that stays valid.
    pub lifetime: Option<Duration>,
    /// Tenant of all jobs that the holder submits; `None` for any tenant.
    pub tenant: Option<Tenant>,
}

impl NewToken {
    /// Returns a token that stays valid until it is revoked.
    #[must_use]
    pub fn new(name: TokenName, hash: TokenHash, scopes: Scopes) -> Self {
        Self {
            name,
            hash,
            scopes,
            lifetime: None,
            tenant: None,
        }
    }

    /// Sets the time after which the token is invalid.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Sets the tenant of all jobs that the holder submits.
    #[must_use]
    pub fn tenant(mut self, tenant: Tenant) -> Self {
        self.tenant = Some(tenant);
        self
    }
}

/// A stored token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AccessToken {
    /// Name of the token.
    pub name: TokenName,
    /// Scopes of the token.
    pub scopes: Scopes,
    /// Time of the creation.
    pub created_at: UnixMillis,
    /// Time from which the token is invalid.
    pub expires_at: Option<UnixMillis>,
    /// Time of the last use, to the minute.
    pub last_used_at: Option<UnixMillis>,
    /// Tenant of all jobs that the holder submits; `None` for any tenant.
    pub tenant: Option<Tenant>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tokens() {
        for name in ["ci", "team.video@example-1", "a", &"x".repeat(64)] {
            assert!(name.parse::<TokenName>().is_ok(), "{name}");
        }
        for name in ["", "a b", "a/b", "ü", "a\n", &"x".repeat(65)] {
            assert_eq!(name.parse::<TokenName>(), Err(InvalidTokenName), "{name:?}");
        }
    }
}
