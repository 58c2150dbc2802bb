//! List of packets.

use super::super::{Described, Timeline};

/// A packet of a stream, as a demuxer lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packet {
    /// Presentation timestamp in the time base of the stream.
    pub pts: i64,
    /// Position of the packet in the source.
    pub position: u64,
    /// Size of the coded picture in bytes.
    pub size: u32,
    /// Whether decoding may start at the packet.
    pub keyframe: bool,
    /// Whether the packet has side data, such as another configuration of the decoder.
    pub side_data: bool,
}

impl Packet {
    /// Creates a packet without side data.
    #[must_use]
    pub fn new(pts: i64, position: u64, size: u32, keyframe: bool) -> Self {
        Self {
            pts,
            position,
            size,
            keyframe,
            side_data: false,
        }
    }
}

/// The streams of a container, and the packets of one video stream.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PacketList {
    /// The streams.
    pub described: Described,
    /// The presented frames according to the packets; `None` where packets lack timestamps or share them.
    pub timeline: Option<Timeline>,
    /// The packets in decode order; empty where a packet is not presented, or lacks its timestamp or position.
    pub packets: Vec<Packet>,
}

impl PacketList {
    /// Returns a list without packets.
    #[must_use]
    pub fn new(described: Described, timeline: Option<Timeline>) -> Self {
        Self {
            described,
            timeline,
            packets: Vec::new(),
        }
    }
}
