//! The restore mark, and transactions that fail in a restored database.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr, IdenStatic, Iterable, QueryResult};

use super::call_error::CallError;
use super::entity::restore::{Column, Entity, ROW};
use super::positions::Positions;
use super::row;
use crate::clock::UnixMillis;
use crate::database::{Database, Session};
use crate::jobs::lease::JobFacts;
use crate::jobs::restore::{accepted, may_continue};
use crate::jobs::{JobId, JobRepoError, RestoreMark, RestoreRow};
use crate::tenant::Tenants;

/// Prefix of the columns of the mark beside those of a job.
const BESIDE: &str = "restore_";

/// A database whose restores to an earlier moment are recognized.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    pub(super) database: Database,
    /// Limits of tenants.
    pub(super) tenants: Tenants,
    /// Positions after which the next sweep of this program continues.
    pub(super) swept: Arc<Positions>,
    /// The latest mark that this program saw.
    seen: Arc<Mutex<Option<RestoreMark>>>,
}

impl Checked {
    pub(super) fn new(database: Database) -> Self {
        Self {
            database,
            tenants: Tenants::default(),
            swept: Arc::default(),
            seen: Arc::default(),
        }
    }

    /// Begins a transaction that may write, and returns the number of accepted restores.
    ///
    /// # Errors
    /// Returns [`JobRepoError::Restored`] if the mark is behind the latest mark that this program saw.
    pub(super) async fn begin(&self) -> Result<(Session, i64), CallError> {
        let transaction = self.database.begin().await?;
        let row = self.read(&transaction).await?;
        Ok((transaction, self.check(&row)?))
    }

    /// Begins a transaction and locks a job. Returns the number of accepted restores, and the job if it exists.
    ///
    /// One statement reads mark and job. A separate statement for the mark takes a third of the time of all other
    /// statements of a claim (40 µs on a socket of the same machine).
    ///
    /// # Errors
    /// Returns [`JobRepoError::Restored`] if the mark is behind the latest mark that this program saw.
    pub(super) async fn begin_with(&self, job: JobId) -> Result<(Session, i64, Option<JobFacts>), CallError> {
        let transaction = self.database.begin().await?;
        let mut select = row::lock_beside(&self.database, job);
        for column in Column::iter() {
            select.expr_as(
                Expr::col((Entity, column)),
                format!("{BESIDE}{}", column.as_str()),
            );
        }
        select
            .from(Entity)
            .and_where(Expr::col((Entity, Column::Id)).eq(ROW));
        let seen = self.seen();
        let Some(found) = transaction.query_one(&select).await? else {
            let row = self.read(&transaction).await?;
            return Ok((transaction, self.check(&row)?, None));
        };
        let facts = row::facts(&found)?;
        let row = RestoreRow {
            mark: mark(&found, BESIDE)?,
            advanced_at: UnixMillis(found.try_get(BESIDE, "advanced_at")?),
            now: facts.now,
            seen,
        };
        Ok((transaction, self.check(&row)?, Some(facts)))
    }

    /// Remembers the mark, unless it is behind, and returns the number of accepted restores.
    fn check(&self, row: &RestoreRow) -> Result<i64, JobRepoError> {
        if row.is_behind() {
            return Err(JobRepoError::Restored);
        }
        self.observe(&row.mark);
        Ok(row.mark.generation)
    }

    /// Remembers a mark.
    pub(super) fn observe(&self, mark: &RestoreMark) {
        let mut seen = self.lock_seen();
        if !seen.is_some_and(|seen| may_continue(mark, &seen)) {
            *seen = Some(*mark);
        }
    }

    pub(super) async fn mark(&self) -> Result<RestoreRow, CallError> {
        self.read(&self.database.reader().await?).await
    }

    async fn read(&self, session: &Session) -> Result<RestoreRow, CallError> {
        let seen = self.seen();
        let row = session.query_one(&select(&self.database)).await?;
        Self::row(row, seen)
    }

    fn row(row: Option<QueryResult>, seen: Option<RestoreMark>) -> Result<RestoreRow, CallError> {
        let row = row.ok_or_else(|| DbErr::RecordNotFound("the restore mark".to_owned()))?;
        Ok(RestoreRow {
            mark: mark(&row, "")?,
            advanced_at: UnixMillis(row.try_get("", "advanced_at")?),
            now: UnixMillis(row.try_get("", "now")?),
            seen,
        })
    }

    /// Returns the latest mark that this program saw.
    ///
    /// A read of the mark calls this function first: another task may increase the mark between the snapshot of the
    /// statement and its result, above all while the statement waits for the lock on a job.
    fn seen(&self) -> Option<RestoreMark> {
        *self.lock_seen()
    }

    fn lock_seen(&self) -> MutexGuard<'_, Option<RestoreMark>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn advance(&self, interval: Duration) -> Result<Option<RestoreRow>, CallError> {
        let row = self.mark().await?;
        if !row.is_behind() && row.advanced_at.after(interval) > row.now {
            return Ok(None);
        }
        let (transaction, _) = self.begin().await?;
        let advance = Query::update()
            .table(Entity)
            .value(Column::Mark, Expr::col(Column::Mark).add(1_i64))
            .value(Column::AdvancedAt, self.database.now())
            .and_where(Expr::col(Column::Id).eq(ROW))
            // Another worker may have increased the mark meanwhile.
            .and_where(Expr::col(Column::Mark).eq(row.mark.mark))
            .and_where(Expr::col(Column::Generation).eq(row.mark.generation))
            .returning_all()
            .to_owned();
        let Some(advanced) = transaction.query_one(&advance).await? else {
            return Ok(None);
        };
        transaction.commit().await?;
        let advanced = RestoreRow {
            mark: mark(&advanced, "")?,
            ..row
        };
        self.observe(&advanced.mark);
        Ok(Some(advanced))
    }

    /// Accepts the restore. Another program may accept it at the same time.
    pub(super) async fn accept(&self, store: Option<&RestoreMark>) -> Result<RestoreRow, CallError> {
        let database = &self.database;
        let transaction = database.begin().await?;
        let seen = self.seen();
        let row = transaction.query_one(select(database).lock_exclusive()).await?;
        let row = Self::row(row, seen)?;
        let after = accepted(&row.mark, store);
        let accept = Query::update()
            .table(Entity)
            .value(Column::Generation, after.generation)
            .value(Column::Mark, after.mark)
            .value(Column::AdvancedAt, database.now())
            .and_where(Expr::col(Column::Id).eq(ROW))
            .to_owned();
        transaction.execute(&accept).await?;
        transaction.commit().await?;
        Ok(RestoreRow { mark: after, ..row })
    }
}

fn select(database: &Database) -> SelectStatement {
    Query::select()
        .columns(Column::iter())
        .expr_as(database.now(), "now")
        .from(Entity)
        .and_where(Expr::col(Column::Id).eq(ROW))
        .to_owned()
}

fn mark(row: &QueryResult, prefix: &str) -> Result<RestoreMark, DbErr> {
    Ok(RestoreMark {
        deployment: row.try_get(prefix, "deployment")?,
        generation: row.try_get(prefix, "generation")?,
        mark: row.try_get(prefix, "mark")?,
    })
}
