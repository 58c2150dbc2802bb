//! Previews: frames of a video as one animated picture.

mod make;
mod request;
mod target;

pub(super) use self::make::make;
pub use self::request::PreviewRequest;
