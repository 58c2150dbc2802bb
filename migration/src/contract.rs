//! Migrations that remove something that older programs need, and their precondition.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::{MigrationError, MigrationState, MigrationStatus, has_table};

/// Table of the workers.
const WORKERS: &str = "videoframes_workers";

/// Time in milliseconds since its last report after which a worker counts as ended. Much longer than the interval of the
/// reports, since a running worker must never meet a schema that it cannot use.
const TIMEOUT_MS: i64 = 600_000;

/// A migration that removes something from the schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contract {
    /// Name of the migration.
    pub(crate) migration: &'static str,
    /// Newest migration of the oldest program that is compatible with the schema after the migration.
    pub(crate) compatible_since: &'static str,
}

/// All contract migrations, oldest first.
pub(crate) const CONTRACTS: &[Contract] = &[];

/// A running worker.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Worker {
    name: String,
    /// Newest migration that the worker knows.
    newest: String,
}

/// Returns the pending contract migrations.
fn pending<'a>(contracts: &'a [Contract], states: &[MigrationState]) -> Vec<&'a Contract> {
    let is_pending = |contract: &&Contract| {
        states
            .iter()
            .any(|state| state.name == contract.migration && state.status == MigrationStatus::Pending)
    };
    contracts.iter().filter(is_pending).collect()
}

/// Returns an error if a worker runs that needs what a contract migration removes.
fn refuse(contracts: &[&Contract], workers: &[Worker]) -> Result<(), MigrationError> {
    for contract in contracts {
        let older = workers
            .iter()
            .filter(|worker| worker.newest.as_str() < contract.compatible_since);
        let older: Vec<String> = older.map(|worker| worker.name.clone()).collect();
        if !older.is_empty() {
            return Err(MigrationError::OlderWorkers {
                migration: contract.migration.to_owned(),
                workers: older,
            });
        }
    }
    Ok(())
}

/// Checks that no running worker needs what the pending migrations remove. Returns the contract migrations to record
/// with [`record`] after they are applied.
pub(crate) async fn check<'a, C: ConnectionTrait>(
    db: &C,
    contracts: &'a [Contract],
    states: &[MigrationState],
) -> Result<Vec<&'a Contract>, MigrationError> {
    let pending = pending(contracts, states);
    if !pending.is_empty() {
        let workers = workers(db)
            .await
            .map_err(MigrationError::database("list the running workers"))?;
        refuse(&pending, &workers)?;
    }
    Ok(pending)
}

/// Records the oldest compatible program after the contract migrations.
pub(crate) async fn record<C: ConnectionTrait>(db: &C, applied: &[&Contract]) -> Result<(), MigrationError> {
    let Some(since) = applied.iter().map(|contract| contract.compatible_since).max() else {
        return Ok(());
    };
    let update = Query::update()
        .table(crate::SCHEMA)
        .value("compatible_since", since)
        .to_owned();
    db.execute(&update)
        .await
        .map_err(MigrationError::database("record the compatibility of the schema"))?;
    Ok(())
}

async fn workers<C: ConnectionTrait>(db: &C) -> Result<Vec<Worker>, DbErr> {
    if !has_table(db, WORKERS).await? {
        return Ok(Vec::new());
    }
    let now = match db.get_database_backend() {
        DbBackend::Postgres => "CAST(FLOOR(EXTRACT(EPOCH FROM STATEMENT_TIMESTAMP()) * 1000) AS bigint)",
        _ => "CAST(ROUND(UNIXEPOCH('subsec') * 1000) AS integer)",
    };
    let running = Query::select()
        .columns(["worker", "schema_migration"])
        .from(WORKERS)
        .and_where(Expr::col("state").ne("stopped"))
        .and_where(Expr::col("seen_at").gt(Expr::cust(now).sub(TIMEOUT_MS)))
        .order_by("worker", Order::Asc)
        .to_owned();
    let rows = db.query_all(&running).await?;
    rows.iter()
        .map(|row| {
            Ok(Worker {
                name: row.try_get("", "worker")?,
                newest: row.try_get("", "schema_migration")?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DROP: Contract = Contract {
        migration: "m20270301_000012_drop",
        compatible_since: "m20270201_000011_expand",
    };

    fn state(name: &str, status: MigrationStatus) -> MigrationState {
        MigrationState {
            name: name.to_owned(),
            status,
            known: true,
        }
    }

    #[test]
    fn only_pending_contract_migrations_are_checked() {
        for (states, expected) in [
            (vec![], 0),
            (
                vec![state("m20270201_000011_expand", MigrationStatus::Pending)],
                0,
            ),
            (vec![state(DROP.migration, MigrationStatus::Applied)], 0),
            (vec![state(DROP.migration, MigrationStatus::Pending)], 1),
        ] {
            assert_eq!(pending(&[DROP], &states).len(), expected, "{states:?}");
        }
    }

    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn a_pending_contract_migration_needs_the_end_of_older_workers() -> Result<(), DbErr> {
        use sea_orm_migration::sea_orm::Database;
        let db = Database::connect("sqlite::memory:").await?;
        crate::Migrator::up(&db, None).await?;
        let pending = [state(DROP.migration, MigrationStatus::Pending)];
        let older = async || match check(&db, &[DROP], &pending).await {
            Err(MigrationError::OlderWorkers { workers, .. }) => workers,
            Err(error) => panic!("{error}"),
            Ok(_) => Vec::new(),
        };
        assert_eq!(older().await, Vec::<String>::new());
        let now = "CAST(ROUND(UNIXEPOCH('subsec') * 1000) AS integer)";
        for (name, newest, state, age) in [
            ("running", "m20270101_000010_before", "ready", 590_000),
            ("stopped", "m20270101_000010_before", "stopped", 0),
            ("lost", "m20270101_000010_before", "ready", 610_000),
            ("new", DROP.compatible_since, "ready", 0),
        ] {
            db.execute_unprepared(&format!(
                "INSERT INTO {WORKERS} (worker, version, schema_migration, state, completed, failed, faults, started_at, seen_at) \
                 VALUES ('{name}', '1', '{newest}', '{state}', 0, 0, 0, 0, {now} - {age})"
            ))
            .await?;
        }
        assert_eq!(older().await, ["running"]);
        db.execute_unprepared(&format!("UPDATE {WORKERS} SET state = 'stopped'"))
            .await?;
        assert_eq!(older().await, Vec::<String>::new());
        record(&db, &[&DROP])
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let since = crate::compatible_since(&db).await?;
        assert_eq!(since.as_deref(), Some(DROP.compatible_since));
        Ok(())
    }

    #[test]
    fn a_contract_migration_is_refused_while_older_workers_run() {
        let worker = |name: &str, newest: &str| Worker {
            name: name.to_owned(),
            newest: newest.to_owned(),
        };
        let old = worker("old", "m20270101_000010_before");
        let new = worker("new", "m20270201_000011_expand");
        let newer = worker("newer", "m20270301_000012_drop");
        for (workers, older) in [
            (vec![], vec![]),
            (vec![new.clone(), newer.clone()], vec![]),
            (vec![old.clone()], vec!["old"]),
            (vec![new, old, newer], vec!["old"]),
        ] {
            let found = match refuse(&[&DROP], &workers) {
                Err(MigrationError::OlderWorkers { workers, .. }) => workers,
                Err(error) => panic!("{error}"),
                Ok(()) => Vec::new(),
            };
            assert_eq!(found, older, "{workers:?}");
        }
    }
}
