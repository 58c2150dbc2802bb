//! Which samples of a group a decoder needs for wanted pictures, decided from the headers of the samples.
//!
//! A sample that is left out must not change any picture that is kept. All functions return `None` where that is not
//! certain; all samples are needed then.

mod av1;
mod closure;
mod hevc;

pub use self::closure::closure;

use super::mp4::configuration_box;
use super::{Coding, Track};

/// Returns the configuration for [`references`]: the content of `hvcC` or `av1C`. Returns `None` for a codec without
/// inspected references.
pub fn configuration(track: &Track) -> Option<&[u8]> {
    let kind = match track.coding {
        Coding::Hevc { .. } => b"hvcC",
        // Of these codecs, only AV1 has this box.
        Coding::Opaque => b"av1C",
        Coding::H264 { .. } => return None,
    };
    configuration_box(&track.sample_description, kind)
}

/// Returns for each sample the indices of the samples that it needs, or `usize::MAX` for a sample before the first one. The
/// decoder keeps no picture from before the first sample.
pub fn references(coding: Coding, configuration: &[u8], samples: &[&[u8]]) -> Option<Vec<Vec<usize>>> {
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
pub fn missing(coding: Coding, configuration: &[u8], samples: &[&[u8]], needed: &[bool]) -> Option<Vec<i64>> {
    match coding {
        Coding::Hevc { .. } => hevc::missing(configuration, samples, needed),
        // Other decoders report no missing references.
        Coding::H264 { .. } | Coding::Opaque => Some(Vec::new()),
    }
}
