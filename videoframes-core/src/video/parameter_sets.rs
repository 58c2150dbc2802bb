//! What the sequence parameter sets of H.264 and HEVC say of a stream.

use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, SeqParameterSet};
use h264_reader::rbsp::{BitReader, decode_nal};
use scuffle_h265::{AspectRatioInfo, SpsNALUnit};

use crate::units::Rational;

/// Largest parameter set that is read; real ones have some dozens of bytes.
const LARGEST: usize = 4096;

/// A stream as its sequence parameter set describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SequenceParameters {
    /// Width and height after cropping.
    pub(super) size: (u32, u32),
    pub(super) chroma: Chroma,
    /// Bits of a sample, the same for luma and chroma.
    pub(super) bit_depth: u8,
    pub(super) sample_aspect: Option<Rational>,
    /// Primaries, transfer and matrix (ITU-T H.273), where the stream names them.
    pub(super) colour: Option<(u8, u8, u8)>,
    pub(super) full_range: Option<bool>,
    /// Whether pictures may be coded as fields.
    pub(super) fields: bool,
    pub(super) highest_layer: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chroma {
    Yuv420,
    Yuv422,
    Yuv444,
}

impl SequenceParameters {
    /// From an H.264 sequence parameter set NAL unit; `None` for what is broken or out of the ordinary.
    pub(super) fn h264(nal: &[u8]) -> Option<Self> {
        if nal.len() > LARGEST || nal.first()? & 0x1f != 7 {
            return None;
        }
        let payload = decode_nal(nal).ok()?;
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

    /// From an HEVC sequence parameter set NAL unit; `None` for what is broken or out of the ordinary.
    pub(super) fn hevc(nal: &[u8]) -> Option<Self> {
        if nal.len() > LARGEST {
            return None;
        }
        let sps = SpsNALUnit::parse(nal).ok()?.rbsp;
        let (chroma, across, down) = match (sps.chroma_format_idc, sps.separate_colour_plane_flag) {
            (1, false) => (Chroma::Yuv420, 2, 2),
            (2, false) => (Chroma::Yuv422, 2, 1),
            (3, false) => (Chroma::Yuv444, 1, 1),
            _ => return None,
        };
        if sps.bit_depth_luma_minus8 != sps.bit_depth_chroma_minus8 {
            return None;
        }
        let window = &sps.conformance_window;
        let cropped = |size: u64, step: u64, before: u64, after: u64| {
            let cut = before.checked_add(after)?.checked_mul(step)?;
            u32::try_from(size.checked_sub(cut)?).ok().filter(|&s| s > 0)
        };
        let vui = sps.vui_parameters.as_ref();
        let signal = vui.map(|vui| &vui.video_signal_type);
        let sample_aspect = match vui.map(|vui| &vui.aspect_ratio_info) {
            Some(&AspectRatioInfo::ExtendedSar {
                sar_width: w @ 1..,
                sar_height: h @ 1..,
            }) => Some(Rational::new(w.into(), h.into())),
            Some(AspectRatioInfo::Predefined(index)) => predefined_aspect(index.0),
            _ => None,
        };
        let profile = &sps.profile_tier_level.general_profile;
        Some(Self {
            size: (
                cropped(
                    sps.pic_width_in_luma_samples.get(),
                    across,
                    window.conf_win_left_offset,
                    window.conf_win_right_offset,
                )?,
                cropped(
                    sps.pic_height_in_luma_samples.get(),
                    down,
                    window.conf_win_top_offset,
                    window.conf_win_bottom_offset,
                )?,
            ),
            chroma,
            bit_depth: sps.bit_depth_luma_minus8.checked_add(8)?,
            sample_aspect,
            colour: signal
                .map(|s| (s.colour_primaries, s.transfer_characteristics, s.matrix_coeffs))
                .filter(|&colour| colour != (2, 2, 2)),
            // HEVC in ffmpeg has a range even where the stream names none.
            full_range: Some(signal.is_some_and(|signal| signal.video_full_range_flag)),
            fields: vui.is_some_and(|vui| vui.field_seq_flag)
                || (profile.interlaced_source_flag && !profile.progressive_source_flag),
            highest_layer: sps.sps_max_sub_layers_minus1,
        })
    }

    /// ffmpeg's name for the decoded pictures' format; `None` for combinations it has none for.
    pub(super) fn pixel_format(&self) -> Option<String> {
        let chroma = match self.chroma {
            Chroma::Yuv420 => "420",
            Chroma::Yuv422 => "422",
            Chroma::Yuv444 => "444",
        };
        match self.bit_depth {
            8 if self.full_range == Some(true) => Some(format!("yuvj{chroma}p")),
            8 => Some(format!("yuv{chroma}p")),
            depth @ (10 | 12) => Some(format!("yuv{chroma}p{depth}le")),
            _ => None,
        }
    }
}

/// ITU-T H.265, table E.1.
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
