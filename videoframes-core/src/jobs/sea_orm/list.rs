//! Lists of jobs.

use std::cmp::Reverse;

use sea_orm::sea_query::{Cond, Expr, ExprTrait, Func, Query, UnionType};
use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};
use uuid::Uuid;

use super::call_error::CallError;
use super::entity::video_job::{Column, Entity, Model};
use crate::clock::UnixMillis;
use crate::database::{Database, text};
use crate::jobs::{JobCursor, JobFilter, JobId, JobPage, JobStatus, UnreadableJob, VideoJob};

/// Maximum number of rows of each status that one page of a search reads.
///
/// No index serves a search, so that a rare text would otherwise need all rows for a page.
const EXAMINED: u64 = 5_000;

pub(super) async fn list(database: &Database, filter: &JobFilter) -> Result<JobPage, CallError> {
    let end = match filter.limit {
        Some(_) if is_search(filter) => last_examined(database, filter).await?,
        _ => None,
    };
    let select = match filter.statuses.as_slice() {
        [] => newest(database, filter, None, end),
        [status] => newest(database, filter, Some(*status), end),
        many => newest_of_each(database, filter, many, end),
    };
    let mut rows = select.all(&database.reader().await?).await?;
    rows.sort_by_key(|row| Reverse(cursor(row)));
    let limit = filter.limit.and_then(|limit| usize::try_from(limit).ok());
    rows.truncate(limit.unwrap_or(usize::MAX));
    let full = limit.is_some_and(|limit| rows.len() == limit);
    let mut page = JobPage {
        next: rows.last().filter(|_| full).map(cursor).or(end),
        ..JobPage::default()
    };
    for row in rows {
        let id = JobId(row.id);
        match VideoJob::try_from(row) {
            Ok(job) => page.jobs.push(job),
            Err(error) => page.unreadable.push(UnreadableJob {
                id,
                reason: error.to_string(),
            }),
        }
    }
    // The database searches JSON as text, where a match may be the name of a field.
    page.jobs.retain(|job| filter.matches_texts(job));
    Ok(page)
}

fn cursor(row: &Model) -> JobCursor {
    JobCursor {
        created_at: UnixMillis(row.created_at),
        id: JobId(row.id),
    }
}

/// Returns whether a filter has conditions that no index serves.
fn is_search(filter: &JobFilter) -> bool {
    let texts = [
        &filter.source_bucket,
        &filter.source_prefix,
        &filter.tenant,
        &filter.text,
    ];
    let has_text = texts.into_iter().any(Option::is_some);
    // Identifiers and legal holds have indexes, and few jobs have them.
    (has_text || !filter.error_codes.is_empty()) && filter.ids.is_empty() && !filter.kept
}

/// Returns the position of the last row that a page of a search reads, or `None` if the page reads all rows.
async fn last_examined(database: &Database, filter: &JobFilter) -> Result<Option<JobCursor>, CallError> {
    let any = [None];
    let some: Vec<_> = filter.statuses.iter().copied().map(Some).collect();
    let mut newest = None;
    for status in if some.is_empty() { &any[..] } else { &some } {
        let last = in_order(database, filter, *status)
            .select_only()
            .columns([Column::CreatedAt, Column::Id])
            .offset(EXAMINED - 1)
            .limit(1)
            .into_tuple::<(i64, Uuid)>();
        let last = last.one(&database.reader().await?).await?;
        let last = last.map(|(created_at, id)| JobCursor {
            created_at: UnixMillis(created_at),
            id: JobId(id),
        });
        newest = std::cmp::max(newest, last);
    }
    Ok(newest)
}

/// Selects the newest jobs down to the position `end`, in the order of an index.
fn newest(
    database: &Database,
    filter: &JobFilter,
    status: Option<JobStatus>,
    end: Option<JobCursor>,
) -> Select<Entity> {
    let mut jobs = in_order(database, filter, status)
        .filter(search(database, filter))
        .limit(filter.limit.map(u64::from));
    if let Some(end) = end {
        jobs = jobs.filter(position().gte(at(end)));
    }
    jobs
}

/// Selects jobs by the conditions that an index serves, newest first.
fn in_order(database: &Database, filter: &JobFilter, status: Option<JobStatus>) -> Select<Entity> {
    let mut jobs = Entity::find()
        .filter(condition(database, filter))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id);
    if let Some(status) = status {
        jobs = jobs.filter(Column::Status.eq(status.as_str()));
    }
    jobs
}

fn position() -> Expr {
    Expr::tuple([Column::CreatedAt, Column::Id].map(|column| Expr::col((Entity, column))))
}

fn at(cursor: JobCursor) -> Expr {
    Expr::tuple([cursor.created_at.0.into(), cursor.id.0.into()])
}

/// Selects the newest jobs of each status, in any order.
///
/// With one condition for several statuses, a database would read and sort all jobs of these statuses for
/// every page.
fn newest_of_each(
    database: &Database,
    filter: &JobFilter,
    statuses: &[JobStatus],
    end: Option<JobCursor>,
) -> Select<Entity> {
    let ids = statuses.iter().map(|status| {
        let newest = newest(database, filter, Some(*status), end);
        let newest = newest.select_only().column(Column::Id).into_query();
        // SQLite allows a limit for a part of a union only in a subquery.
        let mut ids = Query::select();
        ids.column("id").from_subquery(newest, "newest");
        ids
    });
    let ids = ids.reduce(|mut all, ids| all.union(UnionType::All, ids).take());
    let ids = ids.unwrap_or_default();
    Entity::find().filter(Column::Id.in_subquery(ids))
}

/// Returns the conditions of a filter that an index serves, except the status.
fn condition(database: &Database, filter: &JobFilter) -> Cond {
    let created_at = || Expr::col((Entity, Column::CreatedAt));
    let mut condition = Cond::all();
    if !filter.ids.is_empty() {
        condition = condition.add(Column::Id.is_in(filter.ids.iter().map(|id| id.0)));
    }
    if let Some(age) = filter.older_than {
        condition = condition.add(created_at().lte(database.earlier(age)));
    }
    if let Some(age) = filter.newer_than {
        condition = condition.add(created_at().gt(database.earlier(age)));
    }
    if let Some(after) = filter.after {
        condition = condition.add(position().lt(at(after)));
    }
    if filter.kept {
        condition = condition.add(Expr::col((Entity, Column::KeptAt)).is_not_null());
    }
    condition
}

/// Returns the other conditions of a filter. They may match further jobs: see [`JobFilter::matches_texts`].
fn search(database: &Database, filter: &JobFilter) -> Cond {
    let mut condition = Cond::all();
    if !filter.error_codes.is_empty() {
        condition = condition.add(Column::ErrorCode.is_in(filter.error_codes.iter().map(|code| text(code))));
    }
    if let Some(bucket) = &filter.source_bucket {
        let field = format!("\"bucket\":\"{}\"", in_json(bucket));
        condition = condition.add(contains(database, Column::Source, &field));
    }
    if let Some(prefix) = &filter.source_prefix {
        let field = format!("\"key\":\"{}", in_json(prefix));
        condition = condition.add(contains(database, Column::Source, &field));
    }
    if let Some(tenant) = &filter.tenant {
        condition = condition.add(Column::Tenant.eq(text(tenant)));
    }
    match &filter.text {
        Some(text) => condition.add(has_text(database, text)),
        None => condition,
    }
}

fn has_text(database: &Database, text: &str) -> Cond {
    let columns = [
        Column::ErrorCode,
        Column::ErrorMessage,
        Column::IdempotencyKey,
        Column::OutputKey,
        Column::ClientMetadata,
    ];
    let columns = columns.map(|column| contains(database, column, text));
    columns
        .into_iter()
        .fold(Cond::any(), Cond::add)
        .add(contains(database, Column::Source, &in_json(text)))
}

/// Returns `text` as part of a string in JSON, as rows contain JSON.
fn in_json(text: &str) -> String {
    let string = serde_json::Value::from(text).to_string();
    string[1..string.len() - 1].to_owned()
}

/// Returns the condition that the text of a column contains `part`.
///
/// LIKE has wildcards, and ignores the case in SQLite.
fn contains(database: &Database, column: Column, part: &str) -> Expr {
    let function = match database.connection().get_database_backend() {
        DbBackend::Postgres => "strpos",
        _ => "instr",
    };
    let position = Func::cust(function)
        .arg(Expr::col((Entity, column)))
        .arg(text(part));
    Expr::expr(position).gt(0)
}
