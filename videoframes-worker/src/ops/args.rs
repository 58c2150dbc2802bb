//! Arguments of the commands for running workers.

use std::net::SocketAddr;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Check whether the worker can start jobs, instead of whether it runs
    #[arg(long)]
    pub(crate) ready: bool,
    /// Address of the operations port (VF_OPS_LISTEN)
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) address: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct WorkersArgs {
    /// Only the worker of this name, as in its log (service.instance.id) [default: all workers on this machine with
    /// the same scratch folder]
    #[arg(long, value_name = "NAME")]
    pub(crate) worker: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LogLevelArgs {
    /// Level (error, warn, info, debug) or filter such as videoframes_core=debug
    pub(crate) filter: String,
    #[command(flatten)]
    pub(crate) workers: WorkersArgs,
}
