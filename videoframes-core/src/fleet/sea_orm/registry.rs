//! The registry in a database.

use std::time::Duration;

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DbErr};

use super::entity::worker;
use super::rows;
use crate::database::{Database, migration, within};
use crate::fleet::{Fleet, FleetChange, FleetError, FleetRegistry, FleetWorker, WorkerReport, WorkerState};

/// Time for which the row of a worker is kept after its last report.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// A [`FleetRegistry`] in a [`Database`] with an up-to-date schema.
#[derive(Debug, Clone)]
pub struct SeaOrmFleet {
    database: Database,
}

/// The reason why a call failed.
enum CallError {
    Fleet(FleetError),
    Database(DbErr),
}

impl From<FleetError> for CallError {
    fn from(error: FleetError) -> Self {
        Self::Fleet(error)
    }
}

impl From<DbErr> for CallError {
    fn from(error: DbErr) -> Self {
        match error {
            DbErr::Type(what) => Self::Fleet(FleetError::Unreadable(what)),
            error => Self::Database(error),
        }
    }
}

impl SeaOrmFleet {
    /// Returns the registry in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn call<T>(
        &self,
        action: &'static str,
        work: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, FleetError> {
        within(self.database.patience(), work)
            .await
            .map_err(|error| match error {
                CallError::Fleet(error) => error,
                CallError::Database(source) => FleetError::Unavailable {
                    action,
                    source: source.into(),
                },
            })
    }

    async fn read(&self) -> Result<Fleet, CallError> {
        Ok(rows::read(&self.database, &self.database.reader().await?).await?)
    }

    async fn record(&self, report: &WorkerReport) -> Result<Fleet, CallError> {
        if report.state == WorkerState::Starting {
            self.forget().await?;
        }
        let record = rows::record(&self.database, report, migration::newest());
        self.database.run(&record).await?;
        self.read().await
    }

    /// Deletes the rows of workers that ended long ago.
    async fn forget(&self) -> Result<(), CallError> {
        let old = Query::delete()
            .from_table(worker::Entity)
            .and_where(Expr::col(worker::Column::SeenAt).lt(self.database.earlier(KEPT)))
            .to_owned();
        self.database.run(&old).await?;
        Ok(())
    }

    async fn list(&self) -> Result<Vec<FleetWorker>, CallError> {
        let rows = self.database.reader().await?;
        let rows = rows.query_all(&rows::select_workers(&self.database)).await?;
        Ok(rows.iter().map(rows::worker).collect::<Result<_, _>>()?)
    }

    async fn apply(&self, change: &FleetChange, timeout: Duration) -> Result<Fleet, CallError> {
        let transaction = self.database.begin().await?;
        let before = rows::lock(&self.database, &transaction).await?;
        let workers = transaction
            .query_all(&rows::select_workers(&self.database))
            .await?;
        let mut live = 0;
        for worker in &workers {
            let worker = rows::worker(worker)?;
            if worker.is_live(timeout) && worker.report.revision == before.active {
                live += 1;
            }
        }
        let after = change.apply(&before, live)?;
        if after != before {
            transaction.execute(&rows::write(&after)).await?;
            transaction.commit().await?;
        }
        Ok(after)
    }
}

#[async_trait]
impl FleetRegistry for SeaOrmFleet {
    async fn fleet(&self) -> Result<Fleet, FleetError> {
        self.call("read the active revision", self.read()).await
    }

    async fn report(&self, worker: &WorkerReport) -> Result<Fleet, FleetError> {
        self.call("report the state of the worker", self.record(worker))
            .await
    }

    async fn workers(&self) -> Result<Vec<FleetWorker>, FleetError> {
        self.call("list the workers", self.list()).await
    }

    async fn change(&self, change: &FleetChange, timeout: Duration) -> Result<Fleet, FleetError> {
        self.call("change the active revision", self.apply(change, timeout))
            .await
    }
}
