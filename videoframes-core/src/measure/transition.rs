//! Transitions: frames between two scenes that blend into each other, and fades.

use std::collections::VecDeque;

use super::candidates::Candidate;
use super::image::Gray;

/// Width and height of the pictures that are compared.
const SIZE: (usize, usize) = (16, 9);
/// Maximum number of pictures that are kept.
const KEPT: usize = 1 << 16;
/// Minimum mean difference of luma between the frames before and after a transition.
const CHANGE: f64 = 8.0;

/// Finds the candidates in transitions. The frames before and after a candidate arrive in the order of all frames.
#[derive(Debug)]
pub(super) struct Transitions {
    /// Small pictures of the last frames.
    recent: VecDeque<(usize, Gray)>,
    /// Number of candidates that were judged.
    judged: usize,
}

impl Transitions {
    pub(super) fn new() -> Self {
        Self {
            recent: VecDeque::new(),
            judged: 0,
        }
    }

    /// Adds the next frame. Calls `found` with the index of every candidate in a transition.
    pub(super) fn add(
        &mut self,
        frame: usize,
        luma: &Gray,
        candidates: &[Candidate],
        mut found: impl FnMut(usize),
    ) {
        self.recent.push_back((frame, luma.resized(SIZE.0, SIZE.1)));
        while let Some(candidate) = candidates
            .get(self.judged)
            .filter(|next| next.after as usize <= frame)
        {
            let known = [candidate.before, candidate.frame, candidate.after]
                .map(|frame| self.picture(frame as usize));
            if let [Some(before), Some(at), Some(after)] = known
                && is_transition(before, at, after)
            {
                found(self.judged);
            }
            self.judged += 1;
        }
        let needed = candidates
            .get(self.judged)
            .map_or(usize::MAX, |next| next.before as usize);
        while self.recent.len() > KEPT || self.recent.front().is_some_and(|(frame, _)| *frame < needed) {
            self.recent.pop_front();
        }
    }

    fn picture(&self, frame: usize) -> Option<&Gray> {
        let found = self.recent.binary_search_by_key(&frame, |(frame, _)| *frame);
        found.ok().map(|index| &self.recent[index].1)
    }
}

/// Returns whether a frame is on the way from the frame before to the frame after: the content changes, the frame differs from
/// both, and the changes add up. The changes of moving content do not add up, and a cut has no frame between.
fn is_transition(before: &Gray, at: &Gray, after: &Gray) -> bool {
    let all = difference(before, after);
    let (first, second) = (difference(before, at), difference(at, after));
    all >= CHANGE && first.min(second) >= 0.15 * all && first + second <= 1.2 * all
}

/// Returns the mean absolute difference.
fn difference(a: &Gray, b: &Gray) -> f64 {
    let pairs = a.pixels().iter().zip(b.pixels());
    let sum: u64 = pairs.map(|(a, b)| u64::from(a[0].abs_diff(b[0]))).sum();
    sum as f64 / a.pixels().len() as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn picture(luma: impl Fn(usize) -> usize) -> Gray {
        let bytes: Vec<u8> = (0..144).map(|pixel| luma(pixel) as u8).collect();
        Gray::new(16, 9, &bytes).unwrap()
    }

    /// Returns the candidates in transitions among `frames`, each compared with the frames at a distance of two.
    fn transitions(frames: &[Gray]) -> Vec<usize> {
        let last = frames.len() - 1;
        let candidate = |frame: usize| Candidate {
            frame: frame as u32,
            before: frame.saturating_sub(2) as u32,
            after: (frame + 2).min(last) as u32,
            interval: 0,
        };
        let candidates: Vec<Candidate> = (0..=last).map(candidate).collect();
        let (mut transitions, mut found) = (Transitions::new(), Vec::new());
        for (frame, luma) in frames.iter().enumerate() {
            transitions.add(frame, luma, &candidates, |index| found.push(index));
            assert!(transitions.recent.len() <= 5);
        }
        found
    }

    #[test]
    fn blends_and_fades_are_transitions_and_cuts_are_none() {
        let (a, b) = (|pixel: usize| pixel % 7 * 30, |pixel: usize| pixel % 11 * 20);
        let blend = |share: usize| picture(|pixel| (a(pixel) * (10 - share) + b(pixel) * share) / 10);
        let still = |count, share| std::iter::repeat_n(blend(share), count);
        let dissolve: Vec<Gray> = still(5, 0)
            .chain((1..10).map(blend))
            .chain(still(5, 10))
            .collect();
        assert_eq!(transitions(&dissolve), (5..14).collect::<Vec<_>>());
        let cut: Vec<Gray> = still(5, 0).chain(still(5, 10)).collect();
        assert!(transitions(&cut).is_empty());
        let fade: Vec<Gray> = (0..=10)
            .map(|share| picture(|pixel| a(pixel) * share / 10))
            .collect();
        assert_eq!(transitions(&fade), (1..10).collect::<Vec<_>>());
    }

    #[test]
    fn motion_is_no_transition() {
        let moving: Vec<Gray> = (0..10)
            .map(|step| picture(|pixel| (pixel + 3 * step) % 16 * 15))
            .collect();
        assert!(transitions(&moving).is_empty());
    }
}
