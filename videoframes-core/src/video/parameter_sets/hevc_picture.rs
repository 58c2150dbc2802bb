//! Picture parameter set of HEVC (ITU-T H.265, 7.3.2.3), as far as the references of slices depend on it.

use h264_reader::rbsp::{BitRead, BitReader};

use super::bits::{flag, number, numbers, payload};
use super::hevc::scaling_lists;
use super::parameters::MAX_BYTES;

/// Contents of a picture parameter set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::video) struct HevcPicture {
    pub(in crate::video) id: u32,
    /// Identifier of the sequence parameter set.
    pub(in crate::video) sequence: u32,
    /// Whether slices may continue the preceding slice.
    pub(in crate::video) dependent_slices: bool,
    /// Whether slices contain `pic_output_flag`.
    pub(in crate::video) output_flag: bool,
    /// Number of reserved flags in a slice.
    pub(in crate::video) extra_bits: u32,
    /// Default number of entries in the two reference picture lists.
    pub(in crate::video) active: [u32; 2],
    /// Whether slices may reorder the lists.
    pub(in crate::video) modifications: bool,
}

impl HevcPicture {
    /// Parses a picture parameter set NAL unit. Returns `None` for invalid sets, and for extensions with other
    /// kinds of references.
    pub(in crate::video) fn read(nal: &[u8]) -> Option<Self> {
        if nal.len() > MAX_BYTES || nal.first()? >> 1 & 0x3f != 34 {
            return None;
        }
        let payload = payload(nal, 2)?;
        read(&mut BitReader::new(&*payload))
    }
}

/// Parses the payload after the header of the NAL unit.
fn read(bits: &mut impl BitRead) -> Option<HevcPicture> {
    let (id, sequence) = (number(bits, 63)?, number(bits, 15)?);
    let (dependent_slices, output_flag) = (flag(bits)?, flag(bits)?);
    let extra_bits = bits.read::<3, _>("num_extra_slice_header_bits").ok()?;
    flag(bits)?; // sign_data_hiding_enabled_flag
    flag(bits)?; // cabac_init_present_flag
    let active = numbers::<2>(bits, 14)?.map(|minus1| minus1 + 1);
    bits.read_se("init_qp_minus26").ok()?;
    flag(bits)?; // constrained_intra_pred_flag
    flag(bits)?; // transform_skip_enabled_flag
    if flag(bits)? {
        number(bits, 6)?; // diff_cu_qp_delta_depth
    }
    bits.read_se("pps_cb_qp_offset").ok()?;
    bits.read_se("pps_cr_qp_offset").ok()?;
    // pps_slice_chroma_qp_offsets_present_flag … transquant_bypass_enabled_flag
    bits.skip(4, "flags").ok()?;
    let tiles = flag(bits)?;
    flag(bits)?; // entropy_coding_sync_enabled_flag
    if tiles {
        let [columns, rows] = numbers(bits, 1 << 10)?;
        if !flag(bits)? {
            for _ in 0..columns + rows {
                number(bits, 1 << 16)?; // column_width_minus1, row_height_minus1
            }
        }
        flag(bits)?; // loop_filter_across_tiles_enabled_flag
    }
    flag(bits)?; // pps_loop_filter_across_slices_enabled_flag
    if flag(bits)? {
        flag(bits)?; // deblocking_filter_override_enabled_flag
        if !flag(bits)? {
            bits.read_se("pps_beta_offset_div2").ok()?;
            bits.read_se("pps_tc_offset_div2").ok()?;
        }
    }
    if flag(bits)? {
        scaling_lists(bits)?;
    }
    let modifications = flag(bits)?;
    number(bits, 4)?; // log2_parallel_merge_level_minus2
    flag(bits)?; // slice_segment_header_extension_present_flag
    if flag(bits)? {
        flag(bits)?; // pps_range_extension_flag
        // Several layers, depth, and pictures that refer to themselves.
        let others: u8 = bits.read::<7, _>("extensions").ok()?;
        if others != 0 {
            return None;
        }
    }
    Some(HevcPicture {
        id,
        sequence,
        dependent_slices,
        output_flag,
        extra_bits,
        active,
        modifications,
    })
}
