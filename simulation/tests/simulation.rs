//! Runs the simulation with some hundred seeds.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::thread;

use videoframes_simulation::{Lines, Plan, Report, run};

/// Number of seeds.
const SEEDS: u64 = 240;
const THREADS: u64 = 2;

/// Faults, incidents and events that have to happen.
const COVERED: &[&str] = &[
    "event: abandoned job",
    "event: adoption",
    "event: cancelled at once",
    "event: claim after a crash",
    "event: crash loop",
    "event: dead-letter message",
    "event: deferral",
    "event: deleted orphan",
    "event: ended by a claim",
    "event: failed by a sweep",
    "event: held elsewhere",
    "event: idempotency conflict",
    "event: late renewal",
    "event: lost lease",
    "event: new generation",
    "event: not due",
    "event: parked",
    "event: parked behind a parked job",
    "event: redelivery of a terminal job",
    "event: release",
    "event: repeated claim",
    "event: repeated submission",
    "event: request to cancel",
    "event: result at a key of the client",
    "event: retry wait",
    "event: reuse",
    "event: stale commit",
    "event: unknown commit",
    "fault: crash after a call",
    "fault: crash before a call",
    "fault: delayed answer",
    "fault: delayed request",
    "fault: late effect",
    "fault: lost answer",
    "fault: lost request",
    "fault: panic",
    "fault: repeated effect",
    "incident: crash",
    "incident: drain",
    "incident: hanging dependency",
    "incident: lost messages",
    "incident: refusing dependency",
    "incident: replaced source",
    "incident: stalled worker",
    "incident: stepped clock",
];

fn run_seed(seed: u64) -> Report {
    run(&Plan::of_seed(seed), Lines::Discard)
}

#[test]
fn the_invariant_holds_under_every_kind_of_fault() {
    let threads: Vec<_> = (0..THREADS)
        .map(|first| {
            thread::spawn(move || {
                let seeds = (first..SEEDS).step_by(usize::try_from(THREADS).unwrap());
                seeds.map(|seed| (seed, run_seed(seed))).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut coverage: BTreeMap<&str, u64> = BTreeMap::new();
    for (seed, report) in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
        assert_eq!(
            report.violation, None,
            "run `scripts/simulate --from {seed} --seeds 1` for the shortest trace"
        );
        for (what, count) in report.coverage {
            *coverage.entry(what).or_default() += count;
        }
    }
    let missing: Vec<_> = COVERED
        .iter()
        .filter(|what| !coverage.contains_key(*what))
        .collect();
    assert!(missing.is_empty(), "not covered: {missing:?}");
}

#[test]
fn a_seed_has_the_same_effects_in_every_run() {
    for seed in 0..20 {
        assert_eq!(run_seed(seed), run_seed(seed), "seed {seed}");
    }
}

#[test]
fn a_plan_of_all_items_is_the_plan_of_the_seed() {
    for seed in 0..10 {
        let plan = Plan::of_seed(seed);
        let report = run_seed(seed);
        let whole = plan.with_only(&plan.items(&report.faults));
        assert_eq!(run(&whole, Lines::Discard).hash, report.hash, "seed {seed}");
    }
}
