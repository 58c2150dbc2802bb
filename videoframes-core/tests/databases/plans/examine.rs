//! Examines the query plans of all statements of some calls.

use std::fmt::{Debug, Write};
use std::sync::{Mutex, MutexGuard};

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use videoframes_core::database::Database;

/// Maximum numbers of rows that a step of a plan may return and discard.
#[derive(Clone, Copy)]
pub(super) struct MaxRows {
    returned: u64,
    discarded: u64,
}

/// Somewhat more than a sweep enqueues.
pub(super) const FEW: MaxRows = MaxRows {
    returned: 1_100,
    discarded: 100,
};

/// Maximum number of pages that a statement reads without any row, and for each row of its steps.
const MAX_PAGES: u64 = 60;
const PAGES_PER_ROW: u64 = 20;
/// Maximum number of pages for an inserted row: a table has up to 20 indexes of up to four levels.
const PAGES_PER_INSERTED_ROW: u64 = 80;

/// A page of a search reads 5,000 rows of a status. The planner may read rows of other statuses between these, and all
/// rows where not many more are left.
pub(super) const SEARCHED: MaxRows = MaxRows {
    returned: 10_000,
    discarded: 10_000,
};

/// Runs calls and checks the query plans of all their statements.
pub(super) async fn check(database: &Database, what: &str, calls: impl AsyncFnOnce()) {
    check_within(database, FEW, what, calls).await;
}

pub(super) async fn check_within(database: &Database, max: MaxRows, what: &str, calls: impl AsyncFnOnce()) {
    for plan in plans(database, what, calls).await {
        let bad = plan.lines().find(|line| reads_a_backlog(line, max));
        assert_eq!(bad, None, "{what}: {plan}");
        assert!(!reads_an_index_for_few_rows(&plan), "{what}: {plan}");
    }
}

/// Returns the query plans of all statements of some calls.
pub(super) async fn plans(database: &Database, what: &str, calls: impl AsyncFnOnce()) -> Vec<String> {
    seen().clear();
    calls().await;
    let seen = std::mem::take(&mut *seen());
    let plans: Vec<String> = match database.connection().get_database_backend() {
        DbBackend::Postgres => seen.into_iter().filter(|said| said.contains("plan:")).collect(),
        _ => explained(database, seen).await,
    };
    assert!(!plans.is_empty(), "{what}: statements were seen");
    plans
}

pub(super) fn reads_a_backlog(line: &str, max: MaxRows) -> bool {
    let removed = line.trim().strip_prefix("Rows Removed by Filter: ");
    let sqlite_scan = line.contains("SCAN video_jobs")
        && ![
            "video_jobs_created_at",
            "video_jobs_cancel_requested",
            "video_jobs_kept",
        ]
        .iter()
        .any(|index| line.contains(index));
    let tables = ["video", "queue_messages", "outbox"];
    tables
        .iter()
        .any(|table| line.contains(&format!("Seq Scan on {table}")))
        || line.contains("SCAN queue_messages")
        || line.contains("SCAN outbox")
        || line.contains("SCAN videoframes_attempts")
        || actual_rows(line).is_some_and(|rows| rows > max.returned)
        || line.contains("TEMP B-TREE FOR ORDER BY")
        || sqlite_scan
        || removed.is_some_and(|rows| rows.parse::<u64>().unwrap() > max.discarded)
}

/// Returns whether a Postgres plan reads more pages than its rows explain, such as a whole index for its first rows.
fn reads_an_index_for_few_rows(plan: &str) -> bool {
    let counted = |line: &str, name: &str| {
        let (_, rows) = line.split_once(name)?;
        rows.trim().parse::<u64>().ok()
    };
    let discarded = |line: &str| counted(line, "Rows Removed by Filter: ");
    let rows: u64 = plan
        .lines()
        .filter_map(|line| actual_rows(line).or_else(|| discarded(line)))
        .sum();
    let inserted: u64 = plan
        .lines()
        .filter_map(|line| counted(line, "Tuples Inserted: "))
        .sum();
    // The first line has the pages of all steps.
    let buffers = plan
        .lines()
        .find(|line| line.trim().starts_with("Buffers: shared"));
    let pages = buffers.map_or(0, |line| {
        let counts = line.split(' ').filter_map(|word| word.split_once('='));
        let read = counts.filter(|(kind, _)| ["hit", "read"].contains(kind));
        read.filter_map(|(_, count)| count.parse::<u64>().ok()).sum()
    });
    pages > MAX_PAGES + PAGES_PER_ROW * rows + PAGES_PER_INSERTED_ROW * inserted
}

/// Returns the rows that a step of a Postgres plan returned. The planner may sort a few rows rather than read them
/// in the order of an index.
fn actual_rows(line: &str) -> Option<u64> {
    let (_, actual) = line.split_once("(actual ")?;
    let (_, rows) = actual.split_once("rows=")?;
    rows.split(' ').next()?.parse().ok()
}

/// Returns the query plans of statements in SQLite.
async fn explained(database: &Database, statements: Vec<String>) -> Vec<String> {
    let mut plans = Vec::new();
    for sql in statements {
        let explain = Statement::from_string(DbBackend::Sqlite, format!("EXPLAIN QUERY PLAN {sql}"));
        let Ok(rows) = database.connection().query_all_raw(explain).await else {
            // BEGIN and COMMIT have no query plan.
            continue;
        };
        let steps = rows
            .iter()
            .map(|row| row.try_get::<String>("", "detail").unwrap());
        plans.push(format!("{sql}\n{}", steps.collect::<Vec<_>>().join("\n")));
    }
    plans
}

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn seen() -> MutexGuard<'static, Vec<String>> {
    SEEN.lock().unwrap()
}

/// Records the statements sent to SQLite and the query plans logged by Postgres.
pub(super) struct Watch;

impl Subscriber for Watch {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        ["sqlx::query", "sqlx::postgres::notice"].contains(&metadata.target())
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let text = match fields.statement.trim() {
            "" => fields.message,
            statement => statement.to_owned(),
        };
        seen().push(text);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields {
    message: String,
    statement: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            write!(self.message, "{value:?}").unwrap();
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "db.statement" {
            value.clone_into(&mut self.statement);
        } else if field.name() == "message" {
            value.clone_into(&mut self.message);
        }
    }
}
