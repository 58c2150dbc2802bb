//! Arguments of `vf-worker restore-objects`.

use std::time::Duration;

use clap::Args;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use videoframes_console::options::{JsonArgs, wall_time};

#[derive(Debug, Args)]
pub(crate) struct RestoreObjectsArgs {
    /// Prefix of the keys, such as results/, or '' for all objects of the store
    pub(crate) prefix: String,
    /// Time to restore: 2026-01-31T12:00:00Z, or how long ago: 90s, 15m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) at: Moment,
    /// Print what would be restored, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Bucket: that of VF_STORAGE, or one of VF_SOURCES [default: that of VF_STORAGE]
    #[arg(long, value_name = "BUCKET")]
    pub(crate) bucket: Option<String>,
    /// Restore what is left, although versions of TIME may have expired (VF_VERSION_RETENTION)
    #[arg(long)]
    pub(crate) incomplete: bool,
    /// Maximum number of concurrent requests
    #[arg(short = 'j', long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: u16,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// A time, absolute or relative to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    At(OffsetDateTime),
    Ago(Duration),
}

impl Moment {
    /// Returns the time, for the current time `now`.
    pub(super) fn resolve(self, now: OffsetDateTime) -> OffsetDateTime {
        match self {
            Self::At(time) => time,
            Self::Ago(age) => now - age,
        }
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(Moment::At(time));
    }
    let age = wall_time(text).map(Moment::Ago);
    age.map_err(|_| "a time such as 2026-01-31T12:00:00Z, or a duration such as 90s, 2h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_relative() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let resolved = |text: &str| moment(text).map(|moment| moment.resolve(now).unix_timestamp());
        for (text, expected) in [
            ("2026-01-31T12:00:00Z", 1_769_860_800),
            ("2026-01-31T14:00:00+02:00", 1_769_860_800),
            ("1000", 999_000),
            ("15m", 999_100),
            ("7d", 395_200),
        ] {
            assert_eq!(resolved(text), Ok(expected), "{text}");
        }
        for wrong in ["yesterday", "2026-01-31", "2026-01-31T12:00:00", "-1h", ""] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
