//! Questions to ffprobe: the streams of a container, its packets, and other documents.

mod describe;
mod ffprobe;
mod packets;
mod refusal;

pub(crate) use self::describe::describe;
pub(crate) use self::ffprobe::Ffprobe;
#[cfg(fuzzing)]
pub(crate) use self::packets::read_listing;
pub(crate) use self::packets::{Packets, begins_with_keyframe, packets};
