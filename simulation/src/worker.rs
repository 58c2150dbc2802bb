//! A worker: the real processor with simulated dependencies, started again after each crash and each stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use videoframes_core::processor::{Parts, Processor, ProcessorConfig, Queues, Timing, Until};

use crate::extractor::SimulatedExtractor;
use crate::faults::Actor;
use crate::life::Life;
use crate::queue::{Which, shared};
use crate::repo::SimulatedRepo;
use crate::storage::SimulatedStorage;
use crate::world::World;

/// Age of orphaned results before their deletion.
pub(crate) const ORPHAN: Duration = Duration::from_secs(300);
/// Maximum time of a job from its first attempt.
const DEADLINE: Duration = Duration::from_secs(3 * 3600);

fn config(world: &World, worker: u8) -> ProcessorConfig {
    let timing = Timing::default().relay(Duration::from_secs(5)).orphan(ORPHAN);
    ProcessorConfig::default()
        .owner(format!("worker{worker}"))
        .concurrency(world.plan.scenario.slots)
        .timing(timing)
        .crashes(world.plan.scenario.crashes)
        .deadline(DEADLINE)
}

/// Runs a worker forever.
pub(crate) async fn run(world: Arc<World>, worker: u8) {
    loop {
        let life = Life::new(&world, Actor::Worker(worker));
        world.state().lives.insert(worker, life.clone());
        let queues = Queues {
            input: shared(&life, Which::Input).into(),
            notifier: shared(&life, Which::Notifier),
        };
        let repo = Arc::new(SimulatedRepo { life: life.clone() });
        let storage = Arc::new(SimulatedStorage { life: life.clone() });
        let extractor = Arc::new(SimulatedExtractor { life: life.clone() });
        let clock = world.clocks[usize::from(worker)].clone();
        let parts = Parts::new(queues, repo, storage, extractor).with_clock(clock);
        let processor = Processor::new(parts, config(&world, worker));
        let stop = life.stop.clone();
        let run = tokio::spawn(async move { processor.run(Until::Stopped, &stop).await });
        let run = AbortOnDropHandle::new(run);
        tokio::select! {
            biased;
            () = life.crashed.notified() => {}
            _ = run => {}
        }
        // Nothing of a process survives its end.
        life.crash(u64::try_from(life.down().as_millis()).unwrap_or(0));
        sleep(life.down()).await;
    }
}
