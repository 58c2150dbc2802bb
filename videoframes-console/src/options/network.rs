//! What may be connected to.

use clap::Args;

/// Options for sources on other machines.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Read from hosts of this machine and of local networks too
    #[arg(long)]
    pub allow_private_addresses: bool,
}
