//! Periodic measurement of queues and database connections.

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use videoframes_core::database::Database;
use videoframes_core::error::chain;
use videoframes_core::queue::{Depth, InputQueues, Queue};

/// Interval of the measurements. Prometheus scrape intervals and CloudWatch periods are rarely shorter.
const INTERVAL: Duration = Duration::from_secs(15);

/// Measures queues and database connections.
pub(crate) struct Observer {
    pub(crate) input: InputQueues,
    pub(crate) notifier: Arc<dyn Queue>,
    pub(crate) dead_letter_queue: Arc<dyn Queue>,
    pub(crate) database: Database,
}

impl Observer {
    /// Records gauges until the future is dropped.
    pub(crate) async fn run(self) {
        match self.database.schema_version().await {
            Ok(version) => gauge!("videoframes_schema_version").set(version as f64),
            Err(error) => tracing::debug!(error = chain(&error), "failed to read the schema version"),
        }
        loop {
            let connections = self.database.pool_status();
            let used = connections.open.saturating_sub(connections.idle);
            gauge!("videoframes_database_pool_connections", "state" => "idle").set(connections.idle as f64);
            gauge!("videoframes_database_pool_connections", "state" => "used").set(used as f64);
            self.measure_inputs().await;
            for (name, queue) in [
                ("notifier", &self.notifier),
                ("dead_letter", &self.dead_letter_queue),
            ] {
                measure(name, queue.as_ref()).await;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

impl Observer {
    /// Records the gauges of each input queue, and of all together.
    async fn measure_inputs(&self) {
        let mut sum = Some(Depth::default());
        for queue in self.input.iter() {
            let depth = depth(queue.name(), queue.as_ref()).await;
            sum = sum.zip(depth).map(|(sum, depth)| sum + depth);
            let Some(depth) = depth else { continue };
            for (state, messages) in states(&depth) {
                let name = queue.name().to_owned();
                gauge!("videoframes_input_queue_messages", "queue" => name, "state" => state)
                    .set(messages as f64);
            }
        }
        if let Some(sum) = sum {
            record("input", &sum);
        }
    }
}

async fn measure(name: &'static str, queue: &dyn Queue) {
    if let Some(depth) = depth(name, queue).await {
        record(name, &depth);
    }
}

async fn depth(name: &str, queue: &dyn Queue) -> Option<Depth> {
    match queue.depth().await {
        Ok(depth) => Some(depth),
        Err(error) => {
            tracing::debug!(error = chain(&error), queue = name, "failed to measure queue");
            None
        }
    }
}

fn states(depth: &Depth) -> [(&'static str, u64); 3] {
    [
        ("visible", depth.visible),
        ("in_flight", depth.in_flight),
        ("delayed", depth.delayed),
    ]
}

fn record(name: &'static str, depth: &Depth) {
    let oldest = match depth.visible {
        0 => Some(Duration::ZERO),
        _ => depth.oldest,
    };
    if let Some(oldest) = oldest {
        gauge!("videoframes_queue_oldest_age_seconds", "queue" => name).set(oldest.as_secs_f64());
    }
    for (state, messages) in states(depth) {
        gauge!("videoframes_queue_messages", "queue" => name, "state" => state).set(messages as f64);
    }
}
