//! Samples that wanted samples need.

/// Reference to a sample before the first sample of a group.
pub(crate) const OUTSIDE: usize = usize::MAX;

/// Returns for each sample whether a wanted sample needs it, directly or through other samples. Returns `None` if a
/// needed sample refers to a sample that is not in the list.
pub fn closure(references: &[Vec<usize>], wanted: &[bool]) -> Option<Vec<bool>> {
    let mut needed = vec![false; references.len()];
    let mut open: Vec<usize> = (0..references.len())
        .filter(|&at| wanted.get(at) == Some(&true))
        .collect();
    while let Some(at) = open.pop() {
        if !std::mem::replace(needed.get_mut(at)?, true) {
            open.extend_from_slice(references.get(at)?);
        }
    }
    Some(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_references_of_references() {
        let references = [vec![], vec![0], vec![0, 1], vec![0], vec![3, 2], vec![OUTSIDE]];
        let needed = |wanted: usize| {
            let wanted: Vec<bool> = (0..6).map(|at| at == wanted).collect();
            let needed = closure(&references, &wanted)?;
            Some((0..6).filter(|&at| needed[at]).collect::<Vec<_>>())
        };
        for (wanted, expected) in [
            (0, vec![0]),
            (1, vec![0, 1]),
            (2, vec![0, 1, 2]),
            (3, vec![0, 3]),
            (4, vec![0, 1, 2, 3, 4]),
        ] {
            assert_eq!(needed(wanted), Some(expected));
        }
        assert_eq!(needed(5), None);
        assert_eq!(needed(6), Some(vec![]));
    }
}
