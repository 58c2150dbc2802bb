//! The bytes of a source that have been read.

use std::collections::BTreeMap;

use crate::limits::READ_STRETCHES;

/// Counts distinct bytes that have been read. For a source that is read in very many pieces, bytes between two
/// pieces may count too.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    /// Disjoint, non-adjacent ranges: end by start.
    ranges: BTreeMap<u64, u64>,
}

impl Coverage {
    /// Adds the bytes in `start..end`.
    pub(super) fn add(&mut self, mut start: u64, mut end: u64) {
        if start >= end {
            return;
        }
        while let Some((&from, &to)) = self.ranges.range(..=end).next_back() {
            if to < start {
                break;
            }
            self.ranges.remove(&from);
            (start, end) = (start.min(from), end.max(to));
        }
        self.ranges.insert(start, end);
        if self.ranges.len() > READ_STRETCHES {
            self.join(start);
        }
    }

    /// Returns the number of bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.ranges.iter().map(|(start, end)| end - start).sum()
    }

    /// Joins the range at `start` with a neighbour.
    fn join(&mut self, start: u64) {
        let before = self.ranges.range(..start).next_back().map(|(&from, _)| from);
        let after = self.ranges.range(start + 1..).next().map(|(&from, _)| from);
        let (first, second) = match (before, after) {
            (Some(before), _) => (before, start),
            (None, Some(after)) => (start, after),
            (None, None) => return,
        };
        if let Some(end) = self.ranges.remove(&second) {
            self.ranges.insert(first, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(reads: &[(u64, u64)]) -> u64 {
        let mut coverage = Coverage::default();
        reads.iter().for_each(|&(start, end)| coverage.add(start, end));
        coverage.bytes()
    }

    #[test]
    fn counts_each_byte_once() {
        assert_eq!(bytes(&[]), 0);
        assert_eq!(bytes(&[(5, 5)]), 0);
        assert_eq!(bytes(&[(0, 10), (0, 10)]), 10);
        assert_eq!(bytes(&[(0, 10), (5, 20)]), 20);
        assert_eq!(bytes(&[(5, 20), (0, 10)]), 20);
        assert_eq!(bytes(&[(0, 10), (10, 20), (30, 40)]), 30);
        assert_eq!(bytes(&[(0, 10), (20, 30), (40, 50), (5, 45)]), 50);
        assert_eq!(bytes(&[(0, 100), (20, 30)]), 100);
    }

    #[test]
    fn memory_is_bounded_for_many_pieces() {
        let mut coverage = Coverage::default();
        for index in 0..READ_STRETCHES as u64 + 1000 {
            coverage.add(index * 10, index * 10 + 1);
        }
        assert!(coverage.ranges.len() <= READ_STRETCHES);
        assert!(coverage.bytes() >= READ_STRETCHES as u64 + 1000);
    }
}
