//! References between the temporal units of AV1 (AV1 Bitstream & Decoding Process Specification, version 1.0.0 with
//! errata 1; section numbers refer to it).
//!
//! A frame names at most seven of the eight slots for reference frames. All it inherits comes from these slots: samples,
//! motion vectors, CDFs, segmentation, filter deltas, global motion and film grain. `primary_ref_frame` and
//! `film_grain_params_ref_idx` select among the named slots, also if no block is predicted from them. Decoders check
//! every named slot, so that a slot counts as referenced even if no block uses it.
//!
//! A decoder that does not receive a sample keeps older frames in the slots which the sample would refresh. That does
//! not matter as long as no later sample names these slots before they are refreshed again. Three parts of a header
//! depend on more than the named slots:
//!
//! - `frame_refs_short_signaling` derives the slots from the order hints of all slots: all slots count as referenced.
//! - `ref_order_hint` lists the order hints of all slots. libaom replaces frames of slots that differ by grey, dav1d
//!   ignores the list. Slots that differ because of a missing sample are not referenced.
//! - `current_frame_id` is compared with that of the preceding frame, see [`FrameIds`].

use h264_reader::rbsp::{BitRead, BitReader};

/// Number of slots for reference frames (`NUM_REF_FRAMES`).
const SLOTS: usize = 8;
/// Number of references of an inter frame (`REFS_PER_FRAME`).
const REFERENCES: usize = 7;
/// Set of all slots.
const ALL_SLOTS: u8 = 0xff;

/// Returns for each sample the indices of the earlier samples to which it directly refers. `configuration` is the
/// content of `av1C`. `samples` are consecutive in decode order and begin with a shown key frame.
///
/// Returns `None` for anything unusual, such as spatial layers, a changed sequence header, or a sample that does not
/// show exactly one frame. Missing tiles are not noticed.
pub(crate) fn references(configuration: &[u8], samples: &[&[u8]]) -> Option<Vec<Vec<usize>>> {
    let mut stream = Stream::new(configuration)?;
    let samples = samples.iter().enumerate();
    samples
        .map(|(index, sample)| stream.sample(index, sample))
        .collect()
}

/// State of the decoding process after some samples.
#[derive(Debug, Default)]
struct Stream<'a> {
    /// The sequence header and its bytes.
    sequence: Option<(&'a [u8], Sequence)>,
    /// Light level and mastering display of the first sample, in this order.
    light: [Option<&'a [u8]>; 2],
    /// Contents of the slots; `None` before the first key frame.
    slots: Option<[Slot; SLOTS]>,
    ids: FrameIds,
}

/// Frame in a slot.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Sample that has refreshed the slot.
    sample: usize,
    is_key: bool,
    showable: bool,
    order_hint: u32,
}

/// State of a sample after some of its units.
#[derive(Debug, Default)]
struct Progress {
    references: Vec<usize>,
    /// Number of frames for display.
    shown: usize,
    frame: Frame,
}

/// State of the current frame.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Frame {
    #[default]
    None,
    /// The frame has a header and needs tiles.
    Header,
    /// The frame has tiles.
    Tiles,
}

impl<'a> Stream<'a> {
    /// Reads the sequence header in `configuration`, if there is one.
    fn new(configuration: &'a [u8]) -> Option<Self> {
        let mut stream = Self::default();
        let [0x81, _, _, _, units @ ..] = configuration else {
            return None;
        };
        for unit in Units(units) {
            let unit = unit?;
            match unit.kind {
                Kind::Sequence => stream.sequence(unit.payload)?,
                Kind::Metadata | Kind::Padding => {}
                _ => return None,
            }
        }
        Some(stream)
    }

    /// Applies a sample to the slots, and returns its references.
    fn sample(&mut self, index: usize, sample: &'a [u8]) -> Option<Vec<usize>> {
        let mut progress = Progress::default();
        for unit in Units(sample) {
            let unit = unit?;
            match unit.kind {
                Kind::Sequence if progress.frame != Frame::Header => self.sequence(unit.payload)?,
                Kind::FrameHeader | Kind::Frame if progress.frame != Frame::Header => {
                    self.frame(index, &unit, &mut progress)?;
                }
                Kind::TileGroup if progress.frame != Frame::None => progress.frame = Frame::Tiles,
                Kind::Metadata => self.metadata(index, unit.payload)?,
                Kind::Delimiter | Kind::Padding => {}
                _ => return None,
            }
            let sequence = self.sequence.as_ref();
            if sequence.is_some_and(|(_, sequence)| !sequence.decodes(unit.layers)) {
                return None;
            }
        }
        (progress.shown == 1 && progress.frame != Frame::Header).then_some(progress.references)
    }

    /// Reads a sequence header. Another header would discard all slots, and its sample might not be kept.
    fn sequence(&mut self, payload: &'a [u8]) -> Option<()> {
        match &self.sequence {
            Some((known, _)) => (*known == payload).then_some(()),
            None => {
                self.sequence = Some((payload, Sequence::read(payload)?));
                Some(())
            }
        }
    }

    /// Checks metadata. Decoders apply light level and mastering display to all later frames, so that values after
    /// those of the first sample would be lost with their sample.
    fn metadata(&mut self, index: usize, payload: &'a [u8]) -> Option<()> {
        /// `METADATA_TYPE_SCALABILITY`
        const SCALABILITY: u8 = 3;
        match *payload.first()? {
            kind @ (1 | 2) => {
                let light = self.light.get_mut(usize::from(kind) - 1)?;
                if index == 0 && light.is_none() {
                    *light = Some(payload);
                }
                (*light == Some(payload)).then_some(())
            }
            SCALABILITY => None,
            _ => Some(()),
        }
    }

    /// Reads the header of a frame of sample `index`, and applies it to the slots.
    fn frame(&mut self, index: usize, unit: &Unit, progress: &mut Progress) -> Option<()> {
        let (_, sequence) = self.sequence.as_ref()?;
        match Header::read(sequence, unit)? {
            Header::Existing { slot } => {
                let slots = self.slots.as_mut()?;
                let shown = *slots.get(slot)?;
                if !shown.showable || unit.kind == Kind::Frame {
                    return None;
                }
                progress.refer(index, shown);
                progress.shown += 1;
                progress.frame = Frame::None;
                if shown.is_key {
                    // All slots receive the key frame (7.21). Its identifier becomes the current one.
                    *slots = [Slot {
                        sample: index,
                        showable: false,
                        ..shown
                    }; SLOTS];
                    return sequence.ids.is_none().then_some(());
                }
            }
            Header::Coded(header) => {
                if let Some((bits, _)) = sequence.ids {
                    self.ids.next(bits, &header)?;
                }
                let frame = Slot {
                    sample: index,
                    is_key: header.kind == FrameKind::Key,
                    showable: header.showable,
                    order_hint: header.order_hint,
                };
                if header.is_shown_key() {
                    self.slots = Some([frame; SLOTS]);
                }
                let slots = self.slots.as_mut()?;
                header.named(slots).for_each(|slot| progress.refer(index, slot));
                if !header.agrees(slots) {
                    return None;
                }
                let refreshed = slots.iter_mut().enumerate();
                for (_, slot) in refreshed.filter(|(at, _)| header.refreshed >> at & 1 == 1) {
                    *slot = frame;
                }
                progress.shown += usize::from(header.shown);
                progress.frame = match unit.kind {
                    Kind::Frame => Frame::Tiles,
                    _ => Frame::Header,
                };
            }
        }
        Some(())
    }
}

impl Progress {
    /// Adds a reference of sample `index`, unless the sample itself has refreshed the slot.
    fn refer(&mut self, index: usize, slot: Slot) {
        if slot.sample != index && !self.references.contains(&slot.sample) {
            self.references.push(slot.sample);
        }
    }
}

/// Identifiers of frames since a shown key frame.
///
/// libaom requires that the difference between the identifiers of successive frames is positive and less than half of
/// their range. If this also holds for the sum of the differences, it holds without any of the frames.
#[derive(Debug, Default)]
struct FrameIds {
    last: u32,
    sum: u32,
}

impl FrameIds {
    /// Checks the identifier of the next frame, which has this number of bits.
    fn next(&mut self, bits: u32, header: &CodedFrame) -> Option<()> {
        let range = 1_u32.checked_shl(bits)?;
        if header.is_shown_key() {
            self.sum = 0;
        } else {
            let difference = header.id.wrapping_sub(self.last) % range;
            self.sum = self.sum.saturating_add(difference);
            if difference == 0 || self.sum >= range / 2 {
                return None;
            }
        }
        self.last = header.id;
        Some(())
    }
}

/// Parts of a sequence header (5.5) that frame headers depend on.
#[derive(Debug, Default)]
struct Sequence {
    /// Layers that are decoded; 0 for all (`operating_point_idc` of the first operating point).
    layers: u32,
    model: Option<DecoderModel>,
    /// Layers of each operating point with a decoder model.
    models: Vec<u32>,
    /// Number of bits of `frame_presentation_time`; 0 if frames do not contain it.
    presentation_bits: u32,
    /// Number of bits of identifiers and their differences.
    ids: Option<(u32, u32)>,
    /// `seq_force_screen_content_tools`, unless frames select it.
    screen_content: Option<bool>,
    /// Whether frames with tools for screen content contain `force_integer_mv`.
    selects_integer_mv: bool,
    /// Number of bits of order hints; 0 without order hints.
    order_hint_bits: u32,
}

/// Sizes in bits of the times in the decoder model (5.5.4).
#[derive(Debug, Clone, Copy)]
struct DecoderModel {
    delay_bits: u32,
    removal_bits: u32,
    presentation_bits: u32,
}

impl Sequence {
    fn read(payload: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(payload);
        let mut sequence = Self::default();
        bits.skip(3 + 1)?; // seq_profile, still_picture
        if bits.flag()? {
            return None; // reduced_still_picture_header
        }
        sequence.timing(&mut bits)?;
        sequence.operating_points(&mut bits)?;
        let width_bits = bits.number(4)? + 1;
        let height_bits = bits.number(4)? + 1;
        bits.skip(width_bits + height_bits)?;
        if bits.flag()? {
            let difference_bits = bits.number(4)? + 2;
            sequence.ids = Some((bits.number(3)? + difference_bits + 1, difference_bits));
        }
        bits.skip(3 + 4)?; // use_128x128_superblock … enable_dual_filter
        let has_order_hints = bits.flag()?;
        if has_order_hints {
            bits.skip(2)?; // enable_jnt_comp, enable_ref_frame_mvs
        }
        let selects_screen_content = bits.flag()?;
        if !selects_screen_content {
            sequence.screen_content = Some(bits.flag()?);
        }
        if sequence.screen_content != Some(false) {
            sequence.selects_integer_mv = bits.flag()?;
            if !sequence.selects_integer_mv {
                bits.skip(1)?; // seq_force_integer_mv
            }
        }
        if has_order_hints {
            sequence.order_hint_bits = bits.number(3)? + 1;
        }
        Some(sequence)
    }

    fn timing(&mut self, bits: &mut Bits) -> Option<()> {
        if !bits.flag()? {
            return Some(());
        }
        bits.skip(32 + 32)?; // num_units_in_display_tick, time_scale
        let equal_intervals = bits.flag()?;
        if equal_intervals {
            bits.variable_length()?; // num_ticks_per_picture_minus_1
        }
        if bits.flag()? {
            let delay_bits = bits.number(5)? + 1;
            bits.skip(32)?; // num_units_in_decoding_tick
            let model = DecoderModel {
                delay_bits,
                removal_bits: bits.number(5)? + 1,
                presentation_bits: bits.number(5)? + 1,
            };
            self.model = Some(model);
            if !equal_intervals {
                self.presentation_bits = model.presentation_bits;
            }
        }
        Some(())
    }

    fn operating_points(&mut self, bits: &mut Bits) -> Option<()> {
        let has_display_delay = bits.flag()?;
        for point in 0..=bits.number(5)? {
            let layers = bits.number(12)?;
            if point == 0 {
                self.layers = layers;
            }
            if bits.number(5)? > 7 {
                bits.skip(1)?; // seq_tier
            }
            if let Some(model) = self.model
                && bits.flag()?
            {
                self.models.push(layers);
                bits.skip(2 * model.delay_bits + 1)?;
            }
            if has_display_delay && bits.flag()? {
                bits.skip(4)?; // initial_display_delay_minus_1
            }
        }
        // With spatial layers a temporal unit has several frames for display.
        (self.layers == 0 || self.layers >> 8 == 1).then_some(())
    }

    /// Returns whether decoders decode a unit with these identifiers of its layers, if it has them.
    fn decodes(&self, layers: Option<Layers>) -> bool {
        layers.is_none_or(|unit| {
            unit.spatial == 0 && (self.layers == 0 || self.layers >> unit.temporal & 1 == 1)
        })
    }
}

/// Parts of a frame header (5.9.2).
#[derive(Debug)]
enum Header {
    /// The frame in a slot is displayed.
    Existing {
        slot: usize,
    },
    Coded(CodedFrame),
}

/// `frame_type`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FrameKind {
    Key,
    Inter,
    IntraOnly,
    Switch,
}

/// Header of a coded frame.
#[derive(Debug)]
struct CodedFrame {
    kind: FrameKind,
    shown: bool,
    showable: bool,
    id: u32,
    order_hint: u32,
    /// Slots that receive the frame, one per bit.
    refreshed: u8,
    /// Slots to which the frame refers, one per bit.
    named: u8,
    /// `ref_order_hint`
    order_hints: Option<[u32; SLOTS]>,
}

impl Header {
    fn read(sequence: &Sequence, unit: &Unit) -> Option<Self> {
        let mut bits = Bits::new(unit.payload);
        if bits.flag()? {
            let slot = bits.number(3)? as usize;
            return Some(Self::Existing { slot });
        }
        let kind = match bits.number(2)? {
            0 => FrameKind::Key,
            1 => FrameKind::Inter,
            2 => FrameKind::IntraOnly,
            _ => FrameKind::Switch,
        };
        let is_intra = matches!(kind, FrameKind::Key | FrameKind::IntraOnly);
        let shown = bits.flag()?;
        if shown {
            bits.skip(sequence.presentation_bits)?;
        }
        let showable = if shown {
            kind != FrameKind::Key
        } else {
            bits.flag()?
        };
        let refreshes_all = kind == FrameKind::Switch || kind == FrameKind::Key && shown;
        let error_resilient = refreshes_all || bits.flag()?;
        bits.skip(1)?; // disable_cdf_update
        let screen_content = match sequence.screen_content {
            Some(forced) => forced,
            None => bits.flag()?,
        };
        if screen_content && sequence.selects_integer_mv {
            bits.skip(1)?; // force_integer_mv
        }
        let id = match sequence.ids {
            Some((id_bits, _)) => bits.number(id_bits)?,
            None => 0,
        };
        if kind != FrameKind::Switch {
            bits.skip(1)?; // frame_size_override_flag
        }
        let order_hint = bits.number(sequence.order_hint_bits)?;
        if !is_intra && !error_resilient {
            bits.skip(3)?; // primary_ref_frame
        }
        bits.removal_times(sequence, unit.layers.unwrap_or_default())?;
        let refreshed = if refreshes_all {
            ALL_SLOTS
        } else {
            bits.number(8)? as u8
        };
        if kind == FrameKind::IntraOnly && refreshed == ALL_SLOTS {
            return None; // not permitted (6.8.2)
        }
        let mut header = CodedFrame {
            kind,
            shown,
            showable,
            id,
            order_hint,
            refreshed,
            named: 0,
            order_hints: None,
        };
        if error_resilient && sequence.order_hint_bits > 0 && (!is_intra || refreshed != ALL_SLOTS) {
            let mut hints = [0; SLOTS];
            for hint in &mut hints {
                *hint = bits.number(sequence.order_hint_bits)?;
            }
            header.order_hints = Some(hints);
        }
        if !is_intra {
            header.named = bits.named(sequence)?;
        }
        Some(Self::Coded(header))
    }
}

impl CodedFrame {
    fn is_shown_key(&self) -> bool {
        self.kind == FrameKind::Key && self.shown
    }

    /// Returns the slots to which the frame refers.
    fn named(&self, slots: &[Slot; SLOTS]) -> impl Iterator<Item = Slot> {
        let slots = slots.iter().copied().enumerate();
        slots
            .filter(|(at, _)| self.named >> at & 1 == 1)
            .map(|(_, slot)| slot)
    }

    /// Returns whether the slots have the order hints that the header lists, if it does. Otherwise frames were lost,
    /// and decoders differ.
    fn agrees(&self, slots: &[Slot; SLOTS]) -> bool {
        self.order_hints
            .is_none_or(|hints| slots.iter().map(|slot| slot.order_hint).eq(hints))
    }
}

/// Identifiers of the layers of a unit (5.3.3).
#[derive(Debug, Clone, Copy, Default)]
struct Layers {
    temporal: u8,
    spatial: u8,
}

/// Open bitstream unit (5.3).
#[derive(Debug)]
struct Unit<'a> {
    kind: Kind,
    layers: Option<Layers>,
    payload: &'a [u8],
}

/// `obu_type`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
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
struct Units<'a>(&'a [u8]);

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
struct Bits<'a>(BitReader<&'a [u8]>);

impl<'a> Bits<'a> {
    fn new(payload: &'a [u8]) -> Self {
        Self(BitReader::new(payload))
    }

    fn flag(&mut self) -> Option<bool> {
        self.0.read_bit("flag").ok()
    }

    /// Reads a number of at most 32 bits.
    fn number(&mut self, bits: u32) -> Option<u32> {
        match bits {
            0 => Some(0),
            _ => self.0.read_var(bits, "number").ok(),
        }
    }

    fn skip(&mut self, bits: u32) -> Option<()> {
        self.0.skip(bits, "skipped").ok()
    }

    /// Reads a number of variable length (4.10.3), which has the form of ue(v) in H.264.
    fn variable_length(&mut self) -> Option<u32> {
        self.0.read_ue("uvlc").ok()
    }

    /// Skips the times at which frames leave the buffer, for the operating points with the layers of the frame.
    fn removal_times(&mut self, sequence: &Sequence, layers: Layers) -> Option<()> {
        let Some(model) = sequence.model else {
            return Some(());
        };
        if self.flag()? {
            let unit = 1 << layers.temporal | 1 << (layers.spatial + 8);
            let has_time = |point: &&u32| **point == 0 || **point & unit == unit;
            for _ in sequence.models.iter().filter(has_time) {
                self.skip(model.removal_bits)?;
            }
        }
        Some(())
    }

    /// Reads the slots to which an inter frame refers, one per bit.
    fn named(&mut self, sequence: &Sequence) -> Option<u8> {
        if sequence.order_hint_bits > 0 && self.flag()? {
            // last_frame_idx and gold_frame_idx. The others depend on the order hints of all slots (7.8).
            return Some(ALL_SLOTS);
        }
        let mut named = 0;
        for _ in 0..REFERENCES {
            named |= 1 << self.number(3)?;
            if let Some((_, difference_bits)) = sequence.ids {
                self.skip(difference_bits)?; // delta_frame_id_minus_1
            }
        }
        Some(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURATION: &[u8] = &[0x81, 0, 0, 0];

    /// SVT-AV1 with three hierarchical levels. The tiles are cut off.
    const HIERARCHICAL: [(&str, &[usize]); 12] = [
        ("0a0a00000002afff9f7f3008 320a1400a8e090dd4466e8e1", &[]),
        (
            "320a2904001249249eb40203320a2902008249001abd8000320a290142024936cac28000320a3201880492b6958c0000",
            &[0],
        ),
        ("1a01d8", &[1]),
        ("320a3203000b6d6d958c0000", &[1]),
        ("1a01b8", &[1]),
        ("320a290302036d800ac28000320a32058006dbb6958c0000", &[1]),
        ("1a01d8", &[5]),
        ("320a3207000b6d00158c0000", &[1, 5]),
        ("1a0188", &[1]),
        ("320a320904000000158c0051", &[1]),
        ("320a320a02000000357b0041", &[1]),
        ("320a320b00092492158c0051", &[10]),
    ];

    /// libaom with error resilience, which adds identifiers and the order hints of all slots.
    const RESILIENT: [(&str, &[usize]); 5] = [
        (
            "0a0b00000002affff036be4010 321e1400dc004800082184100414dd350069cfe20b317d46272adc794e0f66dd",
            &[],
        ),
        (
            "321e3a00700204000000000000000000000000000000000000000000008ac000",
            &[0],
        ),
        (
            "321e3a00720408000800000000002000000040002000100008000400028ada00",
            &[0, 1],
        ),
        (
            "321e3a00740610000820000000004000100040004000200010000800048ad600",
            &[0, 1, 2],
        ),
        (
            "321e3a00760820000820600000006000200048004000300018000c00068ad400",
            &[0, 1, 2, 3],
        ),
    ];

    /// libaom with a key frame that is hidden in sample 10 and shown by sample 16.
    const FORWARD_KEY: [(&str, &[usize]); 20] = [
        ("0a0a00000002afff9b5f2008320a1400202000008000a0dd", &[]),
        (
            "320a2904f020000011a0c000320a29027040000051a18000320a29014080002051a1c000320a3201e2000068a3440000",
            &[0],
        ),
        ("1a01b8", &[1]),
        ("320a320324070040a3440000", &[0, 1]),
        ("1a01a8", &[1]),
        ("320a29032402ac4051a16000320a3205300558d0a3438000", &[0, 1, 3]),
        ("1a01e8", &[5]),
        ("320a3207220dd0aca3434000", &[0, 1, 3, 5]),
        ("320a32080109b854a3434000", &[0, 1, 3, 5, 7]),
        ("320a3209000730e8a3458000", &[0, 1, 5, 7, 8]),
        (
            "0a0a00000002afff9b5f2008320a090810080000d907cff5320a29067043988f51a04000320a320af0073142a3420000",
            &[0, 1, 5, 7, 8],
        ),
        ("320a320b080ee142a3420000", &[0, 1, 7, 8, 10]),
        ("1a01a8", &[10]),
        (
            "320a29070102dc8751a02000320a320d2105b982a3418000",
            &[0, 1, 8, 10, 11],
        ),
        ("1a01c8", &[13]),
        ("320a320f3008d11aa3414000", &[0, 1, 10, 11, 13]),
        ("1a01d8", &[10]),
        (
            "320a290be020000011a00040320a2909f040000051a000e0320a3211e1000040a340c000",
            &[16],
        ),
        ("320a321202060040a3408000", &[16, 17]),
        ("1a01a8", &[17]),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(|digit| *digit != b' ').collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    fn samples(table: &[(&str, &[usize])]) -> Vec<Vec<u8>> {
        table.iter().map(|(hex, _)| bytes(hex)).collect()
    }

    /// Returns the references with ascending indices.
    fn found(samples: &[Vec<u8>]) -> Option<Vec<Vec<usize>>> {
        let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
        let mut found = references(CONFIGURATION, &samples)?;
        found.iter_mut().for_each(|indices| indices.sort_unstable());
        Some(found)
    }

    /// Returns a unit with a payload of binary digits and one byte of zeros.
    fn unit(kind: u8, digits: &str) -> Vec<u8> {
        extended(kind, None, digits)
    }

    fn extended(kind: u8, layers: Option<(u8, u8)>, digits: &str) -> Vec<u8> {
        let digits: Vec<u8> = digits
            .bytes()
            .filter(u8::is_ascii_digit)
            .map(|digit| digit - b'0')
            .collect();
        let byte = |digits: &[u8]| {
            digits
                .iter()
                .enumerate()
                .fold(0, |byte, (at, digit)| byte | digit << (7 - at))
        };
        let mut unit = vec![kind << 3 | 2];
        if let Some((temporal, spatial)) = layers {
            unit[0] |= 4;
            unit.push(temporal << 5 | spatial << 3);
        }
        unit.push(digits.len().div_ceil(8) as u8 + 1);
        unit.extend(digits.chunks(8).map(byte));
        unit.push(0);
        unit
    }

    const SEQUENCE: u8 = 1;
    const HEADER: u8 = 3;
    const TILES: u8 = 4;
    const METADATA: u8 = 5;
    const FRAME: u8 = 6;

    /// Neither timing nor more than one operating point.
    const PLAIN: &str = "0 0 00000 000000000000 00000";
    /// Shown key frame with order hint 1.
    const KEY: &str = "0 00 1 0 0 0 0001";

    /// Returns a sequence header with order hints of four bits, after the parts on timing and operating points.
    fn sequence(parts: &str) -> Vec<u8> {
        unit(
            SEQUENCE,
            &format!("000 0 0 {parts} 0000 0000 0 0 0 000 0000 1 00 1 1 011 1"),
        )
    }

    /// Returns the first sample of a stream, with a key frame.
    fn start() -> Vec<u8> {
        [sequence(PLAIN), unit(FRAME, KEY)].concat()
    }

    /// Returns the header of a frame for display that is not error resilient, with order hint 2.
    fn inter(refreshed: &str, names: &str) -> String {
        format!("0 01 1 0 0 0 0 0010 111 {refreshed} {names}")
    }

    /// Names slot 0 seven times.
    const FIRST: &str = "0 000 000 000 000 000 000 000";
    /// Names slots 0 and 1.
    const BOTH: &str = "0 000 001 000 001 000 000 000";

    #[test]
    fn finds_the_references_of_encoders() {
        for table in [&HIERARCHICAL[..], &RESILIENT, &FORWARD_KEY] {
            let expected: Vec<Vec<usize>> = table.iter().map(|(_, indices)| indices.to_vec()).collect();
            assert_eq!(found(&samples(table)), Some(expected));
        }
    }

    #[test]
    fn reads_the_sequence_header_from_the_configuration() {
        let first = bytes(HIERARCHICAL[0].0);
        let (header, frame) = first.split_at(12);
        let configuration = [CONFIGURATION, header].concat();
        assert_eq!(references(&configuration, &[frame]), Some(vec![vec![]]));
        assert_eq!(references(&configuration, &[&first]), Some(vec![vec![]]));
        assert_eq!(references(CONFIGURATION, &[frame]), None);
        assert_eq!(references(header, &[frame]), None);
        // The last unit may lack a size.
        let unsized_frame = [&[frame[0] & !2], &frame[2..]].concat();
        assert_eq!(references(&configuration, &[&unsized_frame]), Some(vec![vec![]]));
    }

    #[test]
    fn refers_to_all_named_slots() {
        let second = |header: &str| {
            vec![
                start(),
                unit(FRAME, &inter("00000010", FIRST)),
                unit(FRAME, header),
            ]
        };
        let hints = "0001 0010 0001 0001 0001 0001 0001 0001";
        let cases = [
            (inter("00000000", FIRST), Some(vec![0])),
            (inter("00000000", BOTH), Some(vec![0, 1])),
            // Short signaling names only two slots, but depends on the order hints of all.
            (inter("00000000", "1 000 000"), Some(vec![0, 1])),
            // Switch frame, error resilient frame and intra-only frame with the order hints of all slots.
            (format!("0 11 1 0 0 0011 {hints} {BOTH}"), Some(vec![0, 1])),
            (
                format!("0 01 1 1 0 0 0 0011 00000001 {hints} {FIRST}"),
                Some(vec![0]),
            ),
            (format!("0 10 1 1 0 0 0 0011 00000001 {hints}"), Some(vec![])),
            ("0 10 1 0 0 0 0 0011 00000001".to_owned(), Some(vec![])),
            // Order hints of lost frames; an intra-only frame that refreshes all slots.
            (
                format!(
                    "0 01 1 1 0 0 0 0011 00000001 {} {FIRST}",
                    hints.replace("0010", "0011")
                ),
                None,
            ),
            ("0 10 1 0 0 0 0 0011 11111111".to_owned(), None),
            (KEY.to_owned(), Some(vec![])),
        ];
        for (header, expected) in cases {
            let found = found(&second(&header)).and_then(|found| found.last().cloned());
            assert_eq!(found, expected, "{header}");
        }
    }

    #[test]
    fn replaces_refreshed_slots() {
        let header = |refreshed: &str, names: &str| unit(FRAME, &inter(refreshed, names));
        let key = |header: &str| [unit(FRAME, header), unit(FRAME, &inter("00000000", FIRST))].concat();
        let hidden = inter("00000001", BOTH)
            .replacen("1", "1", 1)
            .replacen("01 1 0", "01 0 1 0", 1);
        let stream = [
            start(),
            header("00000010", FIRST),
            // Slot 0 belongs to this sample before its second frame.
            [unit(FRAME, &hidden), header("00000000", FIRST)].concat(),
            header("00000000", BOTH),
            // A hidden key frame in slot 0 leaves slot 1.
            key("0 00 0 1 0 0 0 0 0101 00000001"),
            header("00000000", BOTH),
            unit(HEADER, "1 000"),
            header("00000000", BOTH),
            header("00000001", "0 001 001 001 001 001 001 001"),
            unit(FRAME, KEY),
            header("00000000", BOTH),
        ];
        let expected: [&[usize]; 11] = [
            &[],
            &[0],
            &[0, 1],
            &[1, 2],
            &[],
            &[1, 4],
            &[4],
            &[6],
            &[6],
            &[],
            &[9],
        ];
        assert_eq!(found(&stream), Some(expected.map(<[usize]>::to_vec).to_vec()));
    }

    #[test]
    fn skips_times_and_accepts_temporal_layers() {
        // Timing with a decoder model of 6, 5 and 4 bits. The second operating point lacks temporal layer 1.
        let timing = format!("1 {} 0 1 00101 {} 00100 00011", "0".repeat(64), "0".repeat(32));
        let point = |layers: &str| format!("{layers} 00000 1 {} 0", "0".repeat(12));
        let points = format!("0 00001 {} {}", point("0001 00000011"), point("0001 00000001"));
        let start = [
            sequence(&format!("{timing} {points}")),
            unit(FRAME, "0 00 1 1010 0 0 0 0001 0"),
        ]
        .concat();
        let header = |times: &str| format!("0 01 1 1010 0 0 0 0 0010 111 1 {times} 00000010 {BOTH}");
        let base = |layers| extended(FRAME, layers, &header("10101 10101"));
        let upper = extended(FRAME, Some((1, 0)), &header("10101"));
        let expected = Some(vec![vec![], vec![0], vec![0, 1]]);
        assert_eq!(found(&[start.clone(), base(None), upper.clone()]), expected);
        assert_eq!(found(&[start.clone(), base(Some((0, 0))), upper]), expected);
        // Layers that the first operating point lacks.
        for layers in [(2, 0), (0, 1)] {
            assert_eq!(found(&[start.clone(), base(Some(layers))]), None);
        }
        let spatial = sequence(&format!("0 0 00000 {} 00000", "0011 00000001"));
        assert_eq!(found(&[[spatial, unit(FRAME, KEY)].concat()]), None);
    }

    #[test]
    fn checks_identifiers_of_frames() {
        let stream = samples(&RESILIENT);
        // The identifier begins after eight bits and has 15 bits. The frame is not referenced.
        let with_id = |id: u16| {
            let mut stream = stream[..2].to_vec();
            let [first, second] = (id << 1).to_be_bytes();
            (stream[1][3], stream[1][4]) = (first, second);
            found(&stream)
        };
        let before = u16::from_be_bytes([stream[1][3], stream[1][4]]) >> 1;
        assert!(with_id(before).is_some());
        assert!(with_id(before + 100).is_some());
        assert_eq!(with_id(before - 1), None);
        assert_eq!(with_id(before - 2), None);
        assert_eq!(with_id(before ^ 0x4000), None);
    }

    #[test]
    fn rejects_unusual_streams() {
        let shown = unit(FRAME, &inter("00000000", FIRST));
        let light = |value: &str| unit(METADATA, &format!("00000001 {value}"));
        let header = unit(HEADER, &inter("00000000", FIRST));
        let tiles = unit(TILES, "");
        let cases = [
            ("usual", vec![shown.clone()], true),
            (
                "header and tiles",
                vec![header.clone(), tiles.clone(), tiles.clone()],
                true,
            ),
            ("same sequence header", vec![sequence(PLAIN), shown.clone()], true),
            (
                "other sequence header",
                vec![sequence(&PLAIN.replace("00000000", "00000001")), shown.clone()],
                false,
            ),
            ("no frame", vec![], false),
            ("two frames", vec![shown.clone(), shown.clone()], false),
            ("no tiles", vec![header.clone()], false),
            (
                "no tiles before the next frame",
                vec![header.clone(), shown.clone()],
                false,
            ),
            ("tiles without a frame", vec![tiles.clone(), shown.clone()], false),
            (
                "redundant header",
                vec![header, unit(7, &inter("00000000", FIRST)), tiles],
                false,
            ),
            ("key frame shown twice", vec![unit(HEADER, "1 000")], false),
            ("frame unit without a frame", vec![unit(FRAME, "1 000")], false),
            ("timecode", vec![unit(METADATA, "00000101"), shown.clone()], true),
            (
                "scalability",
                vec![unit(METADATA, "00000011"), shown.clone()],
                false,
            ),
            ("same light level", vec![light("0"), shown.clone()], true),
            ("other light level", vec![light("1"), shown.clone()], false),
            (
                "mastering display",
                vec![unit(METADATA, "00000010"), shown.clone()],
                false,
            ),
            ("tile list", vec![unit(8, ""), shown.clone()], false),
            ("forbidden bit", vec![shown.clone(), vec![0x80]], false),
            ("size after the end", vec![shown, vec![0x7a, 1]], false),
        ];
        for (name, units, usual) in cases {
            let start = [sequence(PLAIN), light("0"), unit(FRAME, KEY)].concat();
            assert_eq!(found(&[start, units.concat()]).is_some(), usual, "{name}");
        }
        assert_eq!(found(&samples(&HIERARCHICAL)[1..]), None);
        let hidden_key = [
            sequence(PLAIN),
            unit(FRAME, "0 00 0 1 0 0 0 0 0001 00000001"),
            unit(HEADER, "1 000"),
        ];
        assert_eq!(found(&[hidden_key.concat()]), None);
    }

    #[test]
    fn bounds_the_references_of_damaged_streams() {
        for table in [&HIERARCHICAL[..], &RESILIENT, &FORWARD_KEY] {
            let stream = samples(table);
            for (sample, at) in (0..stream.len()).flat_map(|n| (0..stream[n].len()).map(move |at| (n, at))) {
                let mut cut = stream.clone();
                cut[sample].truncate(at);
                let flipped = (0..8).map(|bit| {
                    let mut stream = stream.clone();
                    stream[sample][at] ^= 1 << bit;
                    stream
                });
                for found in flipped.chain([cut]).filter_map(|stream| found(&stream)) {
                    for (index, found) in found.iter().enumerate() {
                        assert!(found.len() <= SLOTS && found.is_sorted_by(|a, b| a < b));
                        assert!(found.last().is_none_or(|last| *last < index));
                    }
                }
            }
        }
    }
}
