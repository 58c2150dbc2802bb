//! What the sequence parameter sets of H.264 and HEVC say of a stream.

mod hevc;

use h264_reader::nal::sps::{ChromaFormat, FrameMbsFlags, SeqParameterSet};
use h264_reader::rbsp::{BitReader, decode_nal};

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
        if nal.len() > LARGEST || nal.first()? >> 1 & 0x3f != 33 {
            return None;
        }
        // The second byte of the header is skipped as the first.
        let payload = decode_nal(nal.get(1..)?).ok()?;
        hevc::read(&mut BitReader::new(&*payload))
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
