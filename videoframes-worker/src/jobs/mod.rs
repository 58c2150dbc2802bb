//! Commands for jobs: `jobs`, `job`, `watch`, `cancel`, `retry`, `keep` and `release`.

mod args;
mod bulk;
mod change;
mod details;
mod failure;
mod follow;
mod history;
mod hold;
mod list;
mod lookup;
mod progress;
mod state;
mod table;
mod tally;
mod watch;

pub(crate) use self::args::{ChangeArgs, HoldArgs, JobArgs, JobsArgs, WatchArgs};
pub(crate) use self::bulk::{change_job, change_jobs, count_jobs};
pub(crate) use self::change::run as change;
pub(crate) use self::details::show;
pub(crate) use self::failure::{missing, unavailable};
pub(crate) use self::follow::{Follow, Report};
pub(crate) use self::history::JobDetails;
pub(crate) use self::hold::run as hold;
pub(crate) use self::list::list;
pub(crate) use self::lookup::existing;
pub(crate) use self::progress::{human, short as short_progress};
pub(crate) use self::table::video;
pub(crate) use self::tally::{Change, Tally};
pub(crate) use self::watch::watch;
