//! Properties of single samples of H.264 and HEVC: whether decoding may start at a sample, and whether other
//! samples refer to it.
//!
//! Pure functions on the bytes of a sample in MP4: NAL units, each preceded by its length.

use bytes::{BufMut, Bytes, BytesMut};

use super::Coding;
use super::parameter_sets::bits::payload;

/// Size in bytes of the lengths that [`from_start_codes`] writes.
pub(super) const LENGTH_BYTES: u8 = 4;

/// Whether and how decoding may start at a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The decoder discards its state, so that any sample may precede this one.
    Clean,
    /// All later pictures are correct if decoding starts here. A decoder that has decoded other samples would use
    /// them as missing references, so that a new decoder is needed.
    Fresh,
    /// Later pictures may refer to earlier samples.
    None,
}

/// Returns whether decoding may start at a sample (H.264: 7.4.1.2.4 and D.2.8; HEVC: 3.27 and 7.4.2.2).
#[must_use]
pub fn start(coding: Coding, sample: &[u8]) -> Start {
    match coding {
        Coding::Opaque => Start::Clean,
        Coding::H264 { length_size } => h264_start(length_size, sample),
        Coding::Hevc { length_size, .. } => {
            let kinds = units(length_size, sample).map(|unit| unit.map(hevc_kind));
            let Some(kinds) = kinds.collect::<Option<Vec<_>>>() else {
                return Start::None;
            };
            let mut pictures = kinds.iter().filter(|kind| **kind < 32).peekable();
            if pictures.peek().is_some() && pictures.all(|kind| (16..=21).contains(kind)) {
                Start::Clean
            } else {
                Start::None
            }
        }
    }
}

/// Returns whether no other picture refers to a sample, so that the decoder does not need it.
#[must_use]
pub fn is_droppable(coding: Coding, sample: &[u8]) -> bool {
    match coding {
        Coding::Opaque => false,
        Coding::H264 { length_size } => all_units(length_size, sample, |unit| match unit.first()? & 0x1f {
            1 | 5 => Some(unit[0] & 0x60 == 0),
            // Supplemental messages, delimiters and filler data belong to their picture.
            6 | 9 | 12 => None,
            _ => Some(false),
        }),
        Coding::Hevc {
            length_size,
            highest_layer,
        } => all_units(length_size, sample, |unit| match hevc_kind(unit) {
            kind @ 0..32 => {
                let [first, second] = *unit.first_chunk()?;
                let base = first & 1 == 0 && second >> 3 == 0;
                let layer = (second & 7).checked_sub(1);
                Some(base && layer == Some(highest_layer) && kind <= 14 && kind % 2 == 0)
            }
            35 | 38 | 39 | 40 => None,
            _ => Some(false),
        }),
    }
}

/// Changes a clean random access picture of HEVC to a broken link (3.21). In the standard a broken link means that
/// earlier pictures are not those that the encoder used. Decoders drop pictures that refer to them.
pub fn break_link(coding: Coding, sample: &mut [u8]) {
    const CLEAN_RANDOM_ACCESS: u8 = 21;
    const BROKEN_LINK_WITHOUT_LEADING: u8 = 18;
    let Coding::Hevc { length_size, .. } = coding else {
        return;
    };
    let mut at = 0;
    while let Some((start, end)) = unit_at(length_size, sample, at) {
        if start < end && hevc_kind(&sample[start..end]) == CLEAN_RANDOM_ACCESS {
            sample[start] = sample[start] & 0x81 | BROKEN_LINK_WITHOUT_LEADING << 1;
        }
        at = end;
    }
}

/// Converts NAL units that follow start codes (ITU-T H.264, annex B) to NAL units that follow their lengths.
/// Returns `None` if the data does not begin with a start code.
pub(super) fn from_start_codes(data: &[u8]) -> Option<Bytes> {
    let mut units = BytesMut::with_capacity(data.len() + 16);
    let codes = memchr::memmem::Finder::new(&[0, 0, 1]);
    let first = codes.find(data)?;
    if data[..first].iter().any(|&byte| byte != 0) {
        return None;
    }
    let mut rest = &data[first + 3..];
    loop {
        let next = codes.find(rest);
        let unit = &rest[..next.unwrap_or(rest.len())];
        // Zeros after a unit belong to no unit.
        let length = unit
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        if length > 0 {
            units.put_u32(u32::try_from(length).ok()?);
            units.put_slice(&unit[..length]);
        }
        match next {
            Some(next) => rest = &rest[next + 3..],
            None => return Some(units.freeze()),
        }
    }
}

/// Returns whether a sample contains the parameter sets that decoding needs.
pub(crate) fn has_parameter_sets(coding: Coding, sample: &[u8]) -> bool {
    let kinds = |length_size: u8, kind: fn(&[u8]) -> u8, needed: &[u8]| {
        needed.iter().all(|needed| {
            units(length_size, sample)
                .flatten()
                .any(|unit| kind(unit) == *needed)
        })
    };
    match coding {
        Coding::Opaque => true,
        Coding::H264 { length_size } => kinds(length_size, h264_kind, &[7, 8]),
        Coding::Hevc { length_size, .. } => kinds(length_size, hevc_kind, &[32, 33, 34]),
    }
}

/// Returns whether a sample contains exactly one picture, and begins with its first slice.
pub(super) fn is_one_picture(codec: &str, sample: &[u8]) -> bool {
    // Whether a unit is a slice, and whether it is the first slice of its picture.
    let slice = |unit: &[u8]| match codec {
        "h264" => matches!(h264_kind(unit), 1..=5).then(|| unit.get(1).is_some_and(|byte| byte & 0x80 != 0)),
        _ => (hevc_kind(unit) < 32).then(|| unit.get(2).is_some_and(|byte| byte & 0x80 != 0)),
    };
    let mut slices = units(LENGTH_BYTES, sample).flatten().filter_map(slice);
    slices.next() == Some(true) && !slices.any(|first| first)
}

/// Returns whether at least one unit confirms a property and no unit denies it.
fn all_units(length_size: u8, sample: &[u8], says: impl Fn(&[u8]) -> Option<bool>) -> bool {
    let mut any = false;
    for unit in units(length_size, sample) {
        match unit.map(&says) {
            None | Some(Some(false)) => return false,
            Some(Some(true)) => any = true,
            Some(None) => {}
        }
    }
    any
}

/// Returns the NAL units of a sample; `None` for invalid bytes.
pub(super) fn units(length_size: u8, sample: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= sample.len() {
            return None;
        }
        let unit = unit_at(length_size, sample, at);
        at = unit.map_or(sample.len(), |(_, end)| end);
        Some(
            unit.map(|(start, end)| &sample[start..end])
                .filter(|unit| !unit.is_empty()),
        )
    })
}

/// Returns start and end of the unit whose length is stored at `at`.
fn unit_at(length_size: u8, sample: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = at.checked_add(usize::from(length_size))?;
    let length = sample
        .get(at..start)?
        .iter()
        .fold(0, |length, &byte| length << 8 | usize::from(byte));
    let end = start.checked_add(length)?;
    (end <= sample.len()).then_some((start, end))
}

fn h264_kind(unit: &[u8]) -> u8 {
    unit[0] & 0x1f
}

pub(super) fn hevc_kind(unit: &[u8]) -> u8 {
    unit[0] >> 1 & 0x3f
}

fn h264_start(length_size: u8, sample: &[u8]) -> Start {
    let mut recovers = false;
    let mut start = None;
    for unit in units(length_size, sample) {
        let Some(unit) = unit else {
            return Start::None;
        };
        match unit[0] & 0x1f {
            5 if start != Some(Start::Fresh) => start = Some(Start::Clean),
            1 if recovers && start != Some(Start::Clean) => start = Some(Start::Fresh),
            1..=5 => return Start::None,
            6 => recovers |= recovers_at_once(unit),
            _ => {}
        }
    }
    start.unwrap_or(Start::None)
}

/// Returns whether a supplemental message declares all pictures from this one on correct: a recovery point with
/// `recovery_frame_cnt` 0.
fn recovers_at_once(unit: &[u8]) -> bool {
    const RECOVERY_POINT: usize = 6;
    let Some(payload) = payload(unit, 1) else {
        return false;
    };
    for message in messages(&payload) {
        match message {
            // The Exp-Golomb code of 0 is a single 1 bit.
            Some((RECOVERY_POINT, content)) => return content.first().is_some_and(|byte| byte & 0x80 != 0),
            Some(_) => {}
            None => return false,
        }
    }
    false
}

/// Returns kinds and contents of the supplemental messages in the payload of a unit (ITU-T H.264, 7.3.2.3). An
/// incomplete message is `None` and the last item.
pub(super) fn messages(payload: &[u8]) -> impl Iterator<Item = Option<(usize, &[u8])>> {
    // Kind and size are each the sum of bytes up to the first byte other than 255.
    fn sum(rest: &mut &[u8]) -> Option<usize> {
        let mut total = 0usize;
        loop {
            let (&byte, tail) = rest.split_first()?;
            *rest = tail;
            total += usize::from(byte);
            if byte != 255 {
                return Some(total);
            }
        }
    }
    fn next<'a>(rest: &mut &'a [u8]) -> Option<(usize, &'a [u8])> {
        let (kind, size) = (sum(rest)?, sum(rest)?);
        let (content, tail) = rest.split_at_checked(size)?;
        *rest = tail;
        Some((kind, content))
    }
    let mut rest = payload;
    std::iter::from_fn(move || {
        // A single remaining byte contains the stop bit.
        if rest.len() <= 1 {
            return None;
        }
        let message = next(&mut rest);
        if message.is_none() {
            rest = &[];
        }
        Some(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const H264: Coding = Coding::H264 { length_size: 4 };
    const HEVC: Coding = Coding::Hevc {
        length_size: 2,
        highest_layer: 1,
    };

    fn sample(length_size: usize, units: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for unit in units {
            bytes.extend_from_slice(&(unit.len() as u32).to_be_bytes()[4 - length_size..]);
            bytes.extend_from_slice(unit);
        }
        bytes
    }

    /// Returns the header of an HEVC unit of `kind` in temporal layer `layer`.
    fn hevc(kind: u8, layer: u8) -> [u8; 3] {
        [kind << 1, layer + 1, 0x80]
    }

    #[test]
    fn h264_starts_at_idr_and_at_exact_recovery_points_only() {
        let delimiter: &[u8] = &[9, 0x10];
        let cases: [(&[&[u8]], Start); 6] = [
            (&[delimiter, &[0x65, 0x88]], Start::Clean),
            (&[delimiter, &[6, 6, 1, 0xc4, 0x80], &[0x41, 0x9a]], Start::Fresh),
            // recovery_frame_cnt 1: pictures are correct one frame later.
            (&[&[6, 6, 1, 0x54, 0x80], &[0x41, 0x9a]], Start::None),
            (&[&[6, 5, 2, 1, 2, 0x80], &[0x41, 0x9a]], Start::None),
            (&[&[0x41, 0x9a]], Start::None),
            (&[delimiter], Start::None),
        ];
        for (units, expected) in cases {
            assert_eq!(start(H264, &sample(4, units)), expected, "{units:x?}");
        }
        assert_eq!(start(H264, &[0, 0, 0, 9, 0x65]), Start::None, "a truncated unit");
    }

    #[test]
    fn h264_pictures_without_a_reference_flag_are_droppable() {
        assert!(is_droppable(
            H264,
            &sample(4, &[&[6, 1], &[0x01, 0x9a], &[0x01, 0x9a]])
        ));
        // A slice with references to it, or a parameter set, keeps the sample.
        assert!(!is_droppable(H264, &sample(4, &[&[0x01, 0x9a], &[0x21, 0x9a]])));
        assert!(!is_droppable(H264, &sample(4, &[&[0x68, 1], &[0x01, 0x9a]])));
        assert!(!is_droppable(H264, &sample(4, &[&[6, 1]])) && !is_droppable(H264, &[]));
    }

    #[test]
    fn hevc_drops_only_the_highest_layer_and_starts_only_at_random_access_points() {
        assert!(is_droppable(HEVC, &sample(2, &[&hevc(0, 1)])));
        assert!(!is_droppable(HEVC, &sample(2, &[&hevc(0, 0)])), "a lower layer");
        assert!(!is_droppable(HEVC, &sample(2, &[&hevc(1, 1)])), "a reference");
        assert!(!is_droppable(HEVC, &sample(2, &[&hevc(33, 0), &hevc(0, 1)])));
        for (kind, expected) in [
            (19, Start::Clean),
            (20, Start::Clean),
            (21, Start::Clean),
            (1, Start::None),
            (22, Start::None),
        ] {
            let units = [&hevc(35, 0)[..], &hevc(kind, 0)];
            assert_eq!(start(HEVC, &sample(2, &units)), expected, "{kind}");
        }
    }

    #[test]
    fn clean_random_access_becomes_a_broken_link_in_all_its_slices() {
        let mut bytes = sample(2, &[&hevc(39, 0), &hevc(21, 0), &hevc(21, 0)]);
        break_link(HEVC, &mut bytes);
        assert_eq!(bytes, sample(2, &[&hevc(39, 0), &hevc(18, 0), &hevc(18, 0)]));
        let mut idr = sample(2, &[&hevc(19, 0)]);
        break_link(HEVC, &mut idr);
        assert_eq!(idr, sample(2, &[&hevc(19, 0)]));
    }
}
