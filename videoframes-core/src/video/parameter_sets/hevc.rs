//! Sequence parameter set of HEVC (ITU-T H.265, 7.3.2.2), as far as it describes the pictures and their references.
//!
//! Parsed here because the available crates panic on hostile parameter sets.

use h264_reader::rbsp::{BitRead, BitReader};

use super::bits::{fixed, flag, number, numbers, payload};
use super::parameters::{Chroma, MAX_BYTES, SequenceParameters};
use super::picture_set::{MAX_SETS, PictureSet};
use crate::units::Rational;

/// Fields of a sequence parameter set on which the references of slices depend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::video) struct HevcSequence {
    pub(in crate::video) id: u32,
    /// Number of bits of a picture order count in a slice.
    pub(in crate::video) order_bits: u32,
    /// Number of coding tree blocks of a picture.
    pub(in crate::video) blocks: u32,
    /// Whether slices contain flags of the sample adaptive offset.
    pub(in crate::video) adaptive_offset: bool,
    pub(in crate::video) sets: Vec<PictureSet>,
    /// Candidates of slices for long-term references: low bits of the picture order count, and whether the picture
    /// with the slice may refer to them. `None` if slices contain no long-term references.
    pub(in crate::video) long_term: Option<Vec<(u32, bool)>>,
    /// Whether slices contain `slice_temporal_mvp_enabled_flag`.
    pub(in crate::video) temporal_vectors: bool,
}

impl SequenceParameters {
    /// Parses an HEVC sequence parameter set NAL unit. Returns `None` for invalid or unusual sets.
    pub(in crate::video) fn hevc(nal: &[u8]) -> Option<Self> {
        Some(parse(nal)?.0)
    }
}

impl HevcSequence {
    /// Parses a sequence parameter set NAL unit. Returns `None` for invalid or unusual sets.
    pub(in crate::video) fn read(nal: &[u8]) -> Option<Self> {
        Some(parse(nal)?.1)
    }
}

fn parse(nal: &[u8]) -> Option<(SequenceParameters, HevcSequence)> {
    if nal.len() > MAX_BYTES || nal.first()? >> 1 & 0x3f != 33 {
        return None;
    }
    let payload = payload(nal, 2)?;
    read(&mut BitReader::new(&*payload))
}

/// Parses the payload after the header of the NAL unit.
fn read(bits: &mut impl BitRead) -> Option<(SequenceParameters, HevcSequence)> {
    bits.skip(4, "sps_video_parameter_set_id").ok()?;
    let highest_layer: u8 = bits.read::<3, _>("sps_max_sub_layers_minus1").ok()?;
    if highest_layer > 6 {
        return None;
    }
    flag(bits)?; // sps_temporal_id_nesting_flag
    let interlaced = profile_tier_level(bits, highest_layer)?;
    let id = number(bits, 15)?;
    let (chroma, across, down) = match number(bits, 3)? {
        1 => (Chroma::Yuv420, 2, 2),
        2 => (Chroma::Yuv422, 2, 1),
        // With separate_colour_plane_flag, each plane is coded as a monochrome picture.
        3 if !flag(bits)? => (Chroma::Yuv444, 1, 1),
        _ => return None,
    };
    let (width, height) = (number(bits, 1 << 16)?, number(bits, 1 << 16)?);
    let size = if flag(bits)? {
        let [left, right, top, bottom] = numbers(bits, 1 << 16)?;
        (
            width.checked_sub(across * (left + right))?,
            height.checked_sub(down * (top + bottom))?,
        )
    } else {
        (width, height)
    };
    let (bit_depth, chroma_depth) = (8 + number(bits, 8)?, 8 + number(bits, 8)?);
    if size.0 == 0 || size.1 == 0 || bit_depth != chroma_depth {
        return None;
    }
    let order_bits = 4 + number(bits, 12)?;
    let layers = if flag(bits)? { highest_layer + 1 } else { 1 };
    for _ in 0..layers {
        numbers::<3>(bits, u32::MAX)?; // sps_max_dec_pic_buffering_minus1 …
    }
    // Sizes of blocks and depths of trees.
    let [smallest, difference, ..] = numbers::<6>(bits, 16)?;
    let blocks = blocks((width, height), 3 + smallest + difference)?;
    if flag(bits)? && flag(bits)? {
        scaling_lists(bits)?;
    }
    flag(bits)?; // amp_enabled_flag
    let adaptive_offset = flag(bits)?;
    if flag(bits)? {
        bits.skip(8, "pcm_sample_bit_depth").ok()?;
        numbers::<2>(bits, 16)?;
        flag(bits)?; // pcm_loop_filter_disabled_flag
    }
    let mut sets = Vec::new();
    for _ in 0..number(bits, MAX_SETS)? {
        sets.push(PictureSet::read(bits, &sets, false)?);
    }
    let long_term = match flag(bits)? {
        true => Some(long_term(bits, order_bits)?),
        false => None,
    };
    let temporal_vectors = flag(bits)?;
    flag(bits)?; // strong_intra_smoothing_enabled_flag
    let usability = if flag(bits)? {
        Usability::read(bits)?
    } else {
        Usability::default()
    };
    let parameters = SequenceParameters {
        size,
        chroma,
        bit_depth: bit_depth as u8,
        sample_aspect: usability.sample_aspect,
        colour: usability.colour,
        // ffmpeg's HEVC decoder reports a range even if the stream specifies none.
        full_range: Some(usability.full_range),
        fields: usability.fields || interlaced,
        highest_layer,
    };
    let sequence = HevcSequence {
        id,
        order_bits,
        blocks,
        adaptive_offset,
        sets,
        long_term,
        temporal_vectors,
    };
    Some((parameters, sequence))
}

/// Returns the number of coding tree blocks of a picture, for blocks with sides of 2 to the power of `log2` samples.
fn blocks((width, height): (u32, u32), log2: u32) -> Option<u32> {
    let side = (3..=6).contains(&log2).then(|| 1u32 << log2)?;
    width.div_ceil(side).checked_mul(height.div_ceil(side))
}

/// Parses the candidates for long-term references.
fn long_term(bits: &mut impl BitRead, order_bits: u32) -> Option<Vec<(u32, bool)>> {
    (0..number(bits, 32)?)
        .map(|_| Some((fixed(bits, order_bits)?, flag(bits)?)))
        .collect()
}

/// Returns whether the general profile declares an interlaced source (7.3.3).
fn profile_tier_level(bits: &mut impl BitRead, highest_layer: u8) -> Option<bool> {
    bits.skip(8 + 32, "general_profile").ok()?;
    let (progressive, interlaced) = (flag(bits)?, flag(bits)?);
    bits.skip(2 + 43 + 1 + 8, "general_constraints").ok()?;
    let mut present = Vec::new();
    for _ in 0..highest_layer {
        present.push((flag(bits)?, flag(bits)?));
    }
    if highest_layer > 0 {
        bits.skip(2 * u32::from(8 - highest_layer), "reserved_zero_2bits")
            .ok()?;
    }
    for (profile, level) in present {
        bits.skip(
            88 * u32::from(profile) + 8 * u32::from(level),
            "sub_layer_profile",
        )
        .ok()?;
    }
    Some(interlaced && !progressive)
}

/// Skips scaling lists (7.3.4).
pub(super) fn scaling_lists(bits: &mut impl BitRead) -> Option<()> {
    for size in 0..4u32 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !flag(bits)? {
                number(bits, u32::MAX)?; // scaling_list_pred_matrix_id_delta
                continue;
            }
            let coefficients = 64.min(1 << (4 + (size << 1))) + u32::from(size > 1);
            for _ in 0..coefficients {
                bits.read_se("scaling_list_delta_coef").ok()?;
            }
        }
    }
    Some(())
}

/// Video usability information (E.2.1), up to the last needed field.
#[derive(Default)]
struct Usability {
    sample_aspect: Option<Rational>,
    full_range: bool,
    colour: Option<(u8, u8, u8)>,
    fields: bool,
}

impl Usability {
    fn read(bits: &mut impl BitRead) -> Option<Self> {
        let byte = |bits: &mut _| BitRead::read::<8, u8>(bits, "vui").ok();
        let mut usability = Self::default();
        if flag(bits)? {
            usability.sample_aspect = match byte(bits)? {
                255 => {
                    let w: u16 = bits.read::<16, _>("sar_width").ok()?;
                    let h: u16 = bits.read::<16, _>("sar_height").ok()?;
                    (w > 0 && h > 0).then(|| Rational::new(w.into(), h.into()))
                }
                index => predefined_aspect(index),
            };
        }
        if flag(bits)? {
            flag(bits)?; // overscan_appropriate_flag
        }
        if flag(bits)? {
            bits.skip(3, "video_format").ok()?;
            usability.full_range = flag(bits)?;
            if flag(bits)? {
                usability.colour = Some((byte(bits)?, byte(bits)?, byte(bits)?));
            }
        }
        if flag(bits)? {
            numbers::<2>(bits, 5)?; // chroma_sample_loc_type
        }
        flag(bits)?; // neutral_chroma_indication_flag
        usability.fields = flag(bits)?;
        Some(usability)
    }
}

/// Returns the sample aspect ratio for an index of ITU-T H.265, table E.1.
fn predefined_aspect(index: u8) -> Option<Rational> {
    const ASPECTS: [(i128, i128); 16] = [
        (1, 1),
        (12, 11),
        (10, 11),
        (16, 11),
        (40, 33),
        (24, 11),
        (20, 11),
        (32, 11),
        (80, 33),
        (18, 11),
        (15, 11),
        (64, 33),
        (160, 99),
        (4, 3),
        (3, 2),
        (2, 1),
    ];
    let (w, h) = ASPECTS.get(usize::from(index).checked_sub(1)?)?;
    Some(Rational::new(*w, *h))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_sides_of_8_to_64_samples() {
        for (log2, expected) in [(2, None), (3, Some(6)), (6, Some(1)), (7, None), (64, None)] {
            assert_eq!(blocks((17, 16), log2), expected, "{log2}");
        }
    }
}
