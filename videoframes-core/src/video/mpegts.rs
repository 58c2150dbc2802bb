//! Seams of an MPEG transport stream: positions at which its continuity counters jump, and whether data is
//! missing there (ISO/IEC 13818-1, 2.4.3).
//!
//! Concatenated segments restart their counters, so a jump alone proves no loss. At a seam, a unit (a PES packet,
//! which contains a picture) ends and the next unit begins. Nothing is missing if the old unit is complete and
//! the new unit follows in time, or if the program association table restarts too.

use std::collections::{BTreeMap, HashMap};

const SYNC: u8 = 0x47;
/// Sizes of a packet: plain, preceded by a timestamp (M2TS), followed by parity bytes.
const SIZES: [usize; 3] = [188, 192, 204];
/// Number of consecutive sync bytes that confirm a packet size.
const PROOF: usize = 4;
/// PID of the program association table.
const PROGRAMS: u16 = 0;
/// PID of null packets.
const NULL: u16 = 0x1fff;
/// Range of timestamps, which have 33 bits.
const CLOCK: i64 = 1 << 33;

/// Searches all packets for explanations of marked packets.
#[derive(Debug)]
pub(crate) struct Seams {
    /// Decode times of the units marked as corrupt, with the findings on each.
    marked: BTreeMap<i64, Found>,
    rest: Vec<u8>,
    size: Option<usize>,
    pids: HashMap<u16, Pid>,
    /// Number of restarts of the program association table.
    restarts: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Seam,
    Loss,
}

/// State of an elementary stream.
#[derive(Debug, Default)]
struct Pid {
    counter: Option<u8>,
    unit: Option<Unit>,
    /// Last differences between the decode times of consecutive units.
    steps: [i64; 2],
    restarts: u64,
}

/// A unit that is being read.
#[derive(Debug)]
struct Unit {
    dts: Option<i64>,
    /// Length according to the header in bytes; absent for most video.
    announced: Option<usize>,
    received: usize,
    /// Whether the last packet so far has stuffing, as the last packet of nearly every unit has.
    filled: bool,
}

impl Unit {
    fn is_whole(&self) -> bool {
        match self.announced {
            Some(announced) => self.received == announced,
            None => self.filled,
        }
    }
}

/// A packet.
struct Packet<'a> {
    pid: u16,
    counter: u8,
    begins_unit: bool,
    is_faulty: bool,
    is_discontinuous: bool,
    filled: bool,
    payload: Option<&'a [u8]>,
}

impl Seams {
    /// Creates a search for explanations of the units with these decode times.
    pub(crate) fn new(marked: impl IntoIterator<Item = i64>) -> Self {
        let marked = marked.into_iter();
        Self {
            marked: marked
                .map(|dts| (dts.rem_euclid(CLOCK), Found::Nothing))
                .collect(),
            rest: Vec::new(),
            size: None,
            pids: HashMap::new(),
            restarts: 0,
        }
    }

    /// Parses the next bytes of the stream.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let mut data = std::mem::take(&mut self.rest);
        data.extend_from_slice(bytes);
        let mut at = 0;
        while data.len() - at >= SIZES[2] * PROOF {
            match self.size {
                Some(size) if data[at] == SYNC => {
                    self.packet(&data[at..at + SIZES[0]]);
                    at += size;
                }
                _ => {
                    self.size = size_at(&data[at..]);
                    at += usize::from(self.size.is_none());
                }
            }
        }
        self.rest = data.split_off(at);
    }

    /// Returns whether all marked units are complete.
    pub(crate) fn explain(mut self) -> bool {
        let data = std::mem::take(&mut self.rest);
        let mut at = 0;
        while let (Some(size), Some(packet)) = (self.size, data.get(at..at + SIZES[0])) {
            if packet[0] != SYNC {
                break;
            }
            self.packet(packet);
            at += size;
        }
        self.marked.values().all(|&found| found == Found::Seam)
    }

    fn packet(&mut self, data: &[u8]) {
        let packet = Packet::parse(data);
        if packet.pid == NULL {
            return;
        }
        let pid = self.pids.entry(packet.pid).or_default();
        let expected = pid.counter.map(|counter| match packet.payload {
            Some(_) => (counter + 1) & 0xf,
            None => counter,
        });
        let jumps = !packet.is_discontinuous && expected.is_some_and(|counter| counter != packet.counter);
        pid.counter = Some(packet.counter);
        if packet.pid == PROGRAMS {
            self.restarts += u64::from(jumps);
            return;
        }
        let Some(payload) = packet.payload else {
            return;
        };
        let restarted = std::mem::replace(&mut pid.restarts, self.restarts) != self.restarts;
        let next = packet.begins_unit.then(|| unit(payload));
        if jumps || packet.is_faulty {
            let found = match (&pid.unit, &next) {
                (Some(unit), Some(next)) if !packet.is_faulty && pid.is_seam(unit, next, restarted) => {
                    Found::Seam
                }
                _ => Found::Loss,
            };
            if let Some(dts) = pid.unit.as_ref().and_then(|unit| unit.dts) {
                self.marked.entry(dts).and_modify(|known| {
                    if *known != Found::Loss {
                        *known = found;
                    }
                });
            }
        }
        pid.take(next, payload.len(), packet.filled);
    }
}

impl Pid {
    /// Returns whether nothing is missing between a unit and the next unit.
    fn is_seam(&self, unit: &Unit, next: &Unit, restarted: bool) -> bool {
        let (Some(from), Some(to)) = (unit.dts, next.dts) else {
            return false;
        };
        let step = step(from, to);
        // A missing picture leaves twice the usual step.
        let usual = self.steps.iter().copied().max().unwrap_or(0);
        let follows = step < 0 || (step > 0 && step <= usual * 3 / 2);
        step != 0 && (restarted || (unit.is_whole() && follows))
    }

    /// Processes the payload of a packet, which may begin the unit `next`.
    fn take(&mut self, next: Option<Unit>, length: usize, filled: bool) {
        if let Some(next) = next {
            if let (Some(from), Some(to)) = (self.unit.as_ref().and_then(|unit| unit.dts), next.dts) {
                self.steps = [self.steps[1], step(from, to)];
            }
            self.unit = Some(next);
        }
        if let Some(unit) = &mut self.unit {
            unit.received += length;
            unit.filled = filled;
        }
    }
}

/// Returns the difference between two timestamps, across a wrap of the clock.
fn step(from: i64, to: i64) -> i64 {
    let forward = (to - from).rem_euclid(CLOCK);
    if forward > CLOCK / 2 {
        forward - CLOCK
    } else {
        forward
    }
}

/// Returns the size of packets if a packet starts here.
fn size_at(data: &[u8]) -> Option<usize> {
    SIZES
        .into_iter()
        .find(|size| (0..PROOF).all(|index| data.get(index * size).is_some_and(|&byte| byte == SYNC)))
}

impl<'a> Packet<'a> {
    fn parse(data: &'a [u8]) -> Self {
        let has_field = data[3] & 0x20 != 0;
        let field = if has_field { usize::from(data[4]) } else { 0 };
        let start = 4 + usize::from(has_field) + field;
        Self {
            pid: u16::from_be_bytes([data[1] & 0x1f, data[2]]),
            counter: data[3] & 0xf,
            begins_unit: data[1] & 0x40 != 0,
            is_faulty: data[1] & 0x80 != 0,
            is_discontinuous: has_field && field > 0 && data[5] & 0x80 != 0,
            filled: has_field,
            payload: if data[3] & 0x10 != 0 {
                data.get(start..)
            } else {
                None
            },
        }
    }
}

/// Parses the header of a unit.
fn unit(payload: &[u8]) -> Unit {
    let length = match payload {
        [0, 0, 1, _, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    };
    Unit {
        dts: decode_time(payload),
        announced: (length > 0).then_some(length + 6),
        received: 0,
        filled: false,
    }
}

/// Parses the decode time in the header of a unit, or its presentation time if both are equal.
fn decode_time(payload: &[u8]) -> Option<i64> {
    if !payload.starts_with(&[0, 0, 1]) {
        return None;
    }
    let at = match payload.get(7)? >> 6 {
        2 => 9,
        3 => 14,
        _ => return None,
    };
    let field: &[u8; 5] = payload.get(at..at + 5)?.try_into().ok()?;
    let [a, b, c, d, e] = field.map(i64::from);
    Some((a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes units of two packets on one PID, with a program association table before each segment.
    #[derive(Default)]
    struct Writer {
        bytes: Vec<u8>,
        counters: [u8; 2],
    }

    impl Writer {
        fn packet(&mut self, video: bool, begins: bool, payload: &[u8]) {
            let counter = &mut self.counters[usize::from(video)];
            let mut packet = vec![SYNC, u8::from(begins) << 6 | u8::from(video), 0, 0x10 | *counter];
            *counter = (*counter + 1) & 0xf;
            let spare = 184 - payload.len();
            if spare > 0 {
                packet[3] |= 0x20;
                packet.push(spare as u8 - 1);
                packet.extend([0].iter().chain([0xff; 183].iter()).take(spare - 1));
            }
            packet.extend(payload);
            self.bytes.extend(packet);
        }

        fn segment(&mut self, times: &[i64]) {
            self.packet(false, true, &[0; 20]);
            for &time in times {
                self.unit(time, 100);
            }
        }

        /// Writes a unit whose second packet has `tail` bytes of payload.
        fn unit(&mut self, time: i64, tail: usize) {
            let stamp = [
                (time >> 29 & 0xe | 0x21) as u8,
                (time >> 22) as u8,
                (time >> 14 | 1) as u8,
                (time >> 7) as u8,
                (time << 1 | 1) as u8,
            ];
            let mut head = vec![0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5];
            head.extend(stamp);
            head.resize(184, 7);
            self.packet(true, true, &head);
            self.packet(true, false, &vec![7; tail]);
        }
    }

    fn explain(bytes: &[u8], marked: &[i64]) -> bool {
        let mut seams = Seams::new(marked.iter().copied());
        for part in bytes.chunks(1000) {
            seams.feed(part);
        }
        seams.explain()
    }

    fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::default();
        write(&mut writer);
        writer.bytes
    }

    const FIRST: [i64; 3] = [3000, 6000, 9000];
    const SECOND: [i64; 3] = [12_000, 15_000, 18_000];

    /// Returns two segments; the counters of the second segment restart.
    fn joined(second: &[i64]) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.segment(&FIRST);
        writer.counters = [1, 0];
        writer.segment(second);
        writer.bytes
    }

    #[test]
    fn concatenated_segments_are_complete() {
        assert!(explain(&joined(&SECOND), &[9000]));
        assert!(explain(&joined(&FIRST), &[9000]), "a segment repeats");
        let wrapped = [9000 + CLOCK];
        assert!(explain(&joined(&SECOND), &wrapped), "timestamps wrap");
        // The time jumps forward, and the program association table restarts.
        let mut writer = Writer::default();
        writer.segment(&FIRST);
        writer.counters = [9, 0];
        writer.segment(&[90_000, 93_000]);
        assert!(explain(&writer.bytes, &[9000]));
    }

    #[test]
    fn parses_other_packet_sizes() {
        for (front, behind) in [(4, 0), (0, 16)] {
            let bytes: Vec<u8> = joined(&SECOND)
                .chunks(188)
                .flat_map(|packet| [&[9; 4][..front], packet, &[9; 16][..behind]].concat())
                .collect();
            assert!(explain(&bytes, &[9000]), "{front} {behind}");
        }
    }

    #[test]
    fn detects_a_lost_packet_at_any_position() {
        let whole = written(|writer| {
            writer.segment(&FIRST);
            writer.segment(&SECOND);
        });
        let packets: Vec<&[u8]> = whole.chunks(188).collect();
        // Packet 0 is the table. The units follow with two packets each.
        for (lost, marked) in [(3, 3000), (4, 6000), (6, 9000)] {
            let bytes = [packets[..lost].concat(), packets[lost + 1..].concat()].concat();
            assert!(!explain(&bytes, &[marked]), "packet {lost}");
        }
        // Both packets of a unit: the units around it are complete, and there is a gap in time.
        let bytes = [packets[..5].concat(), packets[7..].concat()].concat();
        assert!(!explain(&bytes, &[6000]));
    }

    #[test]
    fn does_not_explain_unknown_units() {
        assert!(!explain(&joined(&SECOND), &[9000, 15_000]));
        assert!(!explain(&[0; 5000], &[9000]));
        assert!(!explain(&[], &[9000]));
    }

    #[test]
    fn a_faulty_packet_is_a_loss() {
        let mut bytes = joined(&SECOND);
        // The first packet after the seam.
        let at = 8 * 188;
        assert_eq!(bytes[at + 1] & 0x40, 0x40);
        bytes[at + 1] |= 0x80;
        assert!(!explain(&bytes, &[9000]));
    }

    #[test]
    fn a_seam_does_not_excuse_a_loss_at_the_same_timestamp() {
        let twice = [joined(&SECOND), joined(&SECOND)].concat();
        assert!(explain(&twice, &[9000, 18_000]));
        let mut lossy = twice.clone();
        // The last packet of the first segment of the second copy.
        let at = (14 + 6) * 188;
        lossy.drain(at..at + 188);
        assert!(!explain(&lossy, &[9000, 18_000]));
    }
}
