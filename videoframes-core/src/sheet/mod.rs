//! Sheets: many frames of a video as the tiles of one picture. Layout, drawing, text and cues are pure.

mod canvas;
mod clock;
mod colour;
mod contact;
mod cues;
mod font;
mod glyphs;
mod grid;
mod label;

pub(crate) use self::canvas::Canvas;
pub use self::colour::Colour;
pub use self::contact::ContactStyle;
pub(crate) use self::contact::{ContactSheet, Header};
pub(crate) use self::cues::{TileList, cues, webvtt};
pub(crate) use self::font::Line;
pub use self::font::{Font, InvalidFont};
pub(crate) use self::grid::{Grid, Place};
pub(crate) use self::label::Label;
