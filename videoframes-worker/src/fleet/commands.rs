//! `vf-worker fleet`: reads and changes the active revision.

use std::process::ExitCode;
use std::time::Duration;

use videoframes_console::options::JsonArgs;
use videoframes_console::{Failure, to_json};
use videoframes_core::fleet::{FleetChange, FleetRegistry, Revision, SeaOrmFleet};

use super::args::{FleetAction, FleetArgs};
use super::failure::failure;
use super::poll::Polls;
use super::shift::{shift, until_healthy};
use super::status::Status;
use super::tally::Tally;
use crate::config::Config;
use crate::connections::open;
use crate::stdout::print;

pub(crate) async fn run(config: &Config, args: &FleetArgs) -> Result<ExitCode, Failure> {
    let connections = open(config).await?;
    let registry = SeaOrmFleet::new(connections.database);
    let timeout = config.processor.timing.lease;
    let polls = |revision| Polls::new(&registry, revision, timeout, config.outage);
    match &args.action {
        FleetAction::Status(json) => status(&registry, timeout, json).await,
        FleetAction::Canary(args) => {
            let change = FleetChange::Canary {
                revision: args.revision.clone(),
                share: args.share,
                duration: args.duration,
            };
            change_fleet(&registry, &change, timeout).await
        }
        FleetAction::Activate { revision } => {
            let change = FleetChange::Activate(Revision::clone(revision));
            let code = change_fleet(&registry, &change, timeout).await?;
            let workers = registry.workers().await.map_err(|e| failure(&e))?;
            let tally = Tally::of(&workers, timeout, |found| found == Some(revision));
            if tally.ready + tally.not_ready == 0 {
                eprintln!("no worker of '{revision}' runs; start one, or activate another revision");
            }
            Ok(code)
        }
        FleetAction::Rollback { revision } => {
            let change = FleetChange::RollBack(Revision::clone(revision));
            change_fleet(&registry, &change, timeout).await
        }
        FleetAction::Check(args) => {
            let wait = args.wait.unwrap_or_default();
            until_healthy(&mut polls(&args.revision), &args.require, wait).await?;
            print(&format!("{}: healthy\n", args.revision))
        }
        FleetAction::Shift(args) => shift(polls(&args.revision), args).await,
    }
}

async fn status(
    registry: &dyn FleetRegistry,
    timeout: Duration,
    args: &JsonArgs,
) -> Result<ExitCode, Failure> {
    let workers = registry.workers().await.map_err(|e| failure(&e))?;
    let fleet = registry.fleet().await.map_err(|e| failure(&e))?;
    let status = Status::new(&fleet, &workers, timeout);
    print(&match args.json {
        true => to_json(&status)?,
        false => status.text(),
    })
}

async fn change_fleet(
    registry: &dyn FleetRegistry,
    change: &FleetChange,
    timeout: Duration,
) -> Result<ExitCode, Failure> {
    let fleet = registry.change(change, timeout).await.map_err(|e| failure(&e))?;
    let active = fleet.active.as_ref().map_or("-", Revision::as_str);
    print(&format!("active: {active}\n"))
}
