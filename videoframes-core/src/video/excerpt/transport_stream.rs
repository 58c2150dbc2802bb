//! Excerpts of MPEG transport streams (ISO/IEC 13818-1) with packets of 188 bytes and one program with one video.

use super::part::Part;
use crate::video::NoIndex;

const SYNC: u8 = 0x47;
/// Size of a packet in bytes.
pub(crate) const PACKET: u64 = 188;
/// Identifier of packets without content.
const NULL: u16 = 0x1fff;
/// Number of values of a timestamp.
const WRAP: i64 = 1 << 33;
/// Ticks before the first timestamp that are earlier times and no later ones. ffmpeg uses the same number.
const EARLIER: i64 = 60 * 90_000;

/// Coding of the video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    H264,
    Hevc,
}

/// The video of a stream with one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Identifier of the packets of the video.
    video: u16,
    /// Identifier of the packets with the program map.
    map: u16,
    /// Payload of the packet with the program map.
    map_section: Vec<u8>,
    coding: Coding,
}

/// The start of a PES packet of the video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pes {
    /// Position in the file.
    pub position: u64,
    /// Presentation timestamp.
    pub pts: i64,
    /// Whether decoding probably may start here.
    pub entry: bool,
}

/// Returns whether a file begins with packets of a transport stream.
pub(crate) fn is_transport_stream(head: &[u8]) -> bool {
    let packets = head.as_chunks::<{ PACKET as usize }>().0;
    packets.len() >= 3 && packets.iter().take(3).all(|packet| packet[0] == SYNC)
}

/// A packet of a transport stream.
struct Packet<'a> {
    pid: u16,
    begins: bool,
    /// Whether decoding may start, according to the multiplexer.
    random_access: bool,
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    fn read(packet: &'a [u8; PACKET as usize]) -> Result<Self, NoIndex> {
        let [sync, high, low, flags, ..] = *packet;
        if sync != SYNC || high & 0x80 != 0 {
            return Err(NoIndex::new("packets of the stream are damaged"));
        }
        let mut start = 4;
        let mut random_access = false;
        if flags & 0x20 != 0 {
            let length = usize::from(packet[4]);
            random_access = length > 0 && packet[5] & 0x40 != 0;
            start += 1 + length;
        }
        let has_payload = flags & 0x10 != 0;
        Ok(Self {
            pid: u16::from_be_bytes([high & 0x1f, low]),
            begins: high & 0x40 != 0,
            random_access,
            payload: packet.get(start..).filter(|_| has_payload).unwrap_or_default(),
        })
    }
}

fn unusual() -> NoIndex {
    NoIndex::new("the structure of the stream is unusual")
}

/// Returns the content of a table that fits into one packet, after its header of 8 bytes and without its checksum.
fn section<'a>(packet: &Packet<'a>, table: u8) -> Option<&'a [u8]> {
    let start = 1 + usize::from(*packet.payload.first()?);
    let section = packet.payload.get(start..)?;
    let header = section.first_chunk::<8>()?;
    let length = usize::from(u16::from_be_bytes([header[1] & 0x0f, header[2]]));
    let content = section.get(8..(3 + length).checked_sub(4)?)?;
    (header[0] == table).then_some(content)
}

impl Program {
    /// Finds the video in the packets at the beginning of a file; `None` if its tables follow later.
    ///
    /// # Errors
    /// Fails with [`NoIndex`] if there are several programs or videos, or if the coding is not supported.
    pub fn find(head: &[u8]) -> Result<Option<Self>, NoIndex> {
        let mut map = None;
        for packet in head.as_chunks::<{ PACKET as usize }>().0 {
            let packet = Packet::read(packet)?;
            if packet.pid == 0 && packet.begins && map.is_none() {
                let table = section(&packet, 0x00).ok_or_else(unusual)?;
                let programs = table.as_chunks::<4>().0.iter();
                let mut maps = programs.filter(|entry| entry[..2] != [0, 0]);
                let [_, _, high, low] = *maps.next().ok_or_else(unusual)?;
                if maps.next().is_some() {
                    return Err(NoIndex::new("the stream has several programs"));
                }
                map = Some(u16::from_be_bytes([high & 0x1f, low]));
            } else if Some(packet.pid) == map && packet.begins {
                let (video, coding) = video(section(&packet, 0x02).ok_or_else(unusual)?)?;
                return Ok(Some(Self {
                    video,
                    map: packet.pid,
                    map_section: packet.payload.to_vec(),
                    coding,
                }));
            }
        }
        Ok(None)
    }

    /// Returns the PES packets of the video that begin in whole packets at `position`, with their timestamps as stored.
    ///
    /// # Errors
    /// Fails with [`NoIndex`] if packets are damaged, if a timestamp is missing, or if the program changes.
    pub fn scan(&self, bytes: &[u8], position: u64) -> Result<Vec<Pes>, NoIndex> {
        let mut found = Vec::new();
        for (packet, at) in bytes.as_chunks::<{ PACKET as usize }>().0.iter().zip(0..) {
            let packet = Packet::read(packet)?;
            if packet.pid == self.map && packet.begins && packet.payload != self.map_section {
                return Err(NoIndex::new("the program of the stream changes"));
            }
            if packet.pid != self.video || !packet.begins {
                continue;
            }
            let header = packet.payload.first_chunk::<14>().ok_or_else(unusual)?;
            if header[..3] != [0, 0, 1] || header[7] & 0x80 == 0 {
                return Err(NoIndex::new("packets lack timestamps"));
            }
            let [a, b, c, d, e] = [9, 10, 11, 12, 13].map(|byte| i64::from(header[byte]));
            let pts = (a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1;
            let content = packet
                .payload
                .get(9 + usize::from(header[8])..)
                .unwrap_or_default();
            found.push(Pes {
                position: position + at * PACKET,
                pts,
                entry: packet.random_access || self.coding.begins_entry(content),
            });
        }
        Ok(found)
    }

    /// Returns a part of an excerpt with whole packets of the file at `position`. The packets of other streams become packets
    /// without content. The counters of the video continue those of the previous part.
    pub(crate) fn part(&self, position: u64, mut bytes: Vec<u8>, counter: &mut Option<u8>) -> Part {
        let mut shift = None;
        for packet in bytes.as_chunks_mut::<{ PACKET as usize }>().0 {
            let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
            if pid != self.video {
                let [high, low] = NULL.to_be_bytes();
                (packet[1], packet[2]) = (high, low);
                continue;
            }
            let stored = packet[3] & 0x0f;
            let has_payload = packet[3] & 0x10 != 0;
            let shift = *shift.get_or_insert_with(|| {
                let next = counter.map_or(stored, |last| last.wrapping_add(u8::from(has_payload)));
                next.wrapping_sub(stored)
            });
            let continued = stored.wrapping_add(shift) & 0x0f;
            packet[3] = packet[3] & 0xf0 | continued;
            *counter = Some(continued);
        }
        Part {
            position,
            bytes,
            ..Part::default()
        }
    }

    /// Returns the counter of the last packet of the video.
    pub(crate) fn counter(&self, bytes: &[u8]) -> Option<u8> {
        let packets = bytes.as_chunks::<{ PACKET as usize }>().0;
        let last = packets
            .iter()
            .rfind(|packet| u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) == self.video)?;
        Some(last[3] & 0x0f)
    }
}

/// Returns the packets and the coding of the only video in a program map.
fn video(map: &[u8]) -> Result<(u16, Coding), NoIndex> {
    let information = map.get(2..4).ok_or_else(unusual)?;
    let information = usize::from(u16::from_be_bytes([information[0] & 0x0f, information[1]]));
    let mut streams = map.get(4 + information..).ok_or_else(unusual)?;
    let mut found = None;
    while let Some(&[kind, high, low, length_high, length_low]) = streams.first_chunk() {
        let coding = match kind {
            0x1b => Some(Coding::H264),
            0x24 => Some(Coding::Hevc),
            // Other codings of video, and private data that may be video.
            0x01 | 0x02 | 0x10 | 0x20 | 0x21 | 0x33 | 0x42 | 0xd1 | 0xd2 | 0xea => {
                return Err(NoIndex::new("the coding of the video is not supported"));
            }
            _ => None,
        };
        if let Some(coding) = coding {
            if found.is_some() {
                return Err(NoIndex::new("the stream has several videos"));
            }
            found = Some((u16::from_be_bytes([high & 0x1f, low]), coding));
        }
        let length = usize::from(u16::from_be_bytes([length_high & 0x0f, length_low]));
        streams = streams.get(5 + length..).unwrap_or_default();
    }
    found.ok_or_else(|| NoIndex::new("the stream has no video of a supported coding"))
}

impl Coding {
    /// Returns whether NAL units at the beginning of a picture are those with which decoding may start.
    fn begins_entry(self, content: &[u8]) -> bool {
        content.windows(4).any(|bytes| {
            let unit = bytes[3];
            bytes[..3] == [0, 0, 1]
                && match self {
                    // A picture that resets the decoder, or a sequence parameter set.
                    Self::H264 => matches!(unit & 0x1f, 5 | 7),
                    Self::Hevc => matches!(unit >> 1 & 0x3f, 16..=21 | 32 | 33),
                }
        })
    }
}

/// Returns a timestamp without wraparound, in a stream whose first timestamp is `first`.
pub(crate) fn unwrapped(pts: i64, first: i64) -> i64 {
    match pts < first - EARLIER {
        true => pts + WRAP,
        false => pts,
    }
}

#[cfg(test)]
mod tests;
