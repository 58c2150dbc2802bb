//! Faults of connections and responses.

use std::time::{Duration, Instant};

use anyhow::Context;
use videoframes_core::testing::Condition;

use super::{Outcome, PAST_LEASE, Performer};
use crate::injection::{Dependency, HttpFault};
use crate::load::plan::Kind;

/// Maximum time until a fault of a response meets requests.
const MET: Duration = Duration::from_secs(12);

/// Returns how long a condition lasts.
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
        link.set(condition);
        tokio::time::sleep(duration(condition)).await;
        link.set(Condition::Open);
        let hits = link.hits() - before;
        let name = format!("one link {}: affected", dependency.name());
        self.evidence.add(name, u64::from(hits > 0));
        Ok(format!("{worker}: {hits} times affected"))
    }

    pub(super) async fn all_links(&self, dependency: Dependency, condition: Condition) -> Outcome {
        let network = &self.fleet.network;
        let hits = network.count(dependency);
        let since = Instant::now();
        network.set_all(dependency, condition);
        tokio::time::sleep(duration(condition)).await;
        // No transaction may have been committed meanwhile.
        while hits() == 0 && since.elapsed() < MET {
            tokio::time::sleep(Duration::from_millis(100)).await;
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
        Ok(format!("{hits} times affected"))
    }

    pub(super) async fn http(&self, fault: HttpFault) -> Outcome {
        let faults = &self.fleet.network.faults;
        let before = faults.hits(fault);
        let hits = || faults.hits(fault) - before;
        faults.start(fault);
        if matches!(
            fault,
            HttpFault::FailedPart | HttpFault::LostComplete | HttpFault::ErrorInSuccess
        ) {
            // Few jobs of the plan upload their archives in parts.
            self.client.submit_also(Kind::Large, 1).await?;
        }
        let since = Instant::now();
        // A fault that affects all workers is short.
        let (enough, longest) = match fault {
            HttpFault::Busy => (u64::MAX, Duration::from_secs(2)),
            HttpFault::FailedPart | HttpFault::LostComplete | HttpFault::ErrorInSuccess => (2, MET * 2),
            HttpFault::FailedExtension => (6, MET),
            _ => (2, MET),
        };
        while hits() < enough && since.elapsed() < longest {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        faults.end(fault);
        self.evidence.add(format!("response {fault:?}"), hits());
        Ok(format!("{} responses", hits()))
    }
}
