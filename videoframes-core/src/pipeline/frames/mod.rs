//! Decoded frames for programs: [`FrameStream`] and [`FrameIter`].

mod frame;
mod iter;
mod request;
mod stream;
mod target;

pub use self::frame::Frame;
pub use self::iter::FrameIter;
pub use self::request::FramesRequest;
pub use self::stream::{FrameStream, FramesSummary};
