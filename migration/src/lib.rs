//! The tables in which videoframes keeps jobs, outbox and queues, on Postgres and SQLite.
//!
//! What has been applied is written down in a table of its own (`videoframes_migrations`), so that the
//! tables can share a database with an application that has migrations too.

mod lock;
mod m20261124_000001_jobs;
mod m20261124_000002_events;
mod m20261125_000003_renditions;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseConnection;

pub use sea_orm_migration::MigrationStatus;

/// Every migration, the oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_jobs::Migration),
            Box::new(m20261124_000002_events::Migration),
            Box::new(m20261125_000003_renditions::Migration),
        ]
    }

    fn migration_table_name() -> DynIden {
        Alias::new(TABLE).into_iden()
    }
}

const TABLE: &str = "videoframes_migrations";

/// Why a database is not, or cannot be made, as this program needs it.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// Another version of the program has changed the schema in ways that this one does not know.
    #[error("the database's schema is newer than this program: it does not know {}", unknown.join(", "))]
    SchemaNewer {
        /// Migrations that only the database knows.
        unknown: Vec<String>,
    },
    /// The schema lacks changes that this program needs.
    #[error("the database's schema is older than this program: run the migrations {}", pending.join(", "))]
    SchemaOlder {
        /// Migrations that are still to be run.
        pending: Vec<String>,
    },
    /// The database cannot be reached, or refused.
    #[error("cannot {action}")]
    Database {
        /// What was tried.
        action: &'static str,
        /// What its client said.
        source: DbErr,
    },
}

impl MigrationError {
    fn database(action: &'static str) -> impl FnOnce(DbErr) -> Self {
        move |source| Self::Database { action, source }
    }
}

/// A migration, and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationState {
    /// Its name.
    pub name: String,
    /// Whether the database has it.
    pub status: MigrationStatus,
    /// Whether this program has it.
    pub known: bool,
}

/// Every migration that the program or the database has, the oldest first. Changes nothing.
///
/// # Errors
/// [`MigrationError::Database`].
pub async fn status(db: &DatabaseConnection) -> Result<Vec<MigrationState>, MigrationError> {
    states(db)
        .await
        .map_err(MigrationError::database("read the state of the migrations"))
}

async fn states<C: ConnectionTrait>(db: &C) -> Result<Vec<MigrationState>, DbErr>
where
    for<'c> &'c C: IntoSchemaManagerConnection<'c>,
{
    let applied = applied(db).await?;
    let known = Migrator::migrations();
    let known: Vec<&str> = known.iter().map(|migration| migration.name()).collect();
    let ours = known.iter().map(|name| MigrationState {
        name: (*name).to_owned(),
        status: if applied.iter().any(|applied| applied == name) {
            MigrationStatus::Applied
        } else {
            MigrationStatus::Pending
        },
        known: true,
    });
    let theirs = applied.iter().filter(|name| !known.contains(&name.as_str()));
    let theirs = theirs.map(|name| MigrationState {
        name: name.clone(),
        status: MigrationStatus::Applied,
        known: false,
    });
    let mut states: Vec<_> = ours.chain(theirs).collect();
    // Names begin with a date.
    states.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(states)
}

async fn applied<C: ConnectionTrait>(db: &C) -> Result<Vec<String>, DbErr>
where
    for<'c> &'c C: IntoSchemaManagerConnection<'c>,
{
    if !SchemaManager::new(db).has_table(TABLE).await? {
        return Ok(Vec::new());
    }
    let names = Query::select()
        .column("version")
        .from(TABLE)
        .order_by("version", Order::Asc)
        .to_owned();
    let rows = db.query_all(&names).await?;
    rows.iter().map(|row| row.try_get("", "version")).collect()
}

/// Whether the schema is the one that this program was made for. Changes nothing.
///
/// # Errors
/// [`MigrationError::SchemaNewer`] and [`MigrationError::SchemaOlder`] where it is not.
pub async fn check(db: &DatabaseConnection) -> Result<(), MigrationError> {
    let states = status(db).await?;
    refuse_newer(&states)?;
    let pending = states
        .into_iter()
        .filter(|state| state.status == MigrationStatus::Pending);
    let pending: Vec<String> = pending.map(|state| state.name).collect();
    if pending.is_empty() {
        Ok(())
    } else {
        Err(MigrationError::SchemaOlder { pending })
    }
}

fn refuse_newer(states: &[MigrationState]) -> Result<(), MigrationError> {
    let unknown = states.iter().filter(|state| !state.known);
    let unknown: Vec<String> = unknown.map(|state| state.name.clone()).collect();
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(MigrationError::SchemaNewer { unknown })
    }
}

/// Runs the pending migrations. Idempotent; any number of programs may do so at once, and each returns
/// when the schema is complete.
///
/// # Errors
/// [`MigrationError::SchemaNewer`], with nothing changed, for a schema that this program does not know.
pub async fn migrate(db: &DatabaseConnection) -> Result<(), MigrationError> {
    // Whoever finds nothing to do waits for nobody.
    if !matches!(check(db).await, Err(MigrationError::SchemaOlder { .. })) {
        return check(db).await;
    }
    lock::with(db, lock::Work::Up).await
}

/// Takes the last `steps` migrations back, with all data in the tables that they made.
///
/// # Errors
/// [`MigrationError::SchemaNewer`], with nothing changed, for a schema that this program does not know.
pub async fn down(db: &DatabaseConnection, steps: u32) -> Result<(), MigrationError> {
    lock::with(db, lock::Work::Down(steps)).await
}
