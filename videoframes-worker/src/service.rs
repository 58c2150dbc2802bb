//! The identity of this process in logs and traces.

use std::sync::OnceLock;

/// Value of `service.name`.
pub(crate) const NAME: &str = "vf-worker";
/// Value of `service.version`.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

static INSTANCE: OnceLock<String> = OnceLock::new();

/// Sets `service.instance.id`, once per process.
pub(crate) fn name_instance(owner: &str) {
    // The first name stays: a second name would split the log of one process.
    let _ = INSTANCE.set(owner.to_owned());
}

/// Returns `service.instance.id`, if set; only workers have an instance ID.
pub(crate) fn instance() -> Option<&'static str> {
    INSTANCE.get().map(String::as_str)
}
