//! Arguments of the commands for running workers.

use std::net::SocketAddr;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Check readiness (the worker can start jobs) instead of liveness
    #[arg(long)]
    pub(crate) ready: bool,
    /// Address of the operations port [default: VF_OPS_LISTEN]
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) address: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct WorkersArgs {
    /// Name of the worker, as in its log (service.instance.id) [default: all workers on this machine with
    /// the same scratch folder]
    #[arg(long, value_name = "NAME")]
    pub(crate) worker: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LogLevelArgs {
    /// Log level (error, warn, info, debug), or a filter such as videoframes_core=debug
    pub(crate) filter: String,
    #[command(flatten)]
    pub(crate) workers: WorkersArgs,
}
