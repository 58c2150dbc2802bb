//! Storyboards and contact sheets: frames as tiles of composed pictures.

mod make;
mod request;
mod target;

pub(super) use self::make::make;
pub(super) use self::request::Sheets;
pub use self::request::{ContactSheetRequest, StoryboardRequest};
pub use self::target::STORYBOARD_WEBVTT;
