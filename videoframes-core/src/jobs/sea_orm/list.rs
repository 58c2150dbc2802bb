//! Lists of jobs.

use std::cmp::Reverse;

use sea_orm::sea_query::{Cond, Expr, ExprTrait, Func, Query, UnionType};
use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};

use super::call_error::CallError;
use super::entity::video_job::{Column, Entity, Model};
use crate::clock::UnixMillis;
use crate::database::{Database, text};
use crate::jobs::{JobCursor, JobFilter, JobId, JobPage, JobStatus, UnreadableJob, VideoJob};

pub(super) async fn list(database: &Database, filter: &JobFilter) -> Result<JobPage, CallError> {
    let select = match filter.statuses.as_slice() {
        [] => newest(database, filter, None),
        [status] => newest(database, filter, Some(*status)),
        many => newest_of_each(database, filter, many),
    };
    let mut rows = select.all(&database.reader().await?).await?;
    rows.sort_by_key(|row| Reverse(cursor(row)));
    let limit = filter.limit.and_then(|limit| usize::try_from(limit).ok());
    rows.truncate(limit.unwrap_or(usize::MAX));
    let full = limit.is_some_and(|limit| rows.len() == limit);
    let mut page = JobPage {
        next: rows.last().filter(|_| full).map(cursor),
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

/// Selects the newest jobs, in the order of an index.
fn newest(database: &Database, filter: &JobFilter, status: Option<JobStatus>) -> Select<Entity> {
    let mut jobs = Entity::find()
        .filter(condition(database, filter))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
        .limit(filter.limit.map(u64::from));
    if let Some(status) = status {
        jobs = jobs.filter(Column::Status.eq(status.as_str()));
    }
    jobs
}

/// Selects the newest jobs of each status, in any order.
///
/// With one condition for several statuses, a database would read and sort all jobs of these statuses for
/// every page.
fn newest_of_each(database: &Database, filter: &JobFilter, statuses: &[JobStatus]) -> Select<Entity> {
    let ids = statuses.iter().map(|status| {
        let newest = newest(database, filter, Some(*status));
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

/// Returns the conditions of a filter except the status. They may match further jobs:
/// see [`JobFilter::matches_texts`].
fn condition(database: &Database, filter: &JobFilter) -> Cond {
    let created_at = || Expr::col((Entity, Column::CreatedAt));
    let mut condition = Cond::all();
    if !filter.ids.is_empty() {
        condition = condition.add(Column::Id.is_in(filter.ids.iter().map(|id| id.0)));
    }
    if !filter.error_codes.is_empty() {
        condition = condition.add(Column::ErrorCode.is_in(filter.error_codes.iter().map(|code| text(code))));
    }
    if let Some(age) = filter.older_than {
        condition = condition.add(created_at().lte(database.earlier(age)));
    }
    if let Some(age) = filter.newer_than {
        condition = condition.add(created_at().gt(database.earlier(age)));
    }
    if let Some(JobCursor { created_at, id }) = filter.after {
        let position = Expr::tuple([Column::CreatedAt, Column::Id].map(|column| Expr::col((Entity, column))));
        condition = condition.add(position.lt(Expr::tuple([created_at.0.into(), id.0.into()])));
    }
    if filter.kept {
        condition = condition.add(Expr::col((Entity, Column::KeptAt)).is_not_null());
    }
    if let Some(bucket) = &filter.source_bucket {
        let field = format!("\"bucket\":\"{}\"", in_json(bucket));
        condition = condition.add(contains(database, Column::Source, &field));
    }
    if let Some(prefix) = &filter.source_prefix {
        let field = format!("\"key\":\"{}", in_json(prefix));
        condition = condition.add(contains(database, Column::Source, &field));
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
