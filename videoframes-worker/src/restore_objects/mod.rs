//! `vf-worker restore-objects`: makes the objects below a prefix of a versioned bucket what they were at a time.
//!
//! No version is ever deleted: a delete marker has no data, and a copy is a new version.

mod apply;
mod args;
mod command;
mod copy;
mod decide;
mod fault;
mod listing;
mod place;
mod tally;

pub(crate) use self::args::RestoreObjectsArgs;
pub(crate) use self::command::run;
