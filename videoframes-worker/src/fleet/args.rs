//! Arguments of `vf-worker fleet`.

use std::time::Duration;

use clap::{Args, Subcommand};
use videoframes_console::options::{JsonArgs, wall_time};
use videoframes_core::fleet::{Revision, Share};

#[derive(Debug, Args)]
pub(crate) struct FleetArgs {
    #[command(subcommand)]
    pub(crate) action: FleetAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FleetAction {
    /// Print the active revision, the canary and the workers of each revision
    Status(JsonArgs),
    /// Let a revision receive messages in a share of the time
    Canary(CanaryArgs),
    /// Wait until a revision is healthy; fail if it is not
    Check(CheckArgs),
    /// Let a revision receive the messages instead of the active revision
    Activate {
        /// Name of the revision (VF_REVISION of its workers)
        revision: Revision,
    },
    /// Return to the previous revision if this revision is active, or end its canary
    Rollback {
        /// Name of the revision (VF_REVISION of its workers)
        revision: Revision,
    },
    /// Shift the messages to a revision in steps; roll back if the revision is unhealthy
    #[command(after_help = SHIFT_HELP)]
    Shift(ShiftArgs),
}

const SHIFT_HELP: &str = "\
Steps: wait for ready workers, canary, check, activation, check. An unhealthy revision, a failed command and a signal \
lead to a rollback. A killed command leaves no canary behind: the canary ends after a minute.

Exit code 24: the revision was unhealthy.";

#[derive(Debug, Args)]
pub(crate) struct CanaryArgs {
    /// Name of the revision (VF_REVISION of its workers)
    pub(crate) revision: Revision,
    /// Share of the time in which each worker of the revision receives messages
    #[arg(long, value_name = "PERCENT", default_value = "10%")]
    pub(crate) share: Share,
    /// Time after which the revision stands by again
    #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = wall_time)]
    pub(crate) duration: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Name of the revision (VF_REVISION of its workers)
    pub(crate) revision: Revision,
    #[command(flatten)]
    pub(crate) require: RequirementArgs,
    /// Maximum time until the revision is healthy [default: no wait]
    #[arg(long, value_name = "DURATION", value_parser = wall_time)]
    pub(crate) wait: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct ShiftArgs {
    /// Name of the revision (VF_REVISION of its workers)
    pub(crate) revision: Revision,
    /// Share of the time in which the canary receives messages
    #[arg(long, value_name = "PERCENT", default_value = "10%")]
    pub(crate) canary: Share,
    /// Time of the canary, and of the check after the activation; at least VF_LEASE, after which a crash is noticed
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = wall_time)]
    pub(crate) bake: Duration,
    /// Maximum time until the workers are ready, and then until enough jobs ended in the canary
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = wall_time)]
    pub(crate) wait: Duration,
    #[command(flatten)]
    pub(crate) require: RequirementArgs,
}

/// What a healthy revision has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Health")]
pub(crate) struct RequirementArgs {
    /// Minimum number of ready workers
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) workers: u64,
    /// Minimum number of jobs that completed or failed
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) jobs: u64,
    /// Maximum number of lost workers and of attempts with a fault of the system
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) max_faults: u64,
    /// Maximum share of failed jobs above that of the other revisions, from five jobs on
    #[arg(long, value_name = "PERCENT", default_value = "20%")]
    pub(crate) max_failed: Share,
}
