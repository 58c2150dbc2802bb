//! `vf storyboard`, `vf sheet` and `vf preview`.

mod output;
mod report;
mod run;

pub(crate) use self::run::{contact_sheet, preview, storyboard};
