//! Sample description of a track: its codec, and properties of the stream.

use mp4_atom::{Avcc, Colr, Hvcc, Pasp, Stsd};

use super::super::parameter_sets::SequenceParameters;
use super::super::{Coding, NoIndex, Sample};
use super::boxes::{Box, find, need};
use crate::units::Rational;

/// Size of a visual sample entry before its boxes in bytes (ISO/IEC 14496-12, 12.1.3).
const VISUAL_BYTES: usize = 78;

/// Codecs whose samples are independent, or whose sync flags mark where decoding may start.
const OPAQUE: [&[u8; 4]; 18] = [
    b"av01", b"vp08", b"vp09", b"mp4v", b"XVID", b"DIVX", b"DX50", b"FMP4", b"jpeg", b"mjpa", b"apcn",
    b"apch", b"apcs", b"apco", b"ap4h", b"ap4x", b"AVdn", b"png ",
];

/// Sample description of a track.
#[derive(Debug)]
pub(in crate::video) struct SampleEntry {
    pub(super) coding: Coding,
    /// The sequence parameter set, if the description contains exactly one.
    pub(super) parameter_set: Option<Vec<u8>>,
    /// Stored size according to the container.
    pub(super) size: (u16, u16),
    /// Sample aspect ratio from `pasp`.
    pub(super) sample_aspect: Option<Rational>,
    /// Colour tags from `colr`, if the box contains code points.
    pub(super) colour: Option<ColourBox>,
    /// Whether there are boxes that change the decoded pictures in ways that differ between versions of ffmpeg.
    pub(super) unusual: bool,
    /// Whether timestamps may be those of the decode order. Old programs write such files, although the pictures of the
    /// codec are reordered.
    pub(super) may_lack_reordering: bool,
}

/// Code points of ITU-T H.273, and the range if the box specifies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ColourBox {
    pub(super) primaries: u16,
    pub(super) transfer: u16,
    pub(super) matrix: u16,
    pub(super) full_range: Option<bool>,
}

/// Returns format, width and height of the first sample description of a track.
pub(super) fn summary(stbl: &[Box<'_>]) -> Option<([u8; 4], u16, u16)> {
    let entry = Box::all(find(stbl, b"stsd")?.body.get(8..)?)
        .ok()?
        .into_iter()
        .next()?;
    let size = |start: usize| {
        let bytes = entry.body.get(start..start + 2)?;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    };
    Some((entry.kind, size(24)?, size(26)?))
}

/// Returns the short name of the codec in ffmpeg, or the format itself.
pub(super) fn codec_name(format: [u8; 4]) -> String {
    match &format {
        b"avc1" | b"avc3" => "h264".to_owned(),
        b"hvc1" | b"hev1" => "hevc".to_owned(),
        b"av01" => "av1".to_owned(),
        b"vp08" => "vp8".to_owned(),
        b"vp09" => "vp9".to_owned(),
        b"mp4v" | b"XVID" | b"DIVX" | b"DX50" | b"FMP4" => "mpeg4".to_owned(),
        b"jpeg" | b"mjpa" => "mjpeg".to_owned(),
        b"apcn" | b"apch" | b"apcs" | b"apco" | b"ap4h" | b"ap4x" => "prores".to_owned(),
        b"AVdn" => "dnxhd".to_owned(),
        b"png " => "png".to_owned(),
        other => other.escape_ascii().to_string(),
    }
}

/// Returns the content of a box of the only sample entry in an `stsd` box.
pub(in crate::video) fn configuration_box<'a>(stsd: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    let [stsd] = Box::all(stsd).ok()?[..] else {
        return None;
    };
    let [entry] = Box::all(stsd.body.get(8..)?).ok()?[..] else {
        return None;
    };
    let boxes = Box::all(entry.body.get(VISUAL_BYTES..)?).ok()?;
    Some(find(&boxes, kind)?.body)
}

impl SampleEntry {
    /// Parses the content of an `stsd` box, which must contain a single description.
    pub(in crate::video) fn read(stsd: &Box<'_>) -> Result<Self, NoIndex> {
        debug_assert_eq!(stsd.kind, *<Stsd as mp4_atom::Atom>::KIND.as_ref());
        let entries = Box::all(stsd.body.get(8..).ok_or_else(|| stsd.unreadable())?)?;
        let [entry] = entries.as_slice() else {
            return Err(NoIndex::new("the file has several sample descriptions"));
        };
        let (Some(fixed), Some(rest)) = (entry.body.get(..VISUAL_BYTES), entry.body.get(VISUAL_BYTES..))
        else {
            return Err(stsd.unreadable());
        };
        let size = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let boxes = Box::all(rest)?;
        let (coding, parameter_set) = coding(entry.kind, &boxes)?;
        let sample_aspect = find(&boxes, b"pasp")
            .map(|pasp| pasp.decode::<Pasp>())
            .transpose()?
            .filter(|pasp| pasp.h_spacing > 0 && pasp.v_spacing > 0)
            .map(|pasp| Rational::new(pasp.h_spacing.into(), pasp.v_spacing.into()));
        let colour = match find(&boxes, b"colr").map(|colr| colr.decode::<Colr>()) {
            Some(Ok(Colr::Nclx {
                colour_primaries: primaries,
                transfer_characteristics: transfer,
                matrix_coefficients: matrix,
                full_range_flag,
            })) => Some(ColourBox {
                primaries,
                transfer,
                matrix,
                full_range: Some(full_range_flag),
            }),
            Some(Ok(Colr::Nclc {
                colour_primaries: primaries,
                transfer_characteristics: transfer,
                matrix_coefficients: matrix,
            })) => Some(ColourBox {
                primaries,
                transfer,
                matrix,
                full_range: None,
            }),
            _ => None,
        };
        Ok(Self {
            may_lack_reordering: codec_name(entry.kind) == "mpeg4" && !is_simple_mpeg4(rest),
            coding,
            parameter_set,
            size: (size(24), size(26)),
            sample_aspect,
            colour,
            unusual: boxes.iter().any(|b| match &b.kind {
                b"clap" => true,
                // Two fields per sample.
                b"fiel" => b.body.first() != Some(&1),
                _ => false,
            }),
        })
    }
}

impl SampleEntry {
    /// Returns the contents of the sequence parameter set.
    pub(in crate::video) fn parameters(&self) -> Option<SequenceParameters> {
        match (&self.parameter_set, self.coding) {
            (Some(set), Coding::H264 { .. }) => SequenceParameters::h264(set),
            (Some(set), Coding::Hevc { .. }) => SequenceParameters::hevc(set),
            _ => None,
        }
    }

    /// Returns the coding of samples with these parameters, and the reason why pictures of `samples` cannot be
    /// planned.
    pub(in crate::video) fn planning(
        &self,
        parameters: Option<&SequenceParameters>,
        samples: &[Sample],
    ) -> (Coding, Option<&'static str>) {
        let coding = match (self.coding, parameters) {
            (Coding::Hevc { length_size, .. }, Some(parameters)) => Coding::Hevc {
                length_size,
                highest_layer: parameters.highest_layer,
            },
            (coding, _) => coding,
        };
        let fields = parameters.is_none_or(|p| p.fields) && coding != Coding::Opaque;
        (coding, not_plannable(samples, fields, self))
    }
}

/// Returns whether an MPEG-4 video is of the object type Simple, which has no B-frames (ISO/IEC 14496-2, 6.3.3).
/// `boxes` contain the headers of the stream.
fn is_simple_mpeg4(boxes: &[u8]) -> bool {
    const SIMPLE: u16 = 1;
    let mut layers = memchr::memmem::find_iter(boxes, &[0, 0, 1]).filter_map(|at| {
        let [0x20..=0x2f, rest @ ..] = boxes.get(at + 3..)? else {
            return None;
        };
        // The object type follows the first bit.
        let object_type = u16::from_be_bytes(*rest.first_chunk()?) >> 7 & 0xff;
        Some(object_type)
    });
    layers.next() == Some(SIMPLE) && layers.next().is_none()
}

/// Returns the reason why pictures cannot be planned. `fields` is whether the video may be coded as fields.
fn not_plannable(samples: &[Sample], fields: bool, entry: &SampleEntry) -> Option<&'static str> {
    let first = &samples[0];
    if fields {
        Some("the video may be interlaced, and deinterlacing needs the neighbours of every frame")
    } else if entry.unusual {
        Some("the sample description has unusual parts")
    } else if entry.may_lack_reordering && samples.is_sorted_by_key(|sample| sample.order) {
        Some("the timestamps may lack the reordering of B-frames")
    } else if !first.sync || samples.iter().any(|s| s.order < first.order && !s.sync) {
        // Decoders disagree on frames before the first sync sample.
        Some("the first frames cannot be decoded from a sync sample")
    } else {
        None
    }
}

fn coding(format: [u8; 4], boxes: &[Box<'_>]) -> Result<(Coding, Option<Vec<u8>>), NoIndex> {
    let usable = |length_size: u8| match length_size {
        1 | 2 | 4 => Ok(length_size),
        _ => Err(NoIndex::new("the NAL units have lengths of three bytes")),
    };
    match &format {
        b"avc1" | b"avc3" => {
            let avcc: Avcc = need(boxes, b"avcC")?.decode()?;
            let coding = Coding::H264 {
                length_size: usable(avcc.length_size)?,
            };
            let [set] = avcc.sequence_parameter_sets.as_slice() else {
                return Ok((coding, None));
            };
            Ok((coding, Some(set.clone())))
        }
        b"hvc1" | b"hev1" => {
            const SEQUENCE_PARAMETER_SET: u8 = 33;
            let hvcc: Hvcc = need(boxes, b"hvcC")?.decode()?;
            let sets: Vec<&Vec<u8>> = hvcc
                .arrays
                .iter()
                .filter(|array| array.nal_unit_type == SEQUENCE_PARAMETER_SET)
                .flat_map(|array| &array.nalus)
                .collect();
            let coding = Coding::Hevc {
                length_size: usable(hvcc.length_size_minus_one + 1)?,
                // The parameter set overwrites this value; without a parameter set no layer counts as the
                // highest.
                highest_layer: u8::MAX,
            };
            Ok(match sets.as_slice() {
                [set] => (coding, Some((*set).clone())),
                _ => (coding, None),
            })
        }
        b"encv" => Err(NoIndex::new("the video is encrypted")),
        other if OPAQUE.contains(&other) => Ok((Coding::Opaque, None)),
        other => Err(NoIndex::new(format!(
            "planning is not supported for the codec '{}'",
            other.escape_ascii()
        ))),
    }
}
