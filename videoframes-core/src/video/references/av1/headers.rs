//! Sequence headers and frame headers, as far as references depend on them.

use super::units::{Bits, Layers, Unit};

/// Number of slots for reference frames (`NUM_REF_FRAMES`).
pub(super) const SLOTS: usize = 8;
/// Number of references of an inter frame (`REFS_PER_FRAME`).
const REFERENCES: usize = 7;
/// Set of all slots.
const ALL_SLOTS: u8 = 0xff;

/// Parts of a sequence header (5.5) that frame headers depend on.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    /// Layers that are decoded; 0 for all (`operating_point_idc` of the first operating point).
    layers: u32,
    model: Option<DecoderModel>,
    /// Layers of each operating point with a decoder model.
    models: Vec<u32>,
    /// Number of bits of `frame_presentation_time`; 0 if frames do not contain it.
    presentation_bits: u32,
    /// Number of bits of identifiers and their differences.
    pub(super) ids: Option<(u32, u32)>,
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
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
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
    pub(super) fn decodes(&self, layers: Option<Layers>) -> bool {
        layers.is_none_or(|unit| {
            unit.spatial == 0 && (self.layers == 0 || self.layers >> unit.temporal & 1 == 1)
        })
    }
}

/// Parts of a frame header (5.9.2).
#[derive(Debug)]
pub(super) enum Header {
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
pub(super) struct CodedFrame {
    kind: FrameKind,
    pub(super) shown: bool,
    pub(super) showable: bool,
    pub(super) id: u32,
    pub(super) order_hint: u32,
    /// Slots that receive the frame, one per bit.
    pub(super) refreshed: u8,
    /// Slots to which the frame refers, one per bit.
    pub(super) named: u8,
    /// `ref_order_hint`
    pub(super) order_hints: Option<[u32; SLOTS]>,
}

impl Header {
    pub(super) fn read(sequence: &Sequence, unit: &Unit) -> Option<Self> {
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
    pub(super) fn is_key(&self) -> bool {
        self.kind == FrameKind::Key
    }

    pub(super) fn is_shown_key(&self) -> bool {
        self.is_key() && self.shown
    }
}

impl Bits<'_> {
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
