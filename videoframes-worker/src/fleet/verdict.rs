//! Decides whether a revision is healthy. Pure.

use super::args::RequirementArgs;
use super::tally::Tally;

/// Number of jobs from which shares of failed jobs are compared.
const MIN_JOBS: u64 = 5;

/// The health of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All requirements are met.
    Healthy,
    /// A requirement is not met yet, for this reason.
    Waiting(String),
    /// A limit is exceeded, for this reason.
    Unhealthy(String),
}

/// Judges a revision by its numbers and by those of all other revisions.
pub(super) fn verdict(revision: Tally, others: Tally, require: &RequirementArgs) -> Verdict {
    let faults = revision.ended.faults;
    if revision.lost + faults > require.max_faults {
        let lost = revision.lost;
        return Verdict::Unhealthy(format!(
            "{lost} lost {}, {faults} {} with a fault of the system",
            plural(lost, "worker"),
            plural(faults, "attempt")
        ));
    }
    let (failed, usual) = (revision.failed_percent(), others.failed_percent());
    if revision.jobs() >= MIN_JOBS && failed > usual + f64::from(require.max_failed.percent()) {
        return Verdict::Unhealthy(format!(
            "{failed:.0} % of {} jobs failed, {usual:.0} % in other revisions",
            revision.jobs()
        ));
    }
    if revision.ready < require.workers {
        let (ready, workers) = (revision.ready, require.workers);
        let verb = if workers == 1 { "is" } else { "are" };
        return Verdict::Waiting(format!(
            "{ready} of {workers} {} {verb} ready",
            plural(workers, "worker")
        ));
    }
    if revision.jobs() < require.jobs {
        let (jobs, expected) = (revision.jobs(), require.jobs);
        return Verdict::Waiting(format!("{jobs} of {expected} {} ended", plural(expected, "job")));
    }
    Verdict::Healthy
}

fn plural(count: u64, noun: &str) -> String {
    match count {
        1 => noun.to_owned(),
        _ => format!("{noun}s"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use videoframes_core::fleet::EndedAttempts;

    use super::*;

    /// Ready workers, lost workers, completed and failed jobs, faults.
    fn tally([ready, lost, completed, failed, faults]: [u64; 5]) -> Tally {
        let mut ended = EndedAttempts::default();
        (ended.completed, ended.failed, ended.faults) = (completed, failed, faults);
        Tally {
            ready,
            lost,
            ended,
            ..Tally::default()
        }
    }

    #[test]
    fn verdicts_by_the_numbers_of_a_revision() {
        let require = RequirementArgs {
            workers: 2,
            jobs: 3,
            max_faults: 1,
            max_failed: "20%".parse().unwrap(),
        };
        for (revision, others, expected) in [
            ([2, 0, 3, 0, 0], [2, 0, 9, 1, 0], "healthy"),
            ([0, 0, 0, 0, 0], [2, 0, 9, 1, 0], "0 of 2 workers are ready"),
            ([1, 0, 9, 0, 0], [2, 0, 9, 1, 0], "1 of 2 workers are ready"),
            ([2, 0, 2, 0, 0], [2, 0, 9, 1, 0], "2 of 3 jobs ended"),
            // A limit comes before a requirement.
            (
                [0, 2, 0, 0, 0],
                [0; 5],
                "unhealthy: 2 lost workers, 0 attempts with a fault of the system",
            ),
            (
                [2, 1, 9, 0, 1],
                [0; 5],
                "unhealthy: 1 lost worker, 1 attempt with a fault of the system",
            ),
            ([2, 1, 9, 0, 0], [0; 5], "healthy"),
            ([2, 0, 9, 0, 1], [0; 5], "healthy"),
            // The inputs are as bad for the other revisions.
            ([2, 0, 5, 5, 0], [2, 0, 6, 4, 0], "healthy"),
            (
                [2, 0, 5, 5, 0],
                [2, 0, 9, 1, 0],
                "unhealthy: 50 % of 10 jobs failed, 10 % in other revisions",
            ),
            (
                [2, 0, 0, 5, 0],
                [0; 5],
                "unhealthy: 100 % of 5 jobs failed, 0 % in other revisions",
            ),
            // Too few jobs for a comparison.
            ([2, 0, 0, 4, 0], [0; 5], "healthy"),
        ] {
            let found = match verdict(tally(revision), tally(others), &require) {
                Verdict::Healthy => "healthy".to_owned(),
                Verdict::Waiting(reason) => reason,
                Verdict::Unhealthy(reason) => format!("unhealthy: {reason}"),
            };
            assert_eq!(found, expected, "{revision:?} {others:?}");
        }
    }
}
