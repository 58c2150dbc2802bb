//! Syntax elements that the parameter sets and slices of HEVC share (ITU-T H.265, clause 9.2).

use h264_reader::rbsp::BitRead;

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
