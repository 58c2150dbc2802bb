//! Options of a reconciliation.

use std::time::Duration;

/// Options of a [`Reconciler`](super::Reconciler).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ReconcileOptions {
    /// Retention of terminal jobs and of their results.
    pub retention: Duration,
    /// Whether to change nothing.
    pub dry_run: bool,
    /// Prefixes of keys that clients chose for results, in addition to the keys that rows name.
    pub prefixes: Vec<String>,
}

impl ReconcileOptions {
    /// Returns the options for workers with this retention.
    #[must_use]
    pub fn new(retention: Duration) -> Self {
        Self {
            retention,
            ..Self::default()
        }
    }

    /// Sets whether to change nothing.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets prefixes of keys that clients chose for results.
    #[must_use]
    pub fn prefixes(mut self, prefixes: impl IntoIterator<Item = String>) -> Self {
        self.prefixes = prefixes.into_iter().collect();
        self
    }
}
