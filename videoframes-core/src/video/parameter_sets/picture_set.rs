//! Short-term reference picture sets of HEVC (ITU-T H.265, 7.3.7 and 7.4.8).

use h264_reader::rbsp::BitRead;

use super::bits::{flag, number};

/// Maximum number of pictures in a set.
const MAX_PICTURES: usize = 16;
/// Maximum number of sets in a sequence parameter set.
pub(super) const MAX_SETS: u32 = 64;

/// A picture of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::video) struct SetEntry {
    /// Picture order count, relative to the picture with the set.
    pub(in crate::video) distance: i32,
    /// Whether the picture with the set may refer to this one. Otherwise only later pictures may.
    pub(in crate::video) used: bool,
}

/// The pictures that stay available for reference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::video) struct PictureSet {
    /// Pictures that precede in output order, the nearest first.
    pub(in crate::video) before: Vec<SetEntry>,
    /// Pictures that follow in output order, the nearest first.
    pub(in crate::video) after: Vec<SetEntry>,
}

impl PictureSet {
    /// Parses the set that follows the sets `earlier` of the sequence parameter set. The set of a slice may be
    /// predicted from any of them, and other sets from the last one.
    pub(in crate::video) fn read(bits: &mut impl BitRead, earlier: &[Self], of_slice: bool) -> Option<Self> {
        let set = if !earlier.is_empty() && flag(bits)? {
            let back = if of_slice { number(bits, MAX_SETS)? } else { 0 };
            let source = earlier.iter().rev().nth(back as usize)?;
            source.predict(bits)?
        } else {
            let (before, after) = (number(bits, 16)?, number(bits, 16)?);
            Self {
                before: entries(bits, before, -1)?,
                after: entries(bits, after, 1)?,
            }
        };
        (set.before.len() + set.after.len() <= MAX_PICTURES).then_some(set)
    }

    /// Parses a set that is predicted from this one.
    fn predict(&self, bits: &mut impl BitRead) -> Option<Self> {
        let negative = flag(bits)?;
        let shift = number(bits, (1 << 15) - 1)? as i32 + 1;
        let shift = if negative { -shift } else { shift };
        let mut set = Self::default();
        // The pictures of this set and, last, the picture to which they are relative.
        let all = self.before.iter().chain(&self.after).map(|entry| entry.distance);
        for from in all.chain([0]) {
            let used = flag(bits)?;
            let kept = used || flag(bits)?;
            let distance = from + shift;
            match distance.signum() {
                -1 if kept => set.before.push(SetEntry { distance, used }),
                1 if kept => set.after.push(SetEntry { distance, used }),
                _ => {}
            }
        }
        // The order of the standard is that of the distances, which are distinct.
        set.before.sort_unstable_by_key(|entry| -entry.distance);
        set.after.sort_unstable_by_key(|entry| entry.distance);
        Some(set)
    }
}

fn entries(bits: &mut impl BitRead, count: u32, sign: i32) -> Option<Vec<SetEntry>> {
    let mut distance = 0;
    (0..count)
        .map(|_| {
            distance += sign * (number(bits, (1 << 15) - 1)? as i32 + 1);
            let used = flag(bits)?;
            Some(SetEntry { distance, used })
        })
        .collect()
}
