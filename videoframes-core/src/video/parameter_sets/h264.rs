//! Sequence parameter set of H.264.

use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, SeqParameterSet};
use h264_reader::rbsp::BitReader;

use super::bits::payload;
use super::parameters::{Chroma, MAX_BYTES, SequenceParameters};
use crate::units::Rational;

impl SequenceParameters {
    /// Parses an H.264 sequence parameter set NAL unit. Returns `None` for invalid or unusual sets.
    pub(in crate::video) fn h264(nal: &[u8]) -> Option<Self> {
        if nal.len() > MAX_BYTES || nal.first()? & 0x1f != 7 {
            return None;
        }
        let payload = payload(nal, 1)?;
        let sps = SeqParameterSet::from_bits(BitReader::new(&*payload)).ok()?;
        let chroma = match sps.chroma_info.chroma_format {
            ChromaFormat::YUV420 => Chroma::Yuv420,
            ChromaFormat::YUV422 => Chroma::Yuv422,
            ChromaFormat::YUV444 => Chroma::Yuv444,
            ChromaFormat::Monochrome | ChromaFormat::Invalid(_) => return None,
        };
        let depth = sps.chroma_info.bit_depth_luma_minus8;
        if sps.chroma_info.separate_colour_plane_flag || depth != sps.chroma_info.bit_depth_chroma_minus8 {
            return None;
        }
        let vui = sps.vui_parameters.as_ref();
        let signal = vui.and_then(|vui| vui.video_signal_type.as_ref());
        let colour = signal.and_then(|signal| signal.colour_description.as_ref());
        let aspect = vui.and_then(|vui| vui.aspect_ratio_info.as_ref());
        Some(Self {
            size: sps.pixel_dimensions().ok()?,
            chroma,
            bit_depth: depth + 8,
            sample_aspect: aspect
                .and_then(|aspect| aspect.get())
                .map(|(w, h)| Rational::new(w.into(), h.into())),
            colour: colour.map(|c| {
                (
                    c.colour_primaries,
                    c.transfer_characteristics,
                    c.matrix_coefficients,
                )
            }),
            full_range: signal.map(|signal| signal.video_full_range_flag),
            fields: sps.frame_mbs_flags != FrameMbsFlags::Frames,
            highest_layer: 0,
        })
    }
}
