//! A watch during the run: an ended job changes only by a retry.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::observed::{Row, Violation};
use crate::servers::postgres::Postgres;

/// Query for the rows of jobs.
pub(crate) const ROWS: &str = "SELECT * FROM video_jobs";
const PAUSE: Duration = Duration::from_secs(2);

/// The watch.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ended: BTreeMap<String, Row>,
    violations: Vec<Violation>,
}

impl Watch {
    /// Reads the rows repeatedly, until it is dropped. A database that does not respond is skipped.
    pub(crate) async fn run(&self, postgres: &Postgres) {
        loop {
            if let Ok(rows) = postgres.rows(ROWS).await {
                self.compare(rows.iter().map(Row::from_json).collect());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Compares rows with those that were read before.
    pub(crate) fn compare(&self, rows: Vec<Row>) {
        let state = &mut *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let by_id: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
        for (id, before) in &state.ended {
            let problem = match by_id.get(id.as_str()) {
                None => "the row of an ended job has vanished".to_owned(),
                Some(row) if row.generation > before.generation => continue,
                Some(row) if facts(row) == facts(before) => continue,
                Some(row) => format!(
                    "an ended job changed from {:?} to {:?}",
                    facts(before),
                    facts(row)
                ),
            };
            let violation = Violation::new(id, problem);
            if !state.violations.contains(&violation) {
                state.violations.push(violation);
            }
        }
        for row in rows.into_iter().filter(Row::is_terminal) {
            state.ended.insert(row.id.clone(), row);
        }
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .violations
            .clone()
    }
}

/// Returns what must not change.
fn facts(row: &Row) -> (&str, i64, &str, Option<&String>, Option<i64>) {
    (
        &row.status,
        row.generation,
        row.outcome(),
        row.result_key.as_ref(),
        row.finished_at,
    )
}
