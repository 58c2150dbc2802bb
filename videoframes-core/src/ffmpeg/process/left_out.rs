//! References that a decoder reports missing because their samples were left out on purpose.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Pictures that stay available for reference in a stream, but that no fed picture uses, so that their samples were
/// not fed. A decoder reports each of them missing, and may mark the pictures that do not use them as corrupt.
#[derive(Debug, Default)]
pub(crate) struct LeftOut(Mutex<Option<Counts>>);

/// Number of expected reports, by picture order count.
type Counts = HashMap<i64, usize>;

impl LeftOut {
    /// Adds the reports that the next samples cause. From then on every other report is damage.
    pub(crate) fn add(&self, orders: &[i64]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counts.get_or_insert_default();
        for &order in orders {
            *counts.entry(order).or_default() += 1;
        }
    }

    /// Returns whether a report is expected, or nothing is known about expected reports. Counts the report.
    pub(crate) fn explains(&self, order: i64) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(counts) = counts.as_mut() else {
            return true;
        };
        match counts.get_mut(&order) {
            Some(rest @ 1..) => {
                *rest -= 1;
                true
            }
            _ => false,
        }
    }

    /// Returns whether pictures may be marked as corrupt although all their references were fed. A decoder marks a
    /// picture only after a report, and [`Self::explains`] checks each.
    pub(crate) fn marks_pictures(&self) -> bool {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.as_ref().is_some_and(|counts| !counts.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explains_each_expected_report_once() {
        let left_out = LeftOut::default();
        assert!(left_out.explains(1) && !left_out.marks_pictures());
        left_out.add(&[]);
        assert!(!left_out.explains(1) && !left_out.marks_pictures());
        left_out.add(&[1, -2, 1]);
        assert!(left_out.marks_pictures());
        let explained = [1, -2, 1, 1, -2, 2].map(|order| left_out.explains(order));
        assert_eq!(explained, [true, true, true, false, false, false]);
        assert!(left_out.marks_pictures(), "marks follow reports");
    }
}
