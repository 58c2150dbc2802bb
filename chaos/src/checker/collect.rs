//! Reads what the checker observes.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use super::archive::{self, Archive};
use super::observed::{Event, Object, Observed, Row};
use super::watch::ROWS;
use crate::load::ledger::Foreign;
use crate::servers::Servers;
use crate::servers::cloud::{BUCKET, Cloud};

/// Receives notifications, from the beginning of a run.
#[derive(Debug, Default)]
pub(crate) struct Notifications {
    received: Mutex<Vec<String>>,
}

impl Notifications {
    fn received(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.received
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Receives notifications until it is dropped.
    pub(crate) async fn run(&self, cloud: &Cloud) {
        loop {
            if self.take(cloud).await.is_err() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    async fn take(&self, cloud: &Cloud) -> anyhow::Result<usize> {
        let bodies = cloud.take(&cloud.notifier).await?;
        let number = bodies.len();
        self.received().extend(bodies);
        Ok(number)
    }

    /// Receives what is left.
    pub(crate) async fn finish(&self, cloud: &Cloud) -> anyhow::Result<()> {
        while self.take(cloud).await? > 0 || cloud.depth(&cloud.notifier).await? > 0 {}
        Ok(())
    }

    /// Returns the number of notifications so far.
    pub(crate) fn number(&self) -> usize {
        self.received().len()
    }

    /// Returns the notifications, and the messages that are none.
    pub(crate) fn events(&self) -> (Vec<Event>, Vec<String>) {
        let mut events = Vec::new();
        let mut strange = Vec::new();
        for body in self.received().iter() {
            let event = serde_json::from_str(body)
                .ok()
                .as_ref()
                .and_then(Event::from_json);
            match event {
                Some(event) => events.push(event),
                None => strange.push(body.clone()),
            }
        }
        (events, strange)
    }
}

/// Returns the rows of jobs.
pub(crate) async fn rows(servers: &Servers) -> anyhow::Result<Vec<Row>> {
    let rows = servers.postgres.rows(ROWS).await?;
    Ok(rows.iter().map(Row::from_json).collect())
}

/// Returns the history of attempts.
pub(crate) async fn attempts(servers: &Servers) -> anyhow::Result<Vec<Value>> {
    let query = "SELECT job_id::text, epoch, worker, started_at, ended_at, outcome, error_code, error_message \
                 FROM videoframes_attempts ORDER BY job_id, epoch";
    servers.postgres.rows(query).await
}

/// Returns the number of messages in the outbox that were not sent.
pub(crate) async fn unsent(servers: &Servers) -> anyhow::Result<u64> {
    servers
        .postgres
        .count("SELECT 1 FROM outbox WHERE sent_at IS NULL")
        .await
}

/// Reads the final state.
pub(crate) async fn observe(
    servers: &Servers,
    notifications: &Notifications,
    foreign: &[Foreign],
) -> anyhow::Result<Observed> {
    let cloud = &servers.cloud;
    notifications.finish(cloud).await?;
    let rows = rows(servers).await?;
    let (events, strange_events) = notifications.events();
    let mut letters = Vec::new();
    while cloud.depth(&cloud.dead_letters).await? > 0 {
        letters.extend(cloud.take(&cloud.dead_letters).await?);
    }
    let named = rows
        .iter()
        .filter_map(|row| Some((BUCKET.to_owned(), row.result_key.clone()?)));
    let reported = events.iter().filter_map(|event| {
        let (bucket, key, _) = event.result.clone()?;
        Some((bucket, key))
    });
    let mut archives: BTreeMap<Object, Result<Archive, String>> = BTreeMap::new();
    for (bucket, key) in named.chain(reported) {
        if archives.contains_key(&(bucket.clone(), key.clone())) {
            continue;
        }
        let read = match cloud.get(&bucket, &key).await? {
            Some(bytes) => tokio::task::spawn_blocking(move || archive::read(&bytes)).await?,
            None => Err("the object does not exist".to_owned()),
        };
        archives.insert((bucket, key), read);
    }
    let mut renditions = BTreeMap::new();
    for (key, _) in rows.iter().flat_map(|row| &row.renditions) {
        if let Some(bytes) = cloud.get(BUCKET, key).await? {
            renditions.insert(key.clone(), archive::sha256(&bytes));
        }
    }
    let mut changed = Vec::new();
    for Foreign { key, content } in foreign {
        if cloud.get(BUCKET, key).await?.as_ref() != Some(content) {
            changed.push(key.clone());
        }
    }
    Ok(Observed {
        events,
        strange_events,
        letters,
        archives,
        renditions,
        results: cloud.keys("results/").await?,
        uploads: cloud.uploads().await?,
        changed,
        unsent: unsent(servers).await?,
        waiting: cloud.depth(&cloud.input).await?,
        rows,
    })
}
