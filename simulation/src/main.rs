//! Simulates the job protocol with many seeds, or replays one.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use videoframes_simulation::{Item, Lines, Plan, run, shrink};

/// Simulates the job protocol with seeded faults
#[derive(Debug, Parser)]
struct Args {
    /// Number of seeds to run
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    seeds: u64,
    /// First seed
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,
    /// Runs for this time instead of a number of seeds
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<u64>,
    /// Runs every seed twice, and compares all effects
    #[arg(long)]
    twice: bool,
    /// Replays one seed and prints its trace
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Keeps only these items of the plan of the seed
    #[arg(long, value_name = "INDEX", value_delimiter = ',', requires = "seed")]
    only: Option<Vec<usize>>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match args.seed {
        Some(seed) => replay(seed, args.only.as_deref()),
        None => search(&args),
    }
}

fn items_of(plan: &Plan) -> Vec<Item> {
    plan.items(&run(plan, Lines::Discard).faults)
}

/// Replays a seed, whole or with some items of its plan.
fn replay(seed: u64, only: Option<&[usize]>) -> ExitCode {
    let mut plan = Plan::of_seed(seed);
    if let Some(only) = only {
        let items = items_of(&plan);
        let kept: Vec<Item> = only
            .iter()
            .filter_map(|index| items.get(*index).copied())
            .collect();
        for item in &kept {
            println!("{item}");
        }
        plan = plan.with_only(&kept);
    }
    let report = run(&plan, Lines::Keep);
    for line in &report.lines {
        println!("{line}");
    }
    match report.violation {
        Some(violation) => {
            println!("VIOLATION: {violation}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

/// Runs seeds until one fails.
fn search(args: &Args) -> ExitCode {
    let began = Instant::now();
    let limit = args.minutes.map(|minutes| Duration::from_secs(minutes * 60));
    let (mut runs, mut effects, mut orders) = (0_u64, 0_u64, BTreeSet::new());
    let mut coverage: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in args.from.. {
        match limit {
            Some(limit) if began.elapsed() >= limit => break,
            None if runs >= args.seeds => break,
            _ => {}
        }
        let report = run(&Plan::of_seed(seed), Lines::Discard);
        if args.twice && run(&Plan::of_seed(seed), Lines::Discard) != report {
            println!("two runs of seed {seed} differ");
            return ExitCode::FAILURE;
        }
        runs += 1;
        effects += report.effects;
        orders.insert(report.order);
        for (what, count) in report.coverage {
            *coverage.entry(what).or_default() += count;
        }
        if let Some(violation) = report.violation {
            println!(
                "seed {seed} failed after {runs} runs and {:.1} s: {violation}",
                began.elapsed().as_secs_f64()
            );
            return minimize(seed);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let per_minute = |count: u64| count as f64 / seconds * 60.0;
    println!(
        "{runs} runs, {effects} effects and {} orders of effects in {seconds:.1} s",
        orders.len()
    );
    println!(
        "per minute: {:.0} runs, {:.0} effects, {:.0} orders of effects",
        per_minute(runs),
        per_minute(effects),
        per_minute(orders.len() as u64)
    );
    for (what, count) in coverage {
        println!("{count:>10} {what}");
    }
    ExitCode::SUCCESS
}

/// Shrinks the plan of a failing seed, and prints the trace of the smallest plan.
fn minimize(seed: u64) -> ExitCode {
    let plan = Plan::of_seed(seed);
    let items = items_of(&plan);
    let began = Instant::now();
    let (kept, runs) = shrink(&plan, &items);
    println!(
        "kept {} of {} items after {runs} runs and {:.1} s",
        kept.len(),
        items.len(),
        began.elapsed().as_secs_f64()
    );
    let _ = replay(seed, Some(&kept));
    let kept: Vec<String> = kept.iter().map(usize::to_string).collect();
    println!("replay: scripts/simulate --seed {seed} --only {}", kept.join(","));
    ExitCode::FAILURE
}
