//! Which bytes of a source have been read.

use std::collections::BTreeMap;

use crate::limits::READ_STRETCHES;

/// The bytes that have been read, each counted once. Of a source that is read in very many pieces, bytes
/// between two of them count too.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    /// Stretches that neither overlap nor touch: end by start.
    stretches: BTreeMap<u64, u64>,
}

impl Coverage {
    /// Adds the bytes from `start` to before `end`.
    pub(super) fn add(&mut self, mut start: u64, mut end: u64) {
        if start >= end {
            return;
        }
        while let Some((&from, &to)) = self.stretches.range(..=end).next_back() {
            if to < start {
                break;
            }
            self.stretches.remove(&from);
            (start, end) = (start.min(from), end.max(to));
        }
        self.stretches.insert(start, end);
        if self.stretches.len() > READ_STRETCHES {
            self.join(start);
        }
    }

    /// The number of bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.stretches.iter().map(|(start, end)| end - start).sum()
    }

    /// Joins the stretch at `start` with a neighbour.
    fn join(&mut self, start: u64) {
        let before = self.stretches.range(..start).next_back().map(|(&from, _)| from);
        let after = self.stretches.range(start + 1..).next().map(|(&from, _)| from);
        let (first, second) = match (before, after) {
            (Some(before), _) => (before, start),
            (None, Some(after)) => (start, after),
            (None, None) => return,
        };
        if let Some(end) = self.stretches.remove(&second) {
            self.stretches.insert(first, end);
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
    fn each_byte_counts_once() {
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
    fn many_pieces_take_bounded_memory() {
        let mut coverage = Coverage::default();
        for place in 0..READ_STRETCHES as u64 + 1000 {
            coverage.add(place * 10, place * 10 + 1);
        }
        assert!(coverage.stretches.len() <= READ_STRETCHES);
        assert!(coverage.bytes() >= READ_STRETCHES as u64 + 1000);
    }
}
