//! What may be connected to.

use clap::Args;

/// Options for sources on other machines.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Allow connections to this machine and to private networks
    #[arg(long)]
    pub allow_private_addresses: bool,
}
