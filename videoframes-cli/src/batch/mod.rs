//! Extraction from several videos in one run.
//!
//! `inputs` collects the videos, `outputs` gives each its output before anything is decoded, `run` extracts from a bounded number
//! of them at the same time, and `report` counts the outcomes.

mod folder;
mod inputs;
mod list;
mod outputs;
mod parents;
mod report;
mod run;
mod schedule;
mod template;

pub(crate) use self::run::run;
pub(crate) use self::template::has_fields;
