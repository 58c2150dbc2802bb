//! Measures of the content of frames, and the choice of frames by their measures. Pure.
//!
//! [`candidates`] names the frames to decode, [`Meter`] measures their small pictures as they arrive, and [`choose`] makes
//! the choice from the measures alone.

mod candidates;
mod choice;
mod content;
mod dedupe;
mod image;
mod meter;
mod scenes;
mod still;
mod transition;

pub(crate) use self::candidates::{Candidate, candidates, is_content, thumbnail_candidates};
pub(crate) use self::choice::{Choice, Chosen, Reason, choose};
pub(crate) use self::image::{Gray, Rgb};
pub(crate) use self::meter::{Measured, Measures, Meter};

/// Maximum width and height of the pictures that are measured.
pub(crate) const SIDE: u32 = 512;
