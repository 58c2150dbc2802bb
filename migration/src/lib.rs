//! Schema migrations of videoframes for jobs, outbox and queues, on Postgres and SQLite.
//!
//! Applied migrations are recorded in a separate table (`videoframes_migrations`), so that the tables can
//! share a database with an application that has its own migrations.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod contract;
mod lock;
mod m20261124_000001_jobs;
mod m20261124_000002_events;
mod m20261125_000003_renditions;
mod m20261128_000004_waiting;
mod m20261128_000005_traces;
mod m20261128_000006_restore;
mod m20261128_000007_legal_hold;
mod m20261129_000008_fleet;
mod m20261129_000009_outputs;
mod m20261129_000010_slots;
mod m20261130_000011_tokens;
mod m20261130_000012_attempts;
mod m20261130_000013_tenants;
mod m20261130_000014_tenant_indexes;
mod m20261201_000015_statistics;
mod table;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DatabaseConnection, DbBackend};

pub use sea_orm_migration::MigrationStatus;

/// All migrations, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261124_000001_jobs::Migration),
            Box::new(m20261124_000002_events::Migration),
            Box::new(m20261125_000003_renditions::Migration),
            Box::new(m20261128_000004_waiting::Migration),
            Box::new(m20261128_000005_traces::Migration),
            Box::new(m20261128_000006_restore::Migration),
            Box::new(m20261128_000007_legal_hold::Migration),
            Box::new(m20261129_000008_fleet::Migration),
            Box::new(m20261129_000009_outputs::Migration),
            Box::new(m20261129_000010_slots::Migration),
            Box::new(m20261130_000011_tokens::Migration),
            Box::new(m20261130_000012_attempts::Migration),
            Box::new(m20261130_000013_tenants::Migration),
            Box::new(m20261130_000014_tenant_indexes::Migration),
            Box::new(m20261201_000015_statistics::Migration),
        ]
    }

    fn migration_table_name() -> DynIden {
        Alias::new(TABLE).into_iden()
    }
}

const TABLE: &str = "videoframes_migrations";
/// Table with one row that names the programs compatible with the schema.
const SCHEMA: &str = "videoframes_schema";

/// Errors of the schema and its migrations.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A newer version of the program has changed the schema incompatibly.
    #[error("the database schema is newer than this program, which does not know {}", unknown.join(", "))]
    SchemaNewer {
        /// Migrations that only the database knows.
        unknown: Vec<String>,
    },
    /// The schema lacks changes that this program needs.
    #[error("the database schema is older than this program: run the migrations {}", pending.join(", "))]
    SchemaOlder {
        /// Pending migrations.
        pending: Vec<String>,
    },
    /// Running workers need what a migration removes. Nothing was changed.
    #[error("the migration {migration} removes what running workers need: {}", workers.join(", "))]
    OlderWorkers {
        /// Name of the migration.
        migration: String,
        /// Identifiers of the workers.
        workers: Vec<String>,
    },
    /// The database is unreachable or rejected a statement.
    #[error("failed to {action}")]
    Database {
        /// The action that failed.
        action: &'static str,
        /// Error of the client.
        source: DbErr,
    },
}

impl MigrationError {
    fn database(action: &'static str) -> impl FnOnce(DbErr) -> Self {
        move |source| Self::Database { action, source }
    }
}

/// A migration and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationState {
    /// Name of the migration.
    pub name: String,
    /// Whether the migration is applied to the database.
    pub status: MigrationStatus,
    /// Whether this program knows the migration.
    pub known: bool,
}

/// Returns the name of the newest migration that this program knows.
#[must_use]
pub fn newest() -> &'static str {
    m20261201_000015_statistics::NAME
}

/// Returns all migrations that the program or the database knows, oldest first. Changes nothing.
///
/// # Errors
/// Returns [`MigrationError::Database`] if the database does not respond.
pub async fn status<C: ConnectionTrait>(db: &C) -> Result<Vec<MigrationState>, MigrationError> {
    states(db)
        .await
        .map_err(MigrationError::database("read the state of the migrations"))
}

async fn states<C: ConnectionTrait>(db: &C) -> Result<Vec<MigrationState>, DbErr> {
    let applied = applied(db).await?;
    let known = Migrator::migrations();
    let known: Vec<&str> = known.iter().map(|migration| migration.name()).collect();
    let own = known.iter().map(|name| MigrationState {
        name: (*name).to_owned(),
        status: if applied.iter().any(|applied| applied == name) {
            MigrationStatus::Applied
        } else {
            MigrationStatus::Pending
        },
        known: true,
    });
    let unknown = applied.iter().filter(|name| !known.contains(&name.as_str()));
    let unknown = unknown.map(|name| MigrationState {
        name: name.clone(),
        status: MigrationStatus::Applied,
        known: false,
    });
    let mut states: Vec<_> = own.chain(unknown).collect();
    // Names start with a date.
    states.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(states)
}

async fn applied<C: ConnectionTrait>(db: &C) -> Result<Vec<String>, DbErr> {
    if !has_table(db, TABLE).await? {
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

/// Returns whether a table exists in the search path.
async fn has_table<C: ConnectionTrait>(db: &C, name: &'static str) -> Result<bool, DbErr> {
    let found = match db.get_database_backend() {
        DbBackend::Postgres => Query::select()
            .expr(Expr::cust(format!("to_regclass('{name}') IS NOT NULL")))
            .to_owned(),
        _ => Query::select()
            .expr(Expr::col("name").count().gt(0))
            .from("sqlite_master")
            .and_where(Expr::col("type").eq("table"))
            .and_where(Expr::col("name").eq(name))
            .to_owned(),
    };
    let row = db.query_one(&found).await?;
    row.map_or(Ok(false), |row| row.try_get_by_index(0))
}

/// Returns the newest migration of the oldest compatible program, if the schema records that.
async fn compatible_since<C: ConnectionTrait>(db: &C) -> Result<Option<String>, DbErr> {
    if !has_table(db, SCHEMA).await? {
        return Ok(None);
    }
    let since = Query::select().column("compatible_since").from(SCHEMA).to_owned();
    let row = db.query_one(&since).await?;
    row.map(|row| row.try_get("", "compatible_since")).transpose()
}

/// Returns whether a program is compatible with a schema that has unknown migrations.
///
/// A compatible program has every migration up to the one that the schema names. Names start with a date.
fn is_compatible(newest: Option<&str>, since: Option<&str>) -> bool {
    matches!((newest, since), (Some(newest), Some(since)) if newest >= since)
}

/// Checks that this program is compatible with the schema. Changes nothing.
///
/// The schema has all migrations that the program needs, and either no unknown ones or a record that they are
/// compatible.
///
/// # Errors
/// Returns [`MigrationError::SchemaNewer`] or [`MigrationError::SchemaOlder`] for an incompatible schema.
pub async fn check<C: ConnectionTrait>(db: &C) -> Result<(), MigrationError> {
    let states = status(db).await?;
    if let Err(newer) = refuse_newer(&states) {
        let known = states.iter().filter(|state| state.known);
        let newest = known.map(|state| state.name.as_str()).max();
        let since = compatible_since(db)
            .await
            .map_err(MigrationError::database("read the compatibility of the schema"))?;
        if !is_compatible(newest, since.as_deref()) {
            return Err(newer);
        }
    }
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

/// Runs the pending migrations. Idempotent.
///
/// Any number of processes may call this concurrently; each call returns when the schema is complete. Takes
/// session locks, so the connection must not go through a transaction pooler.
///
/// # Errors
/// Returns [`MigrationError::SchemaNewer`] for an incompatible schema, and [`MigrationError::OlderWorkers`] while workers
/// run that are incompatible with the new schema. Changes nothing in both cases.
pub async fn migrate(db: &DatabaseConnection) -> Result<(), MigrationError> {
    // Does not wait for the lock if there is nothing to do.
    if !matches!(check(db).await, Err(MigrationError::SchemaOlder { .. })) {
        return check(db).await;
    }
    lock::with(db, lock::Work::Up).await
}

/// Reverts the last `steps` migrations, with all data in the tables that they created.
///
/// # Errors
/// Returns [`MigrationError::SchemaNewer`] for a schema with unknown migrations, and changes nothing then.
pub async fn down(db: &DatabaseConnection, steps: u32) -> Result<(), MigrationError> {
    lock::with(db, lock::Work::Down(steps)).await
}

#[cfg(test)]
mod tests {
    use super::{Migrator, is_compatible, newest};
    use sea_orm_migration::MigratorTrait;

    #[test]
    fn the_newest_migration_is_the_last() {
        let migrations = Migrator::migrations();
        let names: Vec<&str> = migrations.iter().map(|migration| migration.name()).collect();
        assert_eq!(names.last(), Some(&newest()));
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn a_program_accepts_a_newer_schema_that_is_marked_compatible() {
        let (ours, later) = (Some("m20270101_000005_ours"), Some("m20270201_000006_later"));
        for (newest, since, expected) in [
            (ours, ours, true),
            (ours, Some("m20261128_000004_waiting"), true),
            (ours, later, false),
            (ours, None, false),
            (None, ours, false),
        ] {
            assert_eq!(is_compatible(newest, since), expected, "{newest:?} {since:?}");
        }
    }
}
