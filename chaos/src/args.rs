//! Options.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Injects faults into workers and their servers under load, and checks the invariant of the job protocol from outside
#[derive(Debug, Parser)]
#[command(name = "videoframes-chaos")]
pub(crate) struct Args {
    /// Duration of the run with start and check, in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 3, conflicts_with = "hours")]
    pub(crate) minutes: u64,

    /// Duration of the run in hours
    #[arg(long, value_name = "HOURS", value_parser = parse_hours)]
    pub(crate) hours: Option<f64>,

    /// Seed of schedule and load [default: random]
    #[arg(long, value_name = "SEED")]
    pub(crate) seed: Option<u64>,

    /// Repeats the schedule and the load of a run; the same as --seed
    #[arg(long, value_name = "SEED", conflicts_with = "seed")]
    pub(crate) replay: Option<u64>,

    /// vf-worker with the feature fault-points [default: that of the workspace]
    #[arg(long, value_name = "PATH")]
    pub(crate) worker: Option<PathBuf>,

    /// Earlier build of vf-worker, for runs with mixed versions [default: the same build]
    #[arg(long, value_name = "PATH")]
    pub(crate) previous: Option<PathBuf>,

    /// Usual number of workers
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    pub(crate) workers: usize,

    /// Writes the report as JSON into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Damages the state on purpose; the run must then fail
    #[arg(long, value_name = "DAMAGE")]
    pub(crate) damage: Option<Damage>,

    /// Keeps the folder with logs after the run
    #[arg(long)]
    pub(crate) keep: bool,
}

/// A damage that the checker must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Damage {
    /// Deletes the archive of a completed job
    Object,
    /// Repeats a notification with another ID
    Notification,
    /// Deletes the row of an ended job
    Row,
    /// Starts an upload and never completes it
    Upload,
    /// Starts the workers without the limit of the tenant
    Limit,
}

impl Args {
    pub(crate) fn duration(&self) -> Duration {
        let minutes = self.hours.map_or(self.minutes as f64, |hours| hours * 60.0);
        Duration::from_secs_f64(60.0 * minutes)
    }
}

/// Parses a number of hours, up to a year.
fn parse_hours(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(hours) if hours > 0.0 && hours <= 8760.0 => Ok(hours),
        _ => Err(format!("'{text}' is not a positive number of hours")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_duration_is_in_minutes_or_hours() {
        let duration = |args: &[&str]| {
            Args::try_parse_from([&["chaos"], args].concat())
                .unwrap()
                .duration()
        };
        assert_eq!(duration(&[]), Duration::from_secs(180));
        assert_eq!(duration(&["--minutes", "5"]), Duration::from_secs(300));
        assert_eq!(duration(&["--hours", "8"]), Duration::from_secs(28_800));
        assert_eq!(duration(&["--hours", "0.25"]), Duration::from_secs(900));
        assert!(Args::try_parse_from(["chaos", "--hours", "1", "--minutes", "1"]).is_err());
    }
}
