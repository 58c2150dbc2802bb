//! Faults of connections and responses.

use std::time::{Duration, Instant};

use anyhow::Context;
use videoframes_core::testing::Condition;

use super::{Outcome, PAST_LEASE, Performer};
use crate::injection::{Dependency, HttpFault};
use crate::journal::Effect;
use crate::load::plan::Kind;

/// Maximum time until a fault meets connections or requests.
const MET: Duration = Duration::from_secs(12);
const PAUSE: Duration = Duration::from_millis(100);
/// Counter of scrapes in which a worker does not try to use its database.
const DATABASE_DOWN: &str = "metric circuit_state database open";

/// Returns how long a condition lasts at least.
fn duration(condition: Condition) -> Duration {
    match condition {
        // A worker without its database has to fence itself.
        Condition::HalfOpen | Condition::Stalled => PAST_LEASE,
        Condition::Slow(_) => Duration::from_secs(4),
        _ => Duration::from_secs(2),
    }
}

impl Performer {
    pub(super) async fn one_link(&self, dependency: Dependency, condition: Condition, pick: u32) -> Outcome {
        let worker = self.fleet.any(pick).context("no worker")?;
        let links = self
            .fleet
            .with(&worker, |worker| worker.links.clone())
            .context("the worker has ended")?;
        let link = links.to(dependency);
        let before = link.hits();
        let since = Instant::now();
        link.set(condition);
        tokio::time::sleep(duration(condition)).await;
        while link.hits() == before && since.elapsed() < MET {
            tokio::time::sleep(PAUSE).await;
        }
        link.set(Condition::Open);
        let hits = link.hits() - before;
        let name = format!("one link {}: affected", dependency.name());
        self.evidence.add(name, u64::from(hits > 0));
        Ok(Effect::of(hits > 0, format!("{worker}: {hits} times affected")))
    }

    pub(super) async fn all_links(&self, dependency: Dependency, condition: Condition) -> Outcome {
        let network = &self.fleet.network;
        let hits = network.count(dependency);
        let since = Instant::now();
        let down = self.evidence.count(DATABASE_DOWN);
        let is_outage = (dependency, condition) == (Dependency::Database, Condition::Cut);
        let is_evident = || hits() > 0 && (!is_outage || self.evidence.count(DATABASE_DOWN) > down);
        network.set_all(dependency, condition);
        tokio::time::sleep(duration(condition)).await;
        // No transaction may have been committed meanwhile, and workers first repeat refused calls.
        while !is_evident() && since.elapsed() < MET {
            tokio::time::sleep(PAUSE).await;
        }
        network.set_all(dependency, Condition::Open);
        let hits = hits();
        let kind = match condition {
            Condition::Slow(_) => "Slow",
            Condition::LoseAnswerTo(_) => "LoseAnswerTo(COMMIT)",
            _ => "Cut",
        };
        let name = format!("all links {}: affected {kind}", dependency.name());
        self.evidence.add(name, u64::from(hits > 0));
        Ok(Effect::of(hits > 0, format!("{hits} times affected")))
    }

    pub(super) async fn http(&self, fault: HttpFault) -> Outcome {
        let faults = &self.fleet.network.faults;
        let before = faults.hits(fault);
        let hits = || faults.hits(fault) - before;
        faults.start(fault);
        // A fault that affects all workers is short.
        let (enough, longest) = match fault {
            HttpFault::Busy => (u64::MAX, Duration::from_secs(2)),
            HttpFault::FailedExtension => (6, MET * 2),
            _ => (2, MET * 2),
        };
        let is_enough = async || hits() >= enough;
        self.provoke(needed_by(fault), 1, longest, is_enough).await;
        faults.end(fault);
        let hits = hits();
        self.evidence.add(format!("response {fault:?}"), hits);
        Ok(Effect::of(hits > 0, format!("{hits} responses")))
    }
}

/// Returns the kind of jobs whose requests a fault concerns. Few jobs of the plan upload their archives in parts.
fn needed_by(fault: HttpFault) -> Kind {
    match fault {
        HttpFault::FailedPart | HttpFault::LostComplete | HttpFault::ErrorInSuccess => Kind::Large,
        HttpFault::CorruptCopy => Kind::Copied,
        HttpFault::Denied => Kind::Denied,
        HttpFault::FailedExtension => Kind::Long,
        _ => Kind::Message,
    }
}
