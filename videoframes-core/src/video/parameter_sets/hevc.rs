//! Sequence parameter set of HEVC (ITU-T H.265, 7.3.2.2), as far as it describes the pictures.
//!
//! Parsed here because the available crates panic on hostile parameter sets.

use h264_reader::rbsp::{BitRead, BitReader, decode_nal};

use super::parameters::{Chroma, MAX_BYTES, SequenceParameters};
use crate::units::Rational;

impl SequenceParameters {
    /// Parses an HEVC sequence parameter set NAL unit. Returns `None` for invalid or unusual sets.
    pub(in crate::video) fn hevc(nal: &[u8]) -> Option<Self> {
        if nal.len() > MAX_BYTES || nal.first()? >> 1 & 0x3f != 33 {
            return None;
        }
        // `decode_nal` skips one byte of the header; the second byte is skipped here.
        let payload = decode_nal(nal.get(1..)?).ok()?;
        read(&mut BitReader::new(&*payload))
    }
}

/// Parses the payload after the header of the NAL unit.
fn read(bits: &mut impl BitRead) -> Option<SequenceParameters> {
    bits.skip(4, "sps_video_parameter_set_id").ok()?;
    let highest_layer: u8 = bits.read::<3, _>("sps_max_sub_layers_minus1").ok()?;
    if highest_layer > 6 {
        return None;
    }
    flag(bits)?; // sps_temporal_id_nesting_flag
    let interlaced = profile_tier_level(bits, highest_layer)?;
    number(bits, 15)?; // sps_seq_parameter_set_id
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
    numbers::<6>(bits, 16)?; // Sizes of blocks and depths of trees.
    if flag(bits)? && flag(bits)? {
        scaling_lists(bits)?;
    }
    flag(bits)?; // amp_enabled_flag
    flag(bits)?; // sample_adaptive_offset_enabled_flag
    if flag(bits)? {
        bits.skip(8, "pcm_sample_bit_depth").ok()?;
        numbers::<2>(bits, 16)?;
        flag(bits)?; // pcm_loop_filter_disabled_flag
    }
    reference_picture_sets(bits)?;
    if flag(bits)? {
        for _ in 0..number(bits, 32)? {
            bits.skip(order_bits + 1, "lt_ref_pic_poc_lsb_sps").ok()?;
        }
    }
    flag(bits)?; // sps_temporal_mvp_enabled_flag
    flag(bits)?; // strong_intra_smoothing_enabled_flag
    let usability = if flag(bits)? {
        Usability::read(bits)?
    } else {
        Usability::default()
    };
    Some(SequenceParameters {
        size,
        chroma,
        bit_depth: bit_depth as u8,
        sample_aspect: usability.sample_aspect,
        colour: usability.colour,
        // ffmpeg's HEVC decoder reports a range even if the stream specifies none.
        full_range: Some(usability.full_range),
        fields: usability.fields || interlaced,
        highest_layer,
    })
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
fn scaling_lists(bits: &mut impl BitRead) -> Option<()> {
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

/// Skips reference picture sets (7.3.7). The derivation in 7.4.8 determines the number of flags in the next set.
fn reference_picture_sets(bits: &mut impl BitRead) -> Option<()> {
    /// Distances to earlier and later pictures.
    #[derive(Default)]
    struct Set {
        before: Vec<i64>,
        after: Vec<i64>,
    }
    const MAX_PICTURES: usize = 16;
    let mut previous = Set::default();
    for index in 0..number(bits, 64)? {
        let mut set = Set::default();
        if index > 0 && flag(bits)? {
            let negative = flag(bits)?;
            let distance = i64::from(number(bits, 1 << 15)?) + 1;
            let distance = if negative { -distance } else { distance };
            // The pictures of the previous set and, last, the picture to which they are relative.
            let all = previous.before.iter().chain(&previous.after).chain(&[0]);
            for from in all {
                let used = flag(bits)?;
                let kept = used || flag(bits)?;
                let to = from + distance;
                match to.signum() {
                    -1 if kept => set.before.push(to),
                    1 if kept => set.after.push(to),
                    _ => {}
                }
            }
            // Sorted by distance, as in the lists of the standard.
            set.before.sort_unstable_by_key(|to| -to);
            set.after.sort_unstable();
        } else {
            let (before, after) = (number(bits, 16)?, number(bits, 16)?);
            for (count, sign, list) in [(before, -1, &mut set.before), (after, 1, &mut set.after)] {
                let mut last = 0;
                for _ in 0..count {
                    last += sign * (i64::from(number(bits, 1 << 15)?) + 1);
                    list.push(last);
                    flag(bits)?; // used_by_curr_pic
                }
            }
        }
        if set.before.len() + set.after.len() > MAX_PICTURES {
            return None;
        }
        previous = set;
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

fn flag(bits: &mut impl BitRead) -> Option<bool> {
    bits.read_bit("flag").ok()
}

/// Parses an Exp-Golomb number up to `max`.
fn number(bits: &mut impl BitRead, max: u32) -> Option<u32> {
    bits.read_ue("number").ok().filter(|&number| number <= max)
}

fn numbers<const N: usize>(bits: &mut impl BitRead, max: u32) -> Option<[u32; N]> {
    let mut all = [0; N];
    for one in &mut all {
        *one = number(bits, max)?;
    }
    Some(all)
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
