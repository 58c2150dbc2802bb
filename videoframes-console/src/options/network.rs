//! Options for network access.

use clap::Args;

/// Options for remote sources.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Allow connections to this machine and to private networks
    #[arg(long)]
    pub allow_private_addresses: bool,
}
