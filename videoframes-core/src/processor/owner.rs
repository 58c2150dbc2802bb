//! The owners of leases.

/// Returns a new owner for a claim of `worker`, unique among all claims, even those of the same worker.
pub(super) fn of_claim(worker: &str) -> String {
    format!("{worker}/{:08x}", fastrand::u32(..))
}

/// Returns the worker of a lease: see [`ProcessorConfig::owner`](super::ProcessorConfig::owner).
#[must_use]
pub fn worker_of(lease_owner: &str) -> &str {
    lease_owner
        .rsplit_once('/')
        .map_or(lease_owner, |(worker, _)| worker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_of_one_worker_have_different_owners() {
        let [first, second] = [0, 1].map(|_| of_claim("host/7"));
        assert_ne!(first, second);
        assert_eq!(worker_of(&first), "host/7");
        assert_eq!(worker_of("alone"), "alone");
    }
}
