//! References between the pictures of HEVC (ITU-T H.265, 8.3.1 to 8.3.4).

mod slice;

use mp4_atom::{Atom, Hvcc};

use self::slice::{ParameterSets, Reference, Slice, UNIT_HEADER, unescaped};
use super::closure::OUTSIDE;
use crate::video::nal::{hevc_kind, messages, units};
use crate::video::parameter_sets::{HevcPicture, HevcSequence};

const VIDEO_PARAMETER_SET: u8 = 32;
const SEQUENCE_PARAMETER_SET: u8 = 33;
const PICTURE_PARAMETER_SET: u8 = 34;

/// Supplemental messages that concern their own picture only, or no picture (table of D.2.1): buffering and timing,
/// user data, recovery points, active parameter sets, decoding units, hashes, and time codes.
const OWN_MESSAGES: [usize; 9] = [0, 1, 4, 5, 6, 129, 130, 132, 136];

/// Returns for each sample the indices of the samples that it needs, or [`OUTSIDE`]. `configuration` is the content
/// of an `hvcC` box. Returns `None` if anything is unusual.
pub(super) fn references(configuration: &[u8], samples: &[&[u8]]) -> Option<Vec<Vec<usize>>> {
    Some(
        decode(configuration, samples)?
            .iter()
            .map(Decoded::needed)
            .collect(),
    )
}

/// Returns the picture order counts of the references that a decoder reports missing if only the samples in `needed`
/// are decoded. Returns `None` if a picture would use other references than with all samples.
pub(super) fn missing(configuration: &[u8], samples: &[&[u8]], needed: &[bool]) -> Option<Vec<i64>> {
    let all = decode(configuration, samples)?;
    let (positions, fed): (Vec<usize>, Vec<&[u8]>) = samples
        .iter()
        .zip(needed)
        .enumerate()
        .filter(|(_, (_, needed))| **needed)
        .map(|(at, (sample, _))| (at, *sample))
        .unzip();
    let mut missing = Vec::new();
    for (decoded, &at) in decode(configuration, &fed)?.into_iter().zip(&positions) {
        let original = all.get(at)?;
        let used = decoded.used.iter().map(|&used| positions.get(used).copied());
        if decoded.order != original.order || !used.eq(original.used.iter().copied().map(Some)) {
            return None;
        }
        missing.extend(decoded.missing);
    }
    Some(missing)
}

/// Simulates the decoding of samples.
fn decode(configuration: &[u8], samples: &[&[u8]]) -> Option<Vec<Decoded>> {
    let stream = Stream::new(configuration)?;
    let mut buffer = Buffer::default();
    let pictures = samples.iter().map(|sample| stream.picture(sample));
    pictures
        .enumerate()
        .map(|(at, picture)| buffer.add(at, &picture?))
        .collect()
}

/// A picture whose references are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Decoded {
    /// Picture order count.
    order: i64,
    /// Samples in the reference picture lists, or [`OUTSIDE`].
    used: Vec<usize>,
    /// Samples without which the picture would get another order count, or without which decoding would not start.
    bases: Vec<usize>,
    /// Order counts of pictures that should be available for reference.
    missing: Vec<i64>,
}

impl Decoded {
    fn needed(&self) -> Vec<usize> {
        let mut needed = [&*self.used, &*self.bases].concat();
        needed.sort_unstable();
        needed.dedup();
        needed
    }
}

/// Parameter sets of the configuration.
struct Stream {
    length_size: u8,
    /// The NAL units.
    units: Vec<Vec<u8>>,
    sets: ParameterSets,
}

/// A coded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Picture {
    /// Type of its NAL units (table 7-1).
    kind: u8,
    /// Temporal layer.
    layer: u8,
    /// The header of its first slice, with the references of all slices.
    slice: Slice,
}

impl Stream {
    fn new(configuration: &[u8]) -> Option<Self> {
        let hvcc = Hvcc::decode_body(&mut &*configuration).ok()?;
        let mut stream = Self {
            length_size: hvcc.length_size_minus_one + 1,
            units: Vec::new(),
            sets: ParameterSets::default(),
        };
        for unit in hvcc.arrays.into_iter().flat_map(|array| array.nalus) {
            if unit.is_empty() {
                return None;
            }
            match hevc_kind(&unit) {
                SEQUENCE_PARAMETER_SET => stream.sets.sequences.push(HevcSequence::read(&unit)?),
                PICTURE_PARAMETER_SET => stream.sets.pictures.push(HevcPicture::read(&unit)?),
                _ => {}
            }
            stream.units.push(unit);
        }
        let ParameterSets { sequences, pictures } = &stream.sets;
        // A second set with the same identifier would replace the first.
        let distinct = |ids: Vec<u32>| ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id));
        (distinct(sequences.iter().map(|set| set.id).collect())
            && distinct(pictures.iter().map(|set| set.id).collect()))
        .then_some(stream)
    }

    /// Parses a sample that contains one picture. Parameter sets in the sample must be those of the configuration.
    fn picture(&self, sample: &[u8]) -> Option<Picture> {
        let mut picture: Option<Picture> = None;
        for unit in units(self.length_size, sample) {
            let unit = unit?;
            let [first, second] = *unit.first_chunk()?;
            let (kind, in_base) = (hevc_kind(unit), first & 1 == 0 && second >> 3 == 0);
            if !in_base {
                return None;
            }
            match kind {
                0..=9 | 16..=21 => {
                    let segment = self.sets.segment(unit)?;
                    let layer = (second & 7).checked_sub(1)?;
                    match (&mut picture, segment.slice) {
                        (None, Some(slice)) if segment.first => {
                            picture = Some(Picture { kind, layer, slice });
                        }
                        (Some(picture), slice) if !segment.first => {
                            if (picture.kind, picture.layer) != (kind, layer) {
                                return None;
                            }
                            picture.add(slice)?;
                        }
                        _ => return None,
                    }
                }
                VIDEO_PARAMETER_SET..=PICTURE_PARAMETER_SET => {
                    if !self.units.iter().any(|known| known == unit) {
                        return None;
                    }
                }
                // Delimiters and filler data.
                35 | 38 => {}
                // Later pictures need the pictures at which decoding may start, with all their messages.
                39 | 40 if has_own_messages(unit) || is_start(self.length_size, sample) => {}
                _ => return None,
            }
        }
        picture
    }
}

impl Picture {
    /// Adds the references of another slice. All slices have the same set of pictures.
    fn add(&mut self, slice: Option<Slice>) -> Option<()> {
        let Some(other) = slice else {
            return Some(());
        };
        let own = &mut self.slice;
        let same =
            (own.order_low, own.order_bits, &own.kept) == (other.order_low, other.order_bits, &other.kept);
        for reference in other.used {
            if !own.used.contains(&reference) {
                own.used.push(reference);
            }
        }
        same.then_some(())
    }

    /// Returns whether the picture starts a new coded video sequence wherever decoding starts: an instantaneous
    /// decoding refresh, or a broken link.
    fn resets(&self) -> bool {
        (16..=20).contains(&self.kind)
    }

    /// Returns whether decoding may start at the picture.
    fn starts(&self) -> bool {
        (16..=21).contains(&self.kind)
    }

    /// Returns whether the picture precedes the picture at which decoding starts in output order.
    fn leads(&self) -> bool {
        (6..=9).contains(&self.kind)
    }

    /// Returns whether later picture order counts are relative to this one (`prevTid0Pic`, 8.3.1).
    fn anchors(&self) -> bool {
        let unreferenced = self.kind <= 14 && self.kind.is_multiple_of(2);
        self.layer == 0 && !self.leads() && !unreferenced
    }
}

/// Returns whether all slices of a sample allow decoding to start.
fn is_start(length_size: u8, sample: &[u8]) -> bool {
    let mut kinds = units(length_size, sample).flatten().map(hevc_kind);
    kinds.all(|kind| kind > 31 || (16..=21).contains(&kind))
}

/// Returns whether the messages of a unit concern its own picture only.
fn has_own_messages(unit: &[u8]) -> bool {
    let payload = unescaped(unit.get(UNIT_HEADER..).unwrap_or_default());
    messages(&payload).all(|message| message.is_some_and(|(kind, _)| OWN_MESSAGES.contains(&kind)))
}

/// The decoded picture buffer, and the state of the picture order count.
#[derive(Debug, Default)]
struct Buffer {
    /// Pictures of the coded video sequence: picture order count and sample.
    sequence: Vec<(i64, usize)>,
    /// Pictures of the sequence that are available for reference.
    held: Vec<(i64, usize)>,
    /// The last picture to which picture order counts are relative, and its order count.
    previous: (usize, i64),
    /// A needed picture to which picture order counts are relative, and the lowest and highest order count of such
    /// pictures since.
    anchor: Anchor,
    /// The last picture at which decoding may start.
    start: usize,
}

#[derive(Debug, Default, Clone, Copy)]
struct Anchor {
    at: usize,
    low: i64,
    high: i64,
}

impl Anchor {
    fn new((at, order): (usize, i64)) -> Self {
        Self {
            at,
            low: order,
            high: order,
        }
    }
}

impl Buffer {
    /// Adds the picture of the next sample, and returns its references.
    fn add(&mut self, at: usize, picture: &Picture) -> Option<Decoded> {
        let slice = &picture.slice;
        let span = 1i64 << slice.order_bits;
        let valid = if picture.starts() {
            picture.layer == 0
        } else {
            at > 0
        };
        if !valid {
            return None;
        }
        let mut decoded = Decoded::default();
        let resets = at == 0 || picture.resets();
        if picture.resets() {
            decoded.order = i64::from(slice.order_low);
        } else {
            // ffmpeg treats the first picture of a stream as if a picture with the order count 0 preceded it.
            decoded.order = self.order(slice.order_low, span);
        }
        let order = decoded.order;
        if resets {
            self.sequence.clear();
            self.held.clear();
            self.anchor = Anchor::new((at, order));
        } else {
            decoded.bases = vec![self.anchor(order, span / 2), self.start];
            decoded.missing = self.keep(slice, order, span)?;
        }
        if self.sequence.iter().any(|(other, _)| *other == order) {
            return None;
        }
        // Pictures that lead the first sample may refer to earlier samples, and nothing else refers to them.
        let outside = (picture.leads() && self.start == 0).then_some(OUTSIDE);
        for &reference in &slice.used {
            decoded.used.push(self.find(reference, order, span)?.or(outside)?);
        }
        self.held.push((order, at));
        self.sequence.push((order, at));
        if picture.starts() {
            self.start = at;
            // ffmpeg reports nothing for these pictures.
            decoded.missing.clear();
        }
        if picture.anchors() {
            self.previous = (at, order);
            self.anchor.low = self.anchor.low.min(order);
            self.anchor.high = self.anchor.high.max(order);
        }
        Some(decoded)
    }

    /// Returns the picture order count with these low bits that is nearest to the previous one (8.3.1).
    fn order(&self, low: u32, span: i64) -> i64 {
        let (low, previous) = (i64::from(low), self.previous.1);
        let previous_low = previous & (span - 1);
        let high = previous - previous_low;
        if low < previous_low && previous_low - low >= span / 2 {
            high + span + low
        } else if low > previous_low && low - previous_low > span / 2 {
            high - span + low
        } else {
            high + low
        }
    }

    /// Returns a picture from which a decoder calculates the picture order count `order`, whichever later pictures are
    /// left out.
    fn anchor(&mut self, order: i64, half: i64) -> usize {
        let Anchor { low, high, .. } = self.anchor;
        if order - low >= half || high - order >= half {
            self.anchor = Anchor::new(self.previous);
        }
        self.anchor.at
    }

    /// Removes the pictures that do not stay available. Returns the order counts of those that should be there.
    fn keep(&mut self, slice: &Slice, order: i64, span: i64) -> Option<Vec<i64>> {
        let (mut kept, mut missing) = (Vec::new(), Vec::new());
        for &reference in &slice.kept {
            match self.find(reference, order, span)? {
                Some(found) => kept.push(found),
                None => missing.push(wanted(reference, order, span)),
            }
        }
        self.held.retain(|(_, at)| kept.contains(at));
        Some(missing)
    }

    /// Returns the sample of a reference, or `Some(None)` if no such picture is available. Returns `None` if decoders
    /// may find different pictures.
    fn find(&self, reference: Reference, order: i64, span: i64) -> Option<Option<usize>> {
        let mut wanted = wanted(reference, order, span);
        if matches!(reference, Reference::Far { cycles: None, .. }) {
            // ffmpeg also finds pictures that are no longer available for reference.
            let matches = |&&(order, _): &&(i64, usize)| order & (span - 1) == wanted;
            let mut found = self.sequence.iter().filter(matches);
            match (found.next(), found.next()) {
                (Some(&(order, _)), None) => wanted = order,
                (None, _) => return Some(None),
                _ => return None,
            }
        }
        let found = self.held.iter().find(|(order, _)| *order == wanted);
        Some(found.map(|(_, at)| *at))
    }
}

/// Returns the picture order count of a reference of the picture with this order count, or its low bits if the slice
/// specifies no other bits.
fn wanted(reference: Reference, order: i64, span: i64) -> i64 {
    match reference {
        Reference::Near(distance) => order + i64::from(distance),
        Reference::Far {
            low,
            cycles: Some(cycles),
        } => order - i64::from(cycles) * span - (order & (span - 1)) + i64::from(low),
        Reference::Far { low, cycles: None } => i64::from(low),
    }
}

#[cfg(test)]
mod tests;
