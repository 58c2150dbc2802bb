//! Removes parts of a failing plan until none can be removed.

use crate::plan::{Item, Plan};
use crate::run::{Lines, run};

/// Returns the indexes of a smallest set of items with which the plan still fails (delta debugging), and the number of runs.
#[must_use]
pub fn shrink(plan: &Plan, items: &[Item]) -> (Vec<usize>, usize) {
    let mut runs = 0;
    let mut fails = |kept: &[usize]| {
        runs += 1;
        let kept: Vec<Item> = kept
            .iter()
            .filter_map(|index| items.get(*index).copied())
            .collect();
        run(&plan.with_only(&kept), Lines::Discard).violation.is_some()
    };
    let mut kept: Vec<usize> = (0..items.len()).collect();
    let mut size = kept.len().div_ceil(2).max(1);
    loop {
        let mut start = 0;
        let mut removed = false;
        while start < kept.len() {
            let end = (start + size).min(kept.len());
            let without: Vec<usize> = kept[..start].iter().chain(&kept[end..]).copied().collect();
            match fails(&without) {
                true => {
                    kept = without;
                    removed = true;
                }
                false => start = end,
            }
        }
        match (size, removed) {
            (1, false) => return (kept, runs),
            (1, true) => {}
            _ => size = size.div_ceil(2),
        }
    }
}
