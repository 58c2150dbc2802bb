//! Rows of a queue with a backlog, and the statistics of the planner.

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use videoframes_core::database::Database;

/// Jobs that are waiting, running or finished.
const JOBS: [(&str, u32); 3] = [("pending", 20_000), ("processing", 20), ("failed", 2_000)];

/// Fills the database with jobs that were accepted within an hour in the past.
pub(super) async fn fill(database: &Database) {
    let connection = database.connection();
    let postgres = connection.get_database_backend() == DbBackend::Postgres;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let start = i64::try_from(now.unwrap().as_millis()).unwrap() - 2 * 3_600_000;
    for (status, count) in JOBS {
        let (numbers, id, no) = match postgres {
            true => (
                format!("generate_series(1, {count}) AS n"),
                "gen_random_uuid()",
                "false",
            ),
            false => (
                format!(
                    "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) SELECT n FROM s)"
                ),
                "randomblob(16)",
                "0",
            ),
        };
        let at = match status {
            "processing" => start.to_string(),
            _ => format!("{start} + CAST(n AS BIGINT) * 3600000 / {count}"),
        };
        let (lease, finished) = match status {
            "processing" => (format!("{start} + 7200000 + 600000"), "NULL".to_owned()),
            "failed" => ("NULL".to_owned(), at.clone()),
            _ => ("NULL".to_owned(), "NULL".to_owned()),
        };
        let late = format!("CASE WHEN '{status}' = 'pending' AND n <= 10 THEN {start} ELSE NULL END");
        let sql = format!(
            "INSERT INTO video_jobs (id, idempotency_key, payload_hash, source, options, generation, status, \
             frames_done, frames_total, cancel_requested, lease_epoch, lease_expires_at, deadline_at, attempts, \
             crash_count, created_at, updated_at, finished_at, enqueued_at) \
             SELECT {id}, '{status}' || n, 'p', '{{\"key\":\"v.mp4\"}}', '{{}}', 0, '{status}', 0, 0, {no}, 0, \
             {lease}, {late}, 0, 0, {at}, {at}, {finished}, {at} FROM {numbers}"
        );
        connection.execute_unprepared(&sql).await.unwrap();
    }
    // Of 20,000 messages, a quarter is delayed. The delay of a few has passed.
    let messages = "INSERT INTO queue_messages (queue, body, attributes, sent_at, visible_at, receive_count, flow, rank, \
        ready) SELECT 'input', 'many', '{}', created_at, CASE WHEN n % 4 > 0 THEN created_at WHEN n % 1000 = 0 THEN 1 \
        ELSE created_at * 2 END, 0, 'many/normal', CASE WHEN n % 4 > 0 THEN n * 80640 ELSE 0 END, n % 4 > 0 FROM (SELECT created_at, ROW_NUMBER() OVER () AS n \
        FROM video_jobs WHERE status = 'pending') AS s";
    connection.execute_unprepared(messages).await.unwrap();
    if postgres {
        let name = "SELECT current_database()";
        let name = Statement::from_string(DbBackend::Postgres, name);
        let name = connection.query_one_raw(name).await.unwrap().unwrap();
        let name: String = name.try_get_by_index(0).unwrap();
        // The checks decide when statistics are out of date.
        for table in ["video_jobs", "outbox", "queue_messages"] {
            let manual = format!("ALTER TABLE {table} SET (autovacuum_enabled = false)");
            connection.execute_unprepared(&manual).await.unwrap();
        }
        vacuum(database).await;
        for setting in [
            "session_preload_libraries = 'auto_explain'",
            "auto_explain.log_min_duration = 0",
            "auto_explain.log_analyze = on",
            "auto_explain.log_buffers = on",
            "auto_explain.log_level = notice",
            // A table of this size may be cheaper to read whole, which says nothing about a million rows.
            "enable_seqscan = off",
        ] {
            let set = format!("ALTER DATABASE {name} SET {setting}");
            connection.execute_unprepared(&set).await.unwrap();
        }
    }
}

/// Adds a parked job of another tenant for each waiting job.
pub(super) async fn park_waiting_jobs(database: &Database) {
    let connection = database.connection();
    let postgres = connection.get_database_backend() == DbBackend::Postgres;
    let id = if postgres {
        "gen_random_uuid()"
    } else {
        "randomblob(16)"
    };
    let sql = format!(
        "INSERT INTO video_jobs (id, idempotency_key, payload_hash, source, options, generation, status, frames_done, \
         frames_total, cancel_requested, lease_epoch, attempts, crash_count, created_at, updated_at, enqueued_at, \
         parked_at, tenant, priority) \
         SELECT {id}, 'parked ' || idempotency_key, payload_hash, source, options, generation, status, frames_done, \
         frames_total, cancel_requested, lease_epoch, attempts, crash_count, created_at, updated_at, 0, updated_at, \
         'many-parked', priority FROM video_jobs WHERE status = 'pending' AND parked_at IS NULL"
    );
    connection.execute_unprepared(&sql).await.unwrap();
    vacuum(database).await;
}

/// Updates the statistics of the planner in Postgres, and removes dead rows. Nothing does so in SQLite.
pub(super) async fn vacuum(database: &Database) {
    let connection = database.connection();
    if connection.get_database_backend() == DbBackend::Postgres {
        connection.execute_unprepared("VACUUM ANALYZE").await.unwrap();
    }
}
