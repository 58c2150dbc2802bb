//! `vf-worker health`, `pause`, `resume` and `log-level`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;

use videoframes_console::{Failure, exit};

use super::args::{HealthArgs, LogLevelArgs, WorkersArgs};
use super::client;
use super::request::{Reply, Request};
use crate::config::Config;
use crate::stdout::print;
use crate::workspace::Workspace;

/// Prints the health of a worker on this machine. The exit code is `UNAVAILABLE` if the worker is not live, or with
/// `ready` not ready.
pub(crate) fn health(config: &Config, args: &HealthArgs) -> Result<ExitCode, Failure> {
    let address = args.address.or(config.ops_listen).ok_or_else(|| {
        Failure::new(exit::USAGE, "the operations port is off")
            .hint("set VF_OPS_LISTEN for the worker and for this command, or use --address")
    })?;
    let path = if args.ready { "/readyz" } else { "/livez" };
    let response = client::get(reachable(address), path).map_err(|error| {
        Failure::new(
            exit::UNAVAILABLE,
            format!("failed to query the worker at {address}: {error}"),
        )
    })?;
    print(&response.body)?;
    Ok(match response.status {
        200 => ExitCode::SUCCESS,
        _ => ExitCode::from(exit::UNAVAILABLE),
    })
}

/// Returns a reachable address of a listener on `address`: the loopback address for a listener on all addresses.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

pub(crate) fn pause(config: &Config, args: &WorkersArgs) -> Result<ExitCode, Failure> {
    send_all(config, args, &Request::Pause, "paused")
}

pub(crate) fn resume(config: &Config, args: &WorkersArgs) -> Result<ExitCode, Failure> {
    send_all(config, args, &Request::Resume, "resumed")
}

pub(crate) fn log_level(config: &Config, args: &LogLevelArgs) -> Result<ExitCode, Failure> {
    let filter = args.filter.clone();
    send_all(
        config,
        &args.workers,
        &Request::LogLevel { filter },
        "changed the log level",
    )
}

/// Sends a request to the selected workers. Fails if no worker is selected, or if
/// a selected worker does not carry out the request.
fn send_all(config: &Config, args: &WorkersArgs, request: &Request, done: &str) -> Result<ExitCode, Failure> {
    let folder = &config.places.scratch;
    let workers = Workspace::workers(folder).map_err(|error| {
        let folder = folder.display();
        Failure::new(
            exit::UNAVAILABLE,
            format!("failed to list workers in '{folder}': {error}"),
        )
    })?;
    let mut failures = Vec::new();
    let mut found = false;
    for worker in workers {
        if args.worker.as_ref().is_some_and(|name| *name != worker.name) {
            continue;
        }
        found = true;
        match client::send(&worker.socket, request) {
            Ok(Reply::Done) => {
                print(&format!("{}: {done}\n", worker.name))?;
            }
            Ok(Reply::Refused { reason }) => failures.push(format!("{}: {reason}", worker.name)),
            Err(error) => failures.push(format!("{}: failed to send the request: {error}", worker.name)),
        };
    }
    if !failures.is_empty() {
        return Err(Failure::all(exit::UNAVAILABLE, failures));
    }
    if !found {
        return Err(Failure::new(
            exit::NOT_FOUND,
            format!(
                "no such worker found in the scratch folder '{}'",
                folder.display()
            ),
        )
        .hint("set VF_SCRATCH or --local to the value of the worker"));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_loopback() {
        for (listener, asked) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("10.0.0.7:1", "10.0.0.7:1"),
        ] {
            assert_eq!(reachable(listener.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
