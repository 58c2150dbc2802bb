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

mod headers;
mod units;

use headers::{CodedFrame, Header, SLOTS, Sequence};
use units::{Kind, Unit, Units};

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
    /// Whether the sequence header is that of a sample.
    is_in_band: bool,
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
                Kind::Sequence => self.sequence_of_sample(index, unit.payload)?,
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

    /// Reads a sequence header in a sample. In the first sample, it replaces that of the configuration: the configurations
    /// of SVT-AV1 1.4 differ from the stream.
    fn sequence_of_sample(&mut self, index: usize, payload: &'a [u8]) -> Option<()> {
        if index == 0 && self.slots.is_none() && !std::mem::replace(&mut self.is_in_band, true) {
            self.sequence = None;
        }
        self.sequence(payload)
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
                    is_key: header.is_key(),
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

impl CodedFrame {
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

#[cfg(test)]
mod tests;
