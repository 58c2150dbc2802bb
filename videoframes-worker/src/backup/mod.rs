//! `vf-worker backup` and `restore`: backups of a SQLite database.

mod args;
mod commands;
mod failure;
mod report;

pub(crate) use self::args::{BackupArgs, RestoreArgs};
pub(crate) use self::commands::{back_up, restore};
