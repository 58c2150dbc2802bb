//! Hostile containers with any list of packets: no panic, and no sample outside the source.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use videoframes_core::units::TimeBase;
use videoframes_core::video::packets::{described_range, index_of_packets, unpack};
use videoframes_core::video::{Described, Packet, PacketList, Timeline, VideoInfo, nal};

/// Number of packets in a list, each described by four bytes.
const PACKETS: usize = 4;

fuzz_target!(|data: &[u8]| {
    let Some((&[container, codec], rest)) = data.split_first_chunk() else {
        return;
    };
    let Some((places, file)) = rest.split_first_chunk::<{ 4 * PACKETS }>() else {
        return;
    };
    let container = ["matroska,webm", "flv", "mpegts", "avi"][usize::from(container) % 4];
    let codec = ["h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mjpeg"][usize::from(codec) % 7];
    let Some(time_base) = TimeBase::new(1, 1000) else {
        return;
    };
    let video = VideoInfo::new(container, codec, (640, 360), time_base);
    let number = |bytes: &[u8]| u16::from_be_bytes([bytes[0], bytes[1]]);
    let packets = places.chunks_exact(4).zip(0..);
    let packets: Vec<Packet> = packets
        .map(|(place, pts)| {
            Packet::new(
                pts,
                number(place).into(),
                number(&place[2..]).into(),
                pts % 2 == 0,
            )
        })
        .collect();
    let pts = packets.iter().map(|packet| packet.pts).collect();
    let mut list = PacketList::new(
        Described::new(video, Vec::new()),
        Timeline::new(time_base, pts, Some(1)),
    );
    list.packets = packets;
    let file = Bytes::copy_from_slice(file);
    let Ok(range) = described_range(&list, file.len() as u64) else {
        return;
    };
    let end = (file.len() as u64).min(range.end);
    let head = file.slice(range.start.min(end) as usize..end as usize);
    let Ok(index) = index_of_packets(&list, file.len() as u64, &head) else {
        return;
    };
    for (position, sample) in index.samples.iter().enumerate() {
        let end = sample.offset + u64::from(sample.size);
        assert!(end <= file.len() as u64 && sample.size > 0);
        let stored = file.slice(sample.offset as usize..end as usize);
        if let Some(bytes) = unpack(&index.track.packaging, position, stored) {
            let _ = nal::start(index.track.coding, &bytes);
            let _ = nal::is_droppable(index.track.coding, &bytes);
        }
    }
});
