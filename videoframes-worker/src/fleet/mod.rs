//! The fleet: revisions of workers side by side on one queue.

mod args;
mod commands;
mod failure;
mod poll;
mod protection;
mod revision;
mod shift;
mod status;
mod tally;
mod verdict;

pub(crate) use self::args::FleetArgs;
pub(crate) use self::commands::run;
pub(crate) use self::failure::failure;
pub(crate) use self::protection::Protection;
pub(crate) use self::revision::{RevisionSource, revision};
