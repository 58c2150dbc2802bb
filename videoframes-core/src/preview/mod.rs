//! Animated pictures: encoded frames with their display times in one file. Pure.

mod animation;
mod error;
mod format;
mod gif;
mod palette;
mod times;
mod webp;

pub(crate) use self::animation::Animation;
pub(crate) use self::error::AnimationError;
pub use self::format::PreviewFormat;
pub(crate) use self::times::{Timing, display_times};
