//! Payloads of NAL units, and the syntax elements that the parameter sets and slices of HEVC share (ITU-T H.265, clause
//! 9.2).

use std::borrow::Cow;

use h264_reader::rbsp::{BitRead, decode_nal};

/// Returns the payload of a NAL unit with a header of this many bytes, without bytes that prevent emulation. Returns
/// `None` for a unit without a whole header, for which `decode_nal` panics.
pub(in crate::video) fn payload(unit: &[u8], header_bytes: usize) -> Option<Cow<'_, [u8]>> {
    // `decode_nal` skips one byte.
    let unit = unit.get(header_bytes - 1..).filter(|unit| !unit.is_empty())?;
    decode_nal(unit).ok()
}

/// Parses a flag.
pub(in crate::video) fn flag(bits: &mut impl BitRead) -> Option<bool> {
    bits.read_bit("flag").ok()
}

/// Parses an Exp-Golomb number up to `max`.
pub(in crate::video) fn number(bits: &mut impl BitRead, max: u32) -> Option<u32> {
    bits.read_ue("number").ok().filter(|&number| number <= max)
}

/// Parses consecutive Exp-Golomb numbers up to `max`.
pub(in crate::video) fn numbers<const N: usize>(bits: &mut impl BitRead, max: u32) -> Option<[u32; N]> {
    let mut all = [0; N];
    for one in &mut all {
        *one = number(bits, max)?;
    }
    Some(all)
}

/// Parses a number of `count` bits, at most 32; 0 for no bits.
pub(in crate::video) fn fixed(bits: &mut impl BitRead, count: u32) -> Option<u32> {
    match count {
        0 => Some(0),
        1..=32 => bits.read_var(count, "number").ok(),
        _ => None,
    }
}

/// Returns the number of bits of an index into `count` items: `Ceil(Log2(count))`.
pub(in crate::video) fn index_bits(count: u32) -> u32 {
    u32::BITS - count.saturating_sub(1).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_without_a_whole_header_has_no_payload() {
        for (unit, header_bytes, expected) in [
            (&b""[..], 1, None),
            (b"\x67", 1, Some(&b""[..])),
            (b"\x67\x01\0\0\x03\x01", 1, Some(b"\x01\0\0\x01")),
            (b"", 2, None),
            (b"\x42", 2, None),
            (b"\x42\x01", 2, Some(b"")),
            (b"\x42\x01\x07", 2, Some(b"\x07")),
        ] {
            assert_eq!(
                payload(unit, header_bytes).as_deref(),
                expected,
                "{unit:?} {header_bytes}"
            );
        }
    }
}
