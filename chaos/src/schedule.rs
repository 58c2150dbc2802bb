//! The schedule of a run: a pure function of seed and duration.

use std::time::Duration;

use fastrand::Rng;

use crate::injection::{Injection, Weight};

/// Maximum duration of a round, which has every kind of injection once.
const ROUND: Duration = Duration::from_secs(120);

/// A scheduled injection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Timed {
    /// Time since the start of the load.
    pub(crate) at: Duration,
    pub(crate) injection: Injection,
    /// Random number that chooses the target among those that exist at that time.
    pub(crate) pick: u32,
}

/// Returns the injections of a run, ordered by time. Long runs consist of rounds in different orders.
pub(crate) fn schedule(seed: u64, duration: Duration) -> Vec<Timed> {
    let mut rng = Rng::with_seed(seed);
    let rounds = (duration.as_secs_f64() / ROUND.as_secs_f64()).ceil().max(1.0);
    let length = duration.div_f64(rounds);
    let mut schedule = Vec::new();
    for round in 0..rounds as u32 {
        let (heavy, light): (Vec<_>, Vec<_>) = Injection::all()
            .into_iter()
            .partition(|injection| injection.weight() == Weight::Heavy);
        // A heavy injection takes longer than a light one, and must end before the run does.
        for (injections, part) in [(heavy, 0.75), (light, 0.85)] {
            place(
                &mut rng,
                injections,
                length.mul_f64(part),
                length * round,
                &mut schedule,
            );
        }
    }
    schedule.sort_by_key(|timed| timed.at);
    schedule
}

/// Spreads shuffled injections evenly, each at a random time within its share of `length`.
fn place(
    rng: &mut Rng,
    mut injections: Vec<Injection>,
    length: Duration,
    from: Duration,
    schedule: &mut Vec<Timed>,
) {
    rng.shuffle(&mut injections);
    let share = length / injections.len() as u32;
    for (index, injection) in injections.into_iter().enumerate() {
        schedule.push(Timed {
            at: from + share * index as u32 + share.mul_f64(rng.f64()),
            injection,
            pick: rng.u32(..),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEDS: std::ops::Range<u64> = 0..50;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule() {
        assert_eq!(schedule(7, minutes(10)), schedule(7, minutes(10)));
        assert_ne!(schedule(7, minutes(10)), schedule(8, minutes(10)));
    }

    #[test]
    fn every_kind_occurs_within_the_run_in_order() {
        for (seed, duration) in SEEDS.flat_map(|seed| [1, 2, 3, 60].map(|length| (seed, minutes(length)))) {
            let schedule = schedule(seed, duration);
            for kind in Injection::all() {
                assert!(
                    schedule.iter().any(|timed| timed.injection == kind),
                    "{seed}: {kind:?}"
                );
            }
            assert!(schedule.is_sorted_by_key(|timed| timed.at), "{seed}");
            assert!(schedule.iter().all(|timed| timed.at < duration), "{seed}");
        }
    }

    #[test]
    fn long_runs_repeat_every_kind_in_another_order() {
        let hour = schedule(3, minutes(60));
        let per_round = Injection::all().len();
        assert_eq!(hour.len(), 30 * per_round);
        let order = |round: usize| -> Vec<Injection> {
            let round = &hour[round * per_round..][..per_round];
            round.iter().map(|timed| timed.injection).collect()
        };
        assert_ne!(order(0), order(1));
    }
}
