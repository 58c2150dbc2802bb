//! MPEG transport streams (ISO/IEC 13818-1) with packets of 188 bytes, and with one picture in each PES packet.

use std::ops::Range;

use bytes::Bytes;

use super::super::{NoIndex, Packaging, VideoInfo, nal};
use super::configuration::Configuration;
use super::list::Packet;

const SYNC: u8 = 0x47;
/// Size of a packet of the transport stream in bytes.
const PACKET: usize = 188;
/// Size of the header of a packet in bytes.
const HEADER: usize = 4;
/// Size in bytes of the fixed part of the header of a PES packet.
const PES_HEADER: usize = 9;

/// Returns the positions of the PES packets. Each ends where the next begins, and contains packets of other streams.
pub(super) fn ranges(packets: &[Packet], source_bytes: u64) -> Vec<Range<u64>> {
    let next = packets.iter().skip(1).map(|packet| packet.position);
    // An incomplete packet may follow the last one.
    let first = packets.first().map_or(0, |packet| packet.position);
    let whole = source_bytes.saturating_sub(first) / PACKET as u64 * PACKET as u64;
    let ends = next.chain(std::iter::once(first.saturating_add(whole)));
    packets
        .iter()
        .zip(ends)
        .map(|(packet, end)| packet.position..end)
        .collect()
}

/// Returns the position of the first PES packet.
pub(super) fn first_range(packets: &[Packet], source_bytes: u64) -> Range<u64> {
    let first_two = &packets[..packets.len().min(2)];
    ranges(first_two, source_bytes).into_iter().next().unwrap_or(0..0)
}

/// Returns the packaging of the track, and the configuration of the codec in `first`, the packets of the first
/// picture.
pub(super) fn track(
    video: &VideoInfo,
    packets: &[Packet],
    first: &[u8],
) -> Result<(Packaging, Configuration), NoIndex> {
    let unusual = || NoIndex::new("the packets of the transport stream are unusual");
    let pid = pid(first).ok_or_else(unusual)?;
    let size = packets.first().map_or(0, |packet| packet.size);
    let sample = unpack(pid, size, first).ok_or_else(unusual)?;
    if !nal::is_one_picture(&video.codec, &sample) {
        return Err(NoIndex::new("the first packet is not one picture"));
    }
    let packaging = Packaging::TransportStream {
        pid,
        contents: packets.iter().map(|packet| packet.size).collect(),
    };
    Ok((packaging, Configuration::of_parameter_sets(video, &sample)?))
}

/// Returns the NAL units of the PES packet in packets of a transport stream, if its content has `size` bytes.
pub(super) fn unpack(pid: u16, size: u32, packets: &[u8]) -> Option<Bytes> {
    let mut content: Vec<u8> = Vec::with_capacity(size as usize);
    let mut last_counter = None;
    let (packets, rest) = packets.as_chunks::<PACKET>();
    if !rest.is_empty() {
        return None;
    }
    for packet in packets {
        if self::pid(packet)? != pid {
            continue;
        }
        let (error, begins) = (packet[1] & 0x80 != 0, packet[1] & 0x40 != 0);
        let (scrambled, counter) = (packet[3] & 0xc0 != 0, packet[3] & 0x0f);
        if error || scrambled || begins != last_counter.is_none() {
            return None;
        }
        let (fields, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        if !has_payload {
            continue;
        }
        if last_counter.is_some_and(|last: u8| (last + 1) & 0x0f != counter) {
            return None;
        }
        last_counter = Some(counter);
        let start = if fields {
            HEADER + 1 + usize::from(packet[HEADER])
        } else {
            HEADER
        };
        let payload = packet.get(start..)?;
        content.extend_from_slice(if begins {
            after_pes_header(payload)?
        } else {
            payload
        });
    }
    // Parsers count the zero byte before a start code to either picture.
    let listed = content.len().abs_diff(size as usize) <= 1;
    listed.then(|| nal::from_start_codes(&content))?
}

fn pid(packet: &[u8]) -> Option<u16> {
    let [sync, high, low, _] = *packet.first_chunk()?;
    (sync == SYNC).then_some(u16::from_be_bytes([high & 0x1f, low]))
}

/// Returns the content of a PES packet of video (2.4.3.6).
fn after_pes_header(payload: &[u8]) -> Option<&[u8]> {
    let header = payload.first_chunk::<PES_HEADER>()?;
    let is_video = header[..3] == [0, 0, 1] && header[3] & 0xf0 == 0xe0;
    payload
        .get(PES_HEADER + usize::from(header[8])..)
        .filter(|_| is_video)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PID: u16 = 0x100;

    /// Returns a packet with this payload and stuffing before it.
    fn packet(pid: u16, begins: bool, counter: u8, payload: &[u8]) -> Vec<u8> {
        let [high, low] = pid.to_be_bytes();
        let stuffing = PACKET - HEADER - 1 - payload.len();
        let mut packet = vec![
            SYNC,
            high | u8::from(begins) << 6,
            low,
            0x30 | counter,
            stuffing as u8,
        ];
        packet.resize(PACKET - payload.len(), 0xff);
        packet.extend(payload);
        packet
    }

    fn stream() -> [Vec<u8>; 3] {
        let pes = b"\0\0\x01\xe0\0\0\x80\x80\x02tt\0\0\0\x01\x65ab";
        [
            packet(PID, true, 15, pes),
            packet(0x101, true, 3, b"audio"),
            packet(PID, false, 0, b"cd\0\0\x01\x41e"),
        ]
    }

    #[test]
    fn joins_the_packets_of_a_picture() {
        let whole = stream().concat();
        let sample = unpack(PID, 14, &whole);
        assert_eq!(sample.as_deref(), Some(&b"\0\0\0\x05\x65abcd\0\0\0\x02\x41e"[..]));
        for size in [12, 16] {
            assert_eq!(unpack(PID, size, &whole), None, "another size than listed");
        }
        assert_eq!(unpack(PID, 14, &whole[1..]), None);
    }

    #[test]
    fn refuses_lost_repeated_and_faulty_packets() {
        let [first, other, last] = stream();
        let lost = packet(PID, false, 1, b"cd\0\0\x01\x41e");
        let begins_again = packet(PID, true, 0, b"\0\0\x01\xe0\0\0\x80\x80\x02tt\0\0");
        let faulty = |position: usize, bits: u8| {
            let mut packet = last.clone();
            packet[position] |= bits;
            packet
        };
        for packets in [
            vec![first.clone(), other.clone(), lost],
            vec![first.clone(), begins_again],
            vec![first.clone(), faulty(1, 0x80)],
            vec![first.clone(), faulty(3, 0xc0)],
            vec![last.clone()],
            vec![first.clone(), vec![0; PACKET]],
        ] {
            assert_eq!(unpack(PID, 14, &packets.concat()), None);
        }
        // A packet without a payload does not count.
        let mut empty = packet(PID, false, 15, &[]);
        empty[3] = 0x2f;
        assert!(unpack(PID, 14, &[first, empty, last].concat()).is_some());
    }
}
