//! The name of a tenant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Maximum length of a name in bytes.
const NAME_BYTES: usize = 64;

/// The tenant of a job: the client for whom the job is processed.
///
/// A name has 1 to 64 characters of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`. Jobs without a name have a common tenant,
/// the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(String);

/// Error for a text that is not the name of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a string of 1 to {NAME_BYTES} letters (A-Z, a-z), digits, dots, underscores and hyphens")]
pub struct InvalidTenant;

impl Tenant {
    /// Returns the name; `None` for the tenant of jobs without a name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        (!self.is_unnamed()).then_some(self.0.as_str())
    }

    /// Returns the name; an empty text for the tenant of jobs without a name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the tenant of jobs without a name.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the tenant of a stored row, in which a name is valid or empty.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn stored(name: &str) -> Self {
        name.parse().unwrap_or_default()
    }
}

impl FromStr for Tenant {
    type Err = InvalidTenant;

    fn from_str(name: &str) -> Result<Self, InvalidTenant> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_valid = (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(is_allowed);
        is_valid.then(|| Self(name.to_owned())).ok_or(InvalidTenant)
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// As a string, or null for the tenant of jobs without a name.
impl Serialize for Tenant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.name().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Tenant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            Some(name) => name.parse().map_err(serde::de::Error::custom),
            None => Ok(Self::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for name in ["a", "Acme-2.eu_west", &"x".repeat(64)] {
            assert_eq!(
                name.parse::<Tenant>().ok().as_ref().map(Tenant::as_str),
                Some(name)
            );
        }
        for name in ["", "a b", "a/b", "ü", "a\n", &"x".repeat(65)] {
            assert_eq!(name.parse::<Tenant>(), Err(InvalidTenant), "{name:?}");
        }
        assert_eq!(Tenant::default().name(), None);
    }
}
