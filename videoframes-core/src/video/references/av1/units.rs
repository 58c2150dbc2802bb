//! Open bitstream units and their bits.

use h264_reader::rbsp::{BitRead, BitReader};

/// Identifiers of the layers of a unit (5.3.3).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Layers {
    pub(super) temporal: u8,
    pub(super) spatial: u8,
}

/// Open bitstream unit (5.3).
#[derive(Debug)]
pub(super) struct Unit<'a> {
    pub(super) kind: Kind,
    pub(super) layers: Option<Layers>,
    pub(super) payload: &'a [u8],
}

/// `obu_type`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sequence,
    Delimiter,
    FrameHeader,
    TileGroup,
    Metadata,
    Frame,
    Padding,
    /// Redundant frame headers, tile lists and reserved values.
    Other,
}

/// Iterator over the units of a sample. The last item is `None` if the rest is not a unit.
pub(super) struct Units<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Units<'a> {
    type Item = Option<Unit<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let unit = self.unit();
        if unit.is_none() {
            self.0 = &[];
        }
        Some(unit)
    }
}

impl<'a> Units<'a> {
    fn unit(&mut self) -> Option<Unit<'a>> {
        let (&header, mut rest) = self.0.split_first()?;
        if header & 0x80 != 0 {
            return None; // obu_forbidden_bit
        }
        let mut layers = None;
        if header & 4 != 0 {
            let (&extension, after) = rest.split_first()?;
            layers = Some(Layers {
                temporal: extension >> 5,
                spatial: extension >> 3 & 3,
            });
            rest = after;
        }
        let mut size = rest.len();
        if header & 2 != 0 {
            (size, rest) = size_field(rest)?;
        }
        let (payload, after) = rest.split_at_checked(size)?;
        self.0 = after;
        let kind = match header >> 3 & 15 {
            1 => Kind::Sequence,
            2 => Kind::Delimiter,
            3 => Kind::FrameHeader,
            4 => Kind::TileGroup,
            5 => Kind::Metadata,
            6 => Kind::Frame,
            15 => Kind::Padding,
            _ => Kind::Other,
        };
        Some(Unit {
            kind,
            layers,
            payload,
        })
    }
}

/// Reads `obu_size` (4.10.5), and returns it with the bytes after it.
fn size_field(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(8) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((usize::try_from(value).ok()?, bytes.get(at + 1..)?));
        }
    }
    None
}

/// Reader of the bits of a unit.
pub(super) struct Bits<'a>(BitReader<&'a [u8]>);

impl<'a> Bits<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self(BitReader::new(payload))
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        self.0.read_bit("flag").ok()
    }

    /// Reads a number of at most 32 bits.
    pub(super) fn number(&mut self, bits: u32) -> Option<u32> {
        match bits {
            0 => Some(0),
            _ => self.0.read_var(bits, "number").ok(),
        }
    }

    pub(super) fn skip(&mut self, bits: u32) -> Option<()> {
        self.0.skip(bits, "skipped").ok()
    }

    /// Reads a number of variable length (4.10.3), which has the form of ue(v) in H.264.
    pub(super) fn variable_length(&mut self) -> Option<u32> {
        self.0.read_ue("uvlc").ok()
    }
}
