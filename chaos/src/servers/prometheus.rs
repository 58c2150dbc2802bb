//! A Prometheus that scrapes the workers and evaluates the alert rules. Each `for` of a rule is a sixtieth.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use super::script::{NotInstalled, script, script_with};
use crate::wait::until;
use crate::workers::fleet::Fleet;
use crate::workers::metrics::get;

/// Pause between changes of the targets.
const PAUSE: Duration = Duration::from_millis(500);
/// Duration of a run per second between two evaluations of the rules, so that they take only some of the time of a core:
/// the series of ended workers remain in the ranges of the rules.
const PER_SECOND: Duration = Duration::from_secs(300);
/// Maximum time between two evaluations: the delay of an alert that is still accepted.
const MAX_EVALUATION: u64 = 5;
/// Query for the alerts that have fired: `count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[1d]))`.
const FIRED: &str = "/api/v1/query?query=count%20by%20(alertname)%20(count_over_time(ALERTS%7B\
                     alertstate%3D%22firing%22%7D%5B1d%5D))";

/// A private Prometheus.
#[derive(Debug)]
pub(crate) struct Prometheus {
    folder: PathBuf,
    address: SocketAddr,
    targets: Mutex<Vec<SocketAddr>>,
}

impl Prometheus {
    /// Starts the server after the first worker, since an alert fires without any worker. Returns `None` if Prometheus is
    /// not installed. The rules of a long run are evaluated less often.
    pub(crate) async fn start(root: &Path, fleet: &Fleet, run: Duration) -> anyhow::Result<Option<Self>> {
        let is_running = async || {
            let (_, address) = fleet.targets().into_iter().next().context("no worker")?;
            Ok(get(address, "/metrics").await?.0 == 200)
        };
        until("a worker has metrics", is_running).await?;
        let folder = folder(root);
        let evaluation = evaluation(run).to_string();
        let args = ["start", folder.to_str().unwrap_or_default()];
        let address = match script_with("prometheus", &args, &[("EVALUATION", &evaluation)]).await {
            Err(error) if error.is::<NotInstalled>() => return Ok(None),
            address => address?,
        };
        let address = address.trim_start_matches("http://").parse()?;
        let targets = Mutex::default();
        Ok(Some(Self {
            folder,
            address,
            targets,
        }))
    }

    /// Scrapes these workers from now on.
    fn scrape(&self, targets: Vec<SocketAddr>) -> std::io::Result<()> {
        let mut current = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == targets {
            return Ok(());
        }
        let new = self.folder.join("targets.new");
        std::fs::write(&new, json!([{"targets": targets}]).to_string())?;
        std::fs::rename(new, self.folder.join("targets.json"))?;
        *current = targets;
        Ok(())
    }

    /// Scrapes the workers of a fleet, until it is dropped.
    pub(crate) async fn run(&self, fleet: &Fleet) {
        loop {
            let workers = fleet.targets().into_iter();
            if let Err(error) = self.scrape(workers.map(|(_, address)| address).collect()) {
                eprintln!("failed to change the targets of Prometheus: {error}");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Returns the names of the alerts that have fired.
    pub(crate) async fn fired(&self) -> anyhow::Result<BTreeSet<String>> {
        let (_, body) = get(self.address, FIRED).await?;
        let response: Value = serde_json::from_str(&body)?;
        let results = response["data"]["result"].as_array();
        let names = results.context("no result of a query")?.iter();
        let names = names.filter_map(|result| Some(result["metric"]["alertname"].as_str()?.to_owned()));
        Ok(names.collect())
    }

    /// Stops a server in `root`.
    pub(crate) async fn stop(root: &Path) {
        let folder = folder(root);
        if folder.join("pid").exists() {
            let _ = script("prometheus", &["stop", folder.to_str().unwrap_or_default()]).await;
        }
    }
}

/// Returns the seconds between two evaluations of the rules.
fn evaluation(run: Duration) -> u64 {
    (run.as_secs() / PER_SECOND.as_secs()).clamp(1, MAX_EVALUATION)
}

fn folder(root: &Path) -> PathBuf {
    root.join("prometheus")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_long_runs_are_evaluated_less_often() {
        for (minutes, expected) in [(1, 1), (3, 1), (9, 1), (15, 3), (60, 5), (480, 5)] {
            assert_eq!(
                evaluation(Duration::from_secs(60 * minutes)),
                expected,
                "{minutes} minutes"
            );
        }
    }
}
