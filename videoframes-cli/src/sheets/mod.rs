//! `vf storyboard` and `vf sheet`.

mod output;
mod report;
mod run;

pub(crate) use self::run::{contact_sheet, storyboard};
