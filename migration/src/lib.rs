//! The tables in which videoframes keeps jobs, outbox and queues, on Postgres and SQLite.
//!
//! What has been applied is written down in a table of its own (`videoframes_migrations`), so that the
//! tables can share a database with an application that has migrations too.

mod lock;
mod m20261124_000001_jobs;
mod m20261124_000002_events;
mod m20261125_000003_renditions;
mod m20261128_000004_waiting;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{DatabaseConnection, DbBackend};

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
            Box::new(m20261128_000004_waiting::Migration),
        ]
    }

    fn migration_table_name() -> DynIden {
        Alias::new(TABLE).into_iden()
    }
}

const TABLE: &str = "videoframes_migrations";
/// Says, in one row, which programs can work with the schema.
const SCHEMA: &str = "videoframes_schema";

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
pub async fn status<C: ConnectionTrait>(db: &C) -> Result<Vec<MigrationState>, MigrationError> {
    states(db)
        .await
        .map_err(MigrationError::database("read the state of the migrations"))
}

async fn states<C: ConnectionTrait>(db: &C) -> Result<Vec<MigrationState>, DbErr> {
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

/// Whether a table is there that statements without a schema's name would find.
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

/// The oldest program that can work with the schema, by its newest migration, where the database says so.
async fn compatible_since<C: ConnectionTrait>(db: &C) -> Result<Option<String>, DbErr> {
    if !has_table(db, SCHEMA).await? {
        return Ok(None);
    }
    let since = Query::select().column("compatible_since").from(SCHEMA).to_owned();
    let row = db.query_one(&since).await?;
    row.map(|row| row.try_get("", "compatible_since")).transpose()
}

/// Whether a program with these migrations can work with a schema whose migrations it does not all know:
/// it has every migration up to the one that the schema names. Names begin with a date.
fn is_compatible(newest: Option<&str>, since: Option<&str>) -> bool {
    matches!((newest, since), (Some(newest), Some(since)) if newest >= since)
}

/// Whether this program can work with the schema: it has all that the program needs, and nothing that the
/// program does not know unless the schema says that this is safe. Changes nothing.
///
/// # Errors
/// [`MigrationError::SchemaNewer`] and [`MigrationError::SchemaOlder`] where it cannot.
pub async fn check<C: ConnectionTrait>(db: &C) -> Result<(), MigrationError> {
    let states = status(db).await?;
    if let Err(newer) = refuse_newer(&states) {
        let known = states.iter().filter(|state| state.known);
        let newest = known.map(|state| state.name.as_str()).max();
        let since = compatible_since(db)
            .await
            .map_err(MigrationError::database("read which programs the schema is for"))?;
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

/// Runs the pending migrations. Idempotent; any number of programs may do so at once, and each returns
/// when the schema is complete. Takes locks of a session: needs a connection
/// that no pooler shares out.
///
/// # Errors
/// [`MigrationError::SchemaNewer`], with nothing changed, for a schema that this program cannot work with.
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

#[cfg(test)]
mod tests {
    use super::is_compatible;

    #[test]
    fn a_program_works_with_a_newer_schema_that_says_so() {
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
