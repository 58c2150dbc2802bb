//! Decides whether a tenant may start another job. Pure.

/// Returns how many jobs a tenant may start, of which `in_work` are processed; `None` for any number.
pub(crate) fn free_places(max_jobs: Option<u32>, in_work: u64) -> Option<u64> {
    max_jobs.map(|max_jobs| u64::from(max_jobs).saturating_sub(in_work))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_starts_no_more_jobs_than_its_limit() {
        for (max_jobs, in_work, expected) in [
            (None, 0, None),
            (None, u64::MAX, None),
            (Some(1), 0, Some(1)),
            (Some(1), 1, Some(0)),
            (Some(5), 3, Some(2)),
            // The limit was lowered.
            (Some(2), 9, Some(0)),
        ] {
            assert_eq!(free_places(max_jobs, in_work), expected, "{max_jobs:?} {in_work}");
        }
    }
}
