//! Weights and limits of tenants.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::{Priority, Share, Tenant, Weight};

/// Maximum number of tenants with their own terms.
const MAX_TENANTS: usize = 100_000;

/// Weight and limit of a tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantTerms {
    /// Weight of the tenant.
    pub weight: Weight,
    /// Maximum number of jobs that are processed at once; unlimited by default.
    pub max_jobs: Option<u32>,
}

/// Weights and limits of tenants, with defaults for all others. Clones are cheap.
///
/// In JSON: `{"default": {"max_jobs": 10}, "tenants": {"acme": {"weight": 5, "max_jobs": 50}}}`. All members are
/// optional: a weight is 1 to 1000, and 1 by default. `default` applies to every tenant that `tenants` does not name,
/// including jobs without a tenant. A named tenant does not inherit from `default`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tenants {
    shared: Arc<Shared>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Shared {
    default: TenantTerms,
    tenants: BTreeMap<String, TenantTerms>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    default: Terms,
    #[serde(default)]
    tenants: BTreeMap<String, Terms>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    weight: Option<u32>,
    max_jobs: Option<u32>,
}

impl Terms {
    fn checked(&self, place: &str) -> Result<TenantTerms, String> {
        let weight = self.weight.map_or(Some(Weight::default()), Weight::new);
        let weight = weight.ok_or_else(|| format!("{place}.weight: must be 1 to {}", Weight::MAX))?;
        if self.max_jobs == Some(0) {
            return Err(format!("{place}.max_jobs: must be at least 1"));
        }
        Ok(TenantTerms {
            weight,
            max_jobs: self.max_jobs,
        })
    }
}

impl Tenants {
    /// Parses weights and limits.
    ///
    /// # Errors
    /// Returns the path of the invalid value, and the reason.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let file: Result<File, _> = serde_path_to_error::deserialize(&mut deserializer);
        let file = file.map_err(|error| match error.path().to_string().as_str() {
            "." => error.inner().to_string(),
            path => format!("{path}: {}", error.inner()),
        })?;
        deserializer.end().map_err(|error| error.to_string())?;
        if file.tenants.len() > MAX_TENANTS {
            return Err(format!("tenants: must have at most {MAX_TENANTS} members"));
        }
        let mut tenants = BTreeMap::new();
        for (name, terms) in &file.tenants {
            let place = format!("tenants.{name:?}");
            let tenant: Tenant = name.parse().map_err(|error| format!("{place}: {error}"))?;
            tenants.insert(tenant.as_str().to_owned(), terms.checked(&place)?);
        }
        let shared = Shared {
            default: file.default.checked("default")?,
            tenants,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Returns weight and limit of a tenant.
    #[must_use]
    pub fn terms(&self, tenant: &Tenant) -> TenantTerms {
        let named = self.shared.tenants.get(tenant.as_str());
        named.copied().unwrap_or(self.shared.default)
    }

    /// Returns the share of a message.
    #[must_use]
    pub fn share(&self, tenant: &Tenant, priority: Priority) -> Share {
        Share::new(tenant.clone(), priority).weight(self.terms(tenant).weight)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_named_tenant_has_its_own_terms() {
        let text =
            r#"{"default": {"max_jobs": 2}, "tenants": {"acme": {"weight": 5}, "b": {"max_jobs": 9}}}"#;
        let tenants = Tenants::from_json(text).unwrap();
        let terms = |name: &str| {
            let terms = tenants.terms(&name.parse().unwrap_or_default());
            (terms.weight.get(), terms.max_jobs)
        };
        assert_eq!(terms("acme"), (5, None));
        assert_eq!(terms("b"), (1, Some(9)));
        assert_eq!(terms("other"), (1, Some(2)));
        assert_eq!(terms(""), (1, Some(2)), "jobs without a tenant");
        assert_eq!(Tenants::from_json("{}").unwrap(), Tenants::default());
    }

    #[test]
    fn invalid_terms_are_rejected_with_their_path() {
        for (text, word) in [
            ("7", "invalid type"),
            ("{} {}", "trailing"),
            (r#"{"defaults": {}}"#, "defaults"),
            (r#"{"default": {"weight": 0}}"#, "default.weight"),
            (r#"{"default": {"max_jobs": 0}}"#, "default.max_jobs"),
            (r#"{"tenants": {"a": {"weight": 1001}}}"#, "tenants.\"a\".weight"),
            (r#"{"tenants": {"a": {"weight": -1}}}"#, "tenants.a.weight"),
            (r#"{"tenants": {"a b": {}}}"#, "tenants.\"a b\""),
        ] {
            let wrong = Tenants::from_json(text).unwrap_err();
            assert!(wrong.contains(word), "{text}: {wrong}");
        }
    }
}
