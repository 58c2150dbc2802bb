//! `vf-worker fleet shift`: shifts the messages to a revision in steps, and rolls back.

use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use videoframes_console::{Failure, cancelled_by_signals, exit};
use videoframes_core::fleet::FleetChange;

use super::args::{RequirementArgs, ShiftArgs};
use super::poll::{POLL, Polls};
use super::verdict::Verdict;
use crate::stdout::print;

/// Time after which a canary ends unless it is renewed: longer than a pause between two polls.
const CANARY: Duration = Duration::from_secs(60);

/// Shifts the messages. Rolls back after a failure or a signal.
pub(super) async fn shift(mut polls: Polls<'_>, args: &ShiftArgs) -> Result<ExitCode, Failure> {
    let stop = cancelled_by_signals(Duration::ZERO).map_err(|e| Failure::internal(&e))?;
    let shifted = tokio::select! {
        biased;
        () = stop.cancelled() => Err(Failure::new(exit::CANCELLED, "the shift was cancelled")),
        shifted = steps(&mut polls, args) => shifted,
    };
    if let Err(failure) = shifted {
        let revision = args.revision.clone();
        polls.change(&FleetChange::RollBack(revision)).await?;
        print("rolled back\n")?;
        return Err(failure);
    }
    print(&format!("{}: shifted\n", args.revision))
}

async fn steps(polls: &mut Polls<'_>, args: &ShiftArgs) -> Result<(), Failure> {
    let revision = &args.revision;
    // A crash is noticed only after this time.
    let bake = args.bake.max(polls.timeout + POLL);
    polls.begin().await?;
    let of_workers = RequirementArgs {
        jobs: 0,
        ..args.require.clone()
    };
    until_healthy(polls, &of_workers, args.wait).await?;
    print(&format!("{revision}: workers are ready\n"))?;

    let canary = FleetChange::Canary {
        revision: revision.clone(),
        share: args.canary,
        duration: CANARY,
    };
    print(&format!("{revision}: canary at {} for {:?}\n", args.canary, bake))?;
    let began = Instant::now();
    loop {
        // Renews the canary.
        polls.change(&canary).await?;
        match polls.verdict(&args.require).await? {
            Verdict::Unhealthy(reason) => return Err(polls.unhealthy(&reason)),
            Verdict::Healthy if began.elapsed() >= bake => break,
            Verdict::Waiting(reason) if began.elapsed() >= bake + args.wait => {
                return Err(polls.unhealthy(&reason));
            }
            _ => sleep(POLL).await,
        }
    }

    polls.change(&FleetChange::Activate(revision.clone())).await?;
    print(&format!("{revision}: active; checking for {bake:?}\n"))?;
    let activated = Instant::now();
    while activated.elapsed() < bake {
        if let Verdict::Unhealthy(reason) = polls.verdict(&of_workers).await? {
            return Err(polls.unhealthy(&reason));
        }
        sleep(POLL).await;
    }
    until_healthy(polls, &of_workers, Duration::ZERO).await
}

/// Waits until the revision is healthy, at most for `wait`.
pub(super) async fn until_healthy(
    polls: &mut Polls<'_>,
    require: &RequirementArgs,
    wait: Duration,
) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        match polls.verdict(require).await? {
            Verdict::Healthy => return Ok(()),
            Verdict::Waiting(_) if began.elapsed() < wait => sleep(POLL).await,
            Verdict::Waiting(reason) | Verdict::Unhealthy(reason) => return Err(polls.unhealthy(&reason)),
        }
    }
}
