//! Segment headers of slices of HEVC (ITU-T H.265, 7.3.6), up to the reference picture lists (8.3.4).

use h264_reader::rbsp::{BitRead, BitReader};

use crate::video::nal::hevc_kind;
use crate::video::parameter_sets::bits::{fixed, flag, index_bits, number};
use crate::video::parameter_sets::{HevcPicture, HevcSequence, PictureSet};

/// Number of bytes of a slice in which its header up to the lists must end.
const HEADER_BYTES: usize = 1 << 10;
/// Size in bytes of the header of a NAL unit.
pub(super) const UNIT_HEADER: usize = 2;
/// Maximum number of pictures that stay available for reference.
const MAX_PICTURES: usize = 16;

/// A picture that stays available for reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference {
    /// Distance of the picture order counts.
    Near(i32),
    /// Low bits of the picture order count, and the distance of the other bits if the slice specifies it.
    Far { low: u32, cycles: Option<u32> },
}

/// A slice segment of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// Whether the segment is the first one of its picture.
    pub(super) first: bool,
    /// `None` for a segment that continues the preceding slice.
    pub(super) slice: Option<Slice>,
}

/// Header of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Slice {
    /// Low bits of the picture order count.
    pub(super) order_low: u32,
    pub(super) order_bits: u32,
    /// All pictures that stay available.
    pub(super) kept: Vec<Reference>,
    /// The pictures in the reference picture lists.
    pub(super) used: Vec<Reference>,
}

/// Kinds of slices (table 7-7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SliceKind {
    Bidirectional,
    Predicted,
    Intra,
}

/// The parameter sets of a stream.
#[derive(Debug, Default)]
pub(super) struct ParameterSets {
    pub(super) sequences: Vec<HevcSequence>,
    pub(super) pictures: Vec<HevcPicture>,
}

impl ParameterSets {
    fn of_slice(&self, id: u32) -> Option<(&HevcPicture, &HevcSequence)> {
        let picture = self.pictures.iter().find(|set| set.id == id)?;
        let sequence = self.sequences.iter().find(|set| set.id == picture.sequence)?;
        Some((picture, sequence))
    }

    /// Parses the header of a slice NAL unit. Returns `None` for invalid and unusual headers.
    pub(super) fn segment(&self, unit: &[u8]) -> Option<Segment> {
        let header = unescaped(unit.get(UNIT_HEADER..)?);
        let bits = &mut BitReader::new(&*header);
        let kind = hevc_kind(unit);
        let first = flag(bits)?;
        // Without no_output_of_prior_pics_flag, all earlier pictures are returned.
        if (16..=23).contains(&kind) && flag(bits)? {
            return None;
        }
        let (picture, sequence) = self.of_slice(number(bits, 63)?)?;
        if !first {
            let dependent = picture.dependent_slices && flag(bits)?;
            let address = fixed(bits, index_bits(sequence.blocks))?;
            if address == 0 || address >= sequence.blocks {
                return None;
            }
            if dependent {
                return Some(Segment { first, slice: None });
            }
        }
        let slice = Some(slice(bits, kind, picture, sequence)?);
        Some(Segment { first, slice })
    }
}

/// Returns the beginning of a NAL unit without its emulation prevention bytes (7.4.2).
pub(super) fn unescaped(unit: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES.min(unit.len()));
    let mut zeros = 0;
    for &byte in unit.iter().take(HEADER_BYTES) {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        bytes.push(byte);
    }
    bytes
}

/// Parses a header from `slice_reserved_flag` on.
fn slice(
    bits: &mut impl BitRead,
    unit_kind: u8,
    picture: &HevcPicture,
    sequence: &HevcSequence,
) -> Option<Slice> {
    bits.skip(picture.extra_bits, "slice_reserved_flag").ok()?;
    let kind = match number(bits, 2)? {
        0 => SliceKind::Bidirectional,
        1 => SliceKind::Predicted,
        _ => SliceKind::Intra,
    };
    // Pictures that are not returned (pic_output_flag 0) are unusual.
    if picture.output_flag && !flag(bits)? {
        return None;
    }
    let mut slice = Slice {
        order_bits: sequence.order_bits,
        ..Slice::default()
    };
    let mut near = PictureSet::default();
    let mut far = Vec::new();
    if !matches!(unit_kind, 19 | 20) {
        slice.order_low = fixed(bits, sequence.order_bits)?;
        near = near_pictures(bits, sequence)?;
        if let Some(candidates) = &sequence.long_term {
            far = far_pictures(bits, sequence.order_bits, candidates)?;
        }
        if sequence.temporal_vectors {
            // The picture with the vectors is in the lists.
            flag(bits)?;
        }
    }
    let distances = near.before.iter().chain(&near.after);
    slice.kept = distances
        .map(|entry| Reference::Near(entry.distance))
        .chain(far.iter().map(|(reference, _)| *reference))
        .collect();
    if slice.kept.len() > MAX_PICTURES {
        return None;
    }
    if sequence.adaptive_offset {
        bits.skip(2, "slice_sao_luma_flag, slice_sao_chroma_flag").ok()?;
    }
    if kind != SliceKind::Intra {
        // A picture at which decoding may start refers to no other.
        if (16..=23).contains(&unit_kind) {
            return None;
        }
        slice.used = lists(bits, kind, picture, &Candidates::new(&near, &far))?;
    }
    Some(slice)
}

/// Parses the short-term reference picture set.
fn near_pictures(bits: &mut impl BitRead, sequence: &HevcSequence) -> Option<PictureSet> {
    if !flag(bits)? {
        return PictureSet::read(bits, &sequence.sets, true);
    }
    let index = fixed(bits, index_bits(sequence.sets.len() as u32))?;
    sequence.sets.get(index as usize).cloned()
}

/// Parses the long-term references. Returns each with whether the picture may refer to it.
fn far_pictures(
    bits: &mut impl BitRead,
    order_bits: u32,
    candidates: &[(u32, bool)],
) -> Option<Vec<(Reference, bool)>> {
    let known = if candidates.is_empty() {
        0
    } else {
        number(bits, candidates.len() as u32)?
    };
    let total = known + number(bits, 32)?;
    let mut far = Vec::new();
    let mut cycles = 0u32;
    for at in 0..total {
        let (low, used) = if at < known {
            let index = fixed(bits, index_bits(candidates.len() as u32))?;
            *candidates.get(index as usize)?
        } else {
            (fixed(bits, order_bits)?, flag(bits)?)
        };
        let exact = flag(bits)?;
        // Each distance is relative to the preceding one of the same kind (7-52).
        if at == 0 || at == known {
            cycles = 0;
        }
        if exact {
            cycles = cycles.checked_add(number(bits, 1 << 28)?)?;
        }
        let cycles = exact.then_some(cycles);
        far.push((Reference::Far { low, cycles }, used));
    }
    Some(far)
}

/// The pictures to which a slice may refer, in the order of each of the two lists before modification.
struct Candidates([Vec<Reference>; 2]);

impl Candidates {
    fn new(near: &PictureSet, far: &[(Reference, bool)]) -> Self {
        let all = [[&near.before, &near.after], [&near.after, &near.before]].map(|parts| {
            let near = parts.into_iter().flatten().filter(|entry| entry.used);
            let far = far.iter().filter(|(_, used)| *used);
            near.map(|entry| Reference::Near(entry.distance))
                .chain(far.map(|(reference, _)| *reference))
                .collect()
        });
        Self(all)
    }
}

/// Parses the sizes and modifications of the lists, and returns the pictures in them.
fn lists(
    bits: &mut impl BitRead,
    kind: SliceKind,
    picture: &HevcPicture,
    Candidates(candidates): &Candidates,
) -> Option<Vec<Reference>> {
    let lists = if kind == SliceKind::Bidirectional { 2 } else { 1 };
    let mut active = picture.active;
    if flag(bits)? {
        for count in active.iter_mut().take(lists) {
            *count = number(bits, 14)? + 1;
        }
    }
    let mut used = Vec::new();
    for (candidates, &count) in candidates.iter().zip(&active).take(lists) {
        let total = candidates.len();
        if total == 0 {
            return None;
        }
        let modified = picture.modifications && total > 1 && flag(bits)?;
        for at in 0..count as usize {
            let entry = if modified {
                fixed(bits, index_bits(total as u32))? as usize
            } else {
                at % total
            };
            let reference = *candidates.get(entry)?;
            if !used.contains(&reference) {
                used.push(reference);
            }
        }
    }
    Some(used)
}
