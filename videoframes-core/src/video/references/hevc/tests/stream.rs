//! Writer of small streams.

use mp4_atom::HvcCArray;

use super::super::*;

pub(super) const TRAILING: u8 = 1;
pub(super) const TRAILING_UNUSED: u8 = 0;
pub(super) const SKIPPED_LEADING: u8 = 9;
pub(super) const BROKEN_LINK: u8 = 18;
pub(super) const REFRESH: u8 = 19;
pub(super) const RANDOM_ACCESS: u8 = 21;

/// Writer of the syntax of HEVC.
#[derive(Default, Clone)]
pub(super) struct Bits(Vec<bool>);

impl Bits {
    /// Appends a number of `count` bits.
    pub(super) fn u(mut self, count: u32, value: u32) -> Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    /// Appends an Exp-Golomb number.
    pub(super) fn ue(self, value: u32) -> Self {
        let bits = (value + 1).ilog2();
        self.u(bits, 0).u(bits + 1, value + 1)
    }

    pub(super) fn ues(self, values: &[u32]) -> Self {
        values.iter().fold(self, |bits, &value| bits.ue(value))
    }

    pub(super) fn all(mut self, other: &Self) -> Self {
        self.0.extend(&other.0);
        self
    }

    /// Returns a NAL unit with this payload, escaped.
    pub(super) fn unit(&self, kind: u8, layer: u8) -> Vec<u8> {
        let mut bits = self.clone().u(1, 1).0;
        bits.resize(bits.len().next_multiple_of(8), false);
        let mut unit = vec![kind << 1, layer + 1];
        let mut zeros = 0;
        for byte in bits
            .chunks(8)
            .map(|bits| bits.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit)))
        {
            if zeros >= 2 && byte <= 3 {
                unit.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            unit.push(byte);
        }
        unit
    }
}

/// Writes a set that is not predicted: distances before and after, each with whether the picture is used.
pub(super) fn explicit(before: &[(u32, bool)], after: &[(u32, bool)]) -> Bits {
    let mut bits = Bits::default().ues(&[before.len() as u32, after.len() as u32]);
    for side in [before, after] {
        let mut last = 0;
        for &(distance, used) in side {
            bits = bits.ue(distance - last - 1).u(1, used.into());
            last = distance;
        }
    }
    bits
}

/// Parameter sets of a test.
#[derive(Clone)]
pub(super) struct Config {
    pub(super) order_bits: u32,
    /// The sets of the sequence parameter set after their number.
    pub(super) sets: Bits,
    pub(super) set_count: u32,
    /// `lt_ref_pic_poc_lsb_sps` and `used_by_curr_pic_lt_sps_flag`.
    pub(super) far: Option<Vec<(u32, bool)>>,
    pub(super) dependent: bool,
    pub(super) modifications: bool,
    pub(super) output_flag: bool,
    pub(super) extra_bits: u32,
    pub(super) active: [u32; 2],
}

impl Default for Config {
    fn default() -> Self {
        Self {
            order_bits: 8,
            sets: Bits::default(),
            set_count: 0,
            far: None,
            dependent: false,
            modifications: false,
            output_flag: false,
            extra_bits: 0,
            active: [1, 1],
        }
    }
}

impl Config {
    pub(super) fn sequence(&self) -> Vec<u8> {
        let mut bits = Bits::default().u(8, 1).u(32, 0).u(8, 0).u(2, 2).u(32, 0).u(22, 0);
        // Identifier, 4:2:0, 64 by 64 samples, no window, 8 bits.
        bits = bits.ues(&[0, 1, 64, 64]).u(1, 0).ues(&[0, 0]);
        bits = bits.ue(self.order_bits - 4).u(1, 1).ues(&[4, 2, 0]);
        // 16 tree blocks; sample adaptive offset.
        bits = bits.ues(&[0, 1, 0, 0, 0, 0]).u(1, 0).u(1, 0).u(1, 1).u(1, 0);
        bits = bits.ue(self.set_count).all(&self.sets);
        bits = bits.u(1, self.far.is_some().into());
        if let Some(far) = &self.far {
            bits = bits.ue(far.len() as u32);
            for &(low, used) in far {
                bits = bits.u(self.order_bits, low).u(1, used.into());
            }
        }
        bits.u(1, 1).u(2, 0).u(1, 0).unit(SEQUENCE_PARAMETER_SET, 0)
    }

    pub(super) fn picture(&self) -> Vec<u8> {
        let flags = [self.dependent, self.output_flag].map(u32::from);
        let mut bits = Bits::default().ues(&[0, 0]).u(1, flags[0]).u(1, flags[1]);
        bits = bits.u(3, self.extra_bits).u(2, 0);
        bits = bits
            .ues(&self.active.map(|count| count - 1))
            .ue(0)
            .u(3, 0)
            .ues(&[0, 0]);
        bits = bits.u(4, 0).u(2, 0).u(1, 0).u(1, 0).u(1, 0);
        bits = bits.u(1, self.modifications.into()).ue(0).u(1, 0).u(1, 0);
        bits.unit(PICTURE_PARAMETER_SET, 0)
    }

    /// Returns the content of `hvcC`.
    pub(super) fn configuration(&self) -> Vec<u8> {
        let array = |nal_unit_type, unit| HvcCArray {
            completeness: true,
            nal_unit_type,
            nalus: vec![unit],
        };
        let mut hvcc = Hvcc::new();
        hvcc.length_size_minus_one = 3;
        hvcc.arrays = vec![
            array(SEQUENCE_PARAMETER_SET, self.sequence()),
            array(PICTURE_PARAMETER_SET, self.picture()),
        ];
        let mut content = Vec::new();
        hvcc.encode_body(&mut content).unwrap();
        content
    }

    /// Writes the beginning of a slice with the number of its first block.
    pub(super) fn segment(&self, kind: u8, block: u32, dependent: bool) -> Bits {
        let mut bits = Bits::default().u(1, (block == 0).into());
        if kind >= 16 {
            bits = bits.u(1, 0);
        }
        bits = bits.ue(0);
        if block > 0 {
            if self.dependent {
                bits = bits.u(1, dependent.into());
            }
            bits = bits.u(4, block);
        }
        bits
    }

    /// Writes an intra slice of a picture at which decoding may start.
    pub(super) fn intra(&self, kind: u8, low: u32) -> Vec<u8> {
        let mut bits = self.segment(kind, 0, false).u(self.extra_bits, 0).ue(2);
        if self.output_flag {
            bits = bits.u(1, 1);
        }
        if kind != REFRESH {
            bits = bits.u(self.order_bits, low).u(1, 0);
            bits = if self.set_count > 0 { bits.u(1, 0) } else { bits }.all(&explicit(&[], &[]));
            if let Some(far) = &self.far {
                bits = if far.is_empty() { bits } else { bits.ue(0) }.ue(0);
            }
            bits = bits.u(1, 0);
        }
        bits.u(2, 0).unit(kind, 0)
    }

    /// Writes a slice with references: `kind` and temporal layer of its unit, order count, set (with its flag), and the
    /// rest of the header.
    pub(super) fn inter(
        &self,
        (kind, layer): (u8, u8),
        block: u32,
        low: u32,
        (bidirectional, set, rest): (bool, &Bits, &Bits),
    ) -> Vec<u8> {
        let mut bits = self.segment(kind, block, false).u(self.extra_bits, 0);
        bits = bits.ue(if bidirectional { 0 } else { 1 });
        if self.output_flag {
            bits = bits.u(1, 1);
        }
        bits = bits.u(self.order_bits, low).all(set);
        // slice_temporal_mvp_enabled_flag and the sample adaptive offset follow the long-term pictures.
        bits.all(rest).u(8, 0xa5).unit(kind, layer)
    }
}

/// Header after the sets: temporal vectors, adaptive offset, and the sizes of the lists if they differ.
pub(super) fn lists(sizes: &[u32]) -> Bits {
    let bits = Bits::default().u(1, 1).u(2, 3);
    match sizes {
        [] => bits.u(1, 0),
        sizes => sizes.iter().fold(bits.u(1, 1), |bits, size| bits.ue(size - 1)),
    }
}

/// Set of a slice that is neither in the sequence parameter set nor predicted from one.
pub(super) fn own(before: &[(u32, bool)], after: &[(u32, bool)]) -> Bits {
    Bits::default().u(1, 0).all(&explicit(before, after))
}

pub(super) fn sample(units: &[Vec<u8>]) -> Vec<u8> {
    let sized = units
        .iter()
        .map(|unit| [&(unit.len() as u32).to_be_bytes()[..], unit].concat());
    sized.collect::<Vec<_>>().concat()
}

pub(super) fn found(config: &Config, samples: &[Vec<Vec<u8>>]) -> Option<Vec<Vec<usize>>> {
    let samples: Vec<Vec<u8>> = samples.iter().map(|units| sample(units)).collect();
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    references(&config.configuration(), &samples)
}

/// Returns the references of the last sample.
pub(super) fn last(config: &Config, samples: &[Vec<Vec<u8>>]) -> Option<Vec<usize>> {
    found(config, samples)?.pop()
}

/// Returns a picture in the base layer that keeps the pictures in `before` and uses the nearest one.
pub(super) fn predicted(config: &Config, low: u32, before: &[u32]) -> Vec<Vec<u8>> {
    let before: Vec<(u32, bool)> = before.iter().map(|&distance| (distance, true)).collect();
    vec![config.inter((TRAILING, 0), 0, low, (false, &own(&before, &[]), &lists(&[])))]
}

/// Returns a stream of a refresh and pictures that each keep all of up to four predecessors.
pub(super) fn chain(config: &Config, count: u32) -> Vec<Vec<Vec<u8>>> {
    let mut stream = vec![vec![config.intra(REFRESH, 0)]];
    for order in 1..count {
        let before: Vec<u32> = (1..=order.min(4)).collect();
        stream.push(predicted(config, order % (1 << config.order_bits), &before));
    }
    stream
}
