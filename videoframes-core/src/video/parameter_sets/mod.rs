//! Description of a stream by the sequence parameter sets of H.264 and HEVC.

mod hevc;

use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, SeqParameterSet};
use h264_reader::rbsp::{BitReader, decode_nal};

use crate::units::Rational;

/// Maximum size of a parameter set in bytes; real sets have some dozens of bytes.
const MAX_BYTES: usize = 4096;

/// Description of a stream by its sequence parameter set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SequenceParameters {
    /// Width and height after cropping.
    pub(super) size: (u32, u32),
    pub(super) chroma: Chroma,
    /// Bits per sample, equal for luma and chroma.
    pub(super) bit_depth: u8,
    pub(super) sample_aspect: Option<Rational>,
    /// Primaries, transfer and matrix (ITU-T H.273), if the stream specifies them.
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
    /// Parses an H.264 sequence parameter set NAL unit. Returns `None` for invalid or unusual sets.
    pub(super) fn h264(nal: &[u8]) -> Option<Self> {
        if nal.len() > MAX_BYTES || nal.first()? & 0x1f != 7 {
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

    /// Parses an HEVC sequence parameter set NAL unit. Returns `None` for invalid or unusual sets.
    pub(super) fn hevc(nal: &[u8]) -> Option<Self> {
        if nal.len() > MAX_BYTES || nal.first()? >> 1 & 0x3f != 33 {
            return None;
        }
        // `decode_nal` skips one byte of the header; the second byte is skipped here.
        let payload = decode_nal(nal.get(1..)?).ok()?;
        hevc::read(&mut BitReader::new(&*payload))
    }

    /// Returns ffmpeg's name for the format of decoded pictures, if there is one.
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
