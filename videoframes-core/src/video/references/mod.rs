//! Which samples of a group a decoder needs for wanted pictures, decided from the headers of the samples.
//!
//! A sample that is left out must not change any picture that is kept. All functions return `None` where that is not
//! certain; all samples are needed then.

mod av1;
mod hevc;

use super::mp4::configuration_box;
use super::{Coding, Track};

/// Reference to a sample before the first sample of a group.
pub(crate) const OUTSIDE: usize = usize::MAX;

/// Returns the configuration for [`references`]: the content of `hvcC` or `av1C`. Returns `None` for a codec without
/// inspected references.
pub(crate) fn configuration(track: &Track) -> Option<&[u8]> {
    let kind = match track.coding {
        Coding::Hevc { .. } => b"hvcC",
        // Of these codecs, only AV1 has this box.
        Coding::Opaque => b"av1C",
        Coding::H264 { .. } => return None,
    };
    configuration_box(&track.sample_description, kind)
}

/// Returns for each sample the indices of the samples that it needs, or [`OUTSIDE`]. The decoder keeps no picture from
/// before the first sample. `configuration` is the content of the box named by [`configuration_box`].
pub(crate) fn references(coding: Coding, configuration: &[u8], samples: &[&[u8]]) -> Option<Vec<Vec<usize>>> {
    match coding {
        Coding::Hevc { .. } => hevc::references(configuration, samples),
        Coding::Opaque => {
            let mut references = av1::references(configuration, samples)?;
            // The first sample contains the sequence header, which pictures without references need too.
            for needed in references.iter_mut().skip(1) {
                needed.push(0);
            }
            Some(references)
        }
        Coding::H264 { .. } => None,
    }
}

/// Returns the picture order counts of the references that a decoder reports missing if only the samples in `needed` are
/// decoded. Returns `None` if a picture would use other references than with all samples.
pub(crate) fn missing(
    coding: Coding,
    configuration: &[u8],
    samples: &[&[u8]],
    needed: &[bool],
) -> Option<Vec<i64>> {
    match coding {
        Coding::Hevc { .. } => hevc::missing(configuration, samples, needed),
        // Other decoders report no missing references.
        Coding::H264 { .. } | Coding::Opaque => Some(Vec::new()),
    }
}

/// Returns for each sample whether a wanted sample needs it, directly or through other samples. Returns `None` if a
/// needed sample refers to a sample that is not in the list.
pub(crate) fn closure(references: &[Vec<usize>], wanted: &[bool]) -> Option<Vec<bool>> {
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
