//! Backups of a SQLite database under load, and restores from good and bad backups.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};

use sea_orm::ConnectionTrait;
use serde_json::Value;
use videoframes_core::backup::check_backup;
use videoframes_core::database::{Database, DatabaseOptions};

use super::operations::{address, get, value};
use super::place::{Kind, Place, runtime, wait};
use super::video;

/// Returns the names of the files in a folder.
fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the number in the first row of a query on a backup.
async fn count(backup: &Path, query: &str) -> i64 {
    let url = format!("sqlite:{}", backup.display());
    let database = Database::connect(&url, &DatabaseOptions::default())
        .await
        .unwrap();
    let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, query);
    let row = database
        .connection()
        .query_one_raw(statement)
        .await
        .unwrap()
        .unwrap();
    let count = row.try_get_by_index(0).unwrap();
    database.close().await;
    count
}

/// Asserts what one transaction writes together: a terminal job and its notification.
async fn assert_consistent(backup: &Path) {
    check_backup(backup).await.unwrap();
    let torn = "SELECT (SELECT count(*) FROM video_jobs WHERE finished_at IS NOT NULL AND id NOT IN \
                (SELECT job_id FROM outbox WHERE destination = 'notifier')) \
                + (SELECT count(*) FROM outbox WHERE destination = 'notifier' AND job_id NOT IN \
                (SELECT id FROM video_jobs WHERE finished_at IS NOT NULL))";
    assert_eq!(count(backup, torn).await, 0, "{}", backup.display());
}

#[test]
fn backups_under_four_writing_workers_are_consistent_and_one_is_restored() {
    let place = Place::sqlite();
    let backups = tempfile::tempdir().unwrap();
    let file = |number: usize| backups.path().join(format!("{number}.sqlite"));
    place.submit(video::short(), &["-n", "1"]);
    let workers = [(); 4].map(|()| place.worker(&[("VF_REUSE", "off")], &[]));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let submitter = scope.spawn(|| {
            for _ in 0..25 {
                place.submit(video::short(), &["-n", "1"]);
                if ended.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        for number in 0..50 {
            let path = file(number);
            place.stdout(&["backup", path.to_str().unwrap()]);
        }
        ended.store(true, Ordering::Relaxed);
        submitter.join().unwrap();
    });
    runtime().block_on(async {
        for number in 0..50 {
            assert_consistent(&file(number)).await;
        }
    });
    assert_eq!(files(backups.path()).len(), 50, "no other file is left");
    let counts = |query| [0, 49].map(|number| runtime().block_on(count(&file(number), query)));
    let [first, last] = counts("SELECT count(*) FROM video_jobs");
    assert!(first < last, "the workers wrote: {first} {last}");
    let unfinished = "SELECT count(*) FROM video_jobs WHERE finished_at IS NULL";
    let restored = (0..50)
        .rev()
        .find(|number| runtime().block_on(count(&file(*number), unfinished)) > 0);
    let restored = file(restored.expect("a backup with unfinished jobs"));
    let in_use = place.output(&["restore", restored.to_str().unwrap(), "--yes"]);
    assert_eq!(code(&in_use), Some(21), "{}", stderr(&in_use));
    for mut worker in workers {
        worker.signal("TERM");
        assert!(worker.wait().success());
    }
    place.stdout(&["restore", restored.to_str().unwrap(), "--yes"]);
    let jobs = runtime().block_on(count(&restored, "SELECT count(*) FROM video_jobs"));
    // Workers do not touch a restored database before this command, which also rebuilds jobs with an archive.
    place.stdout(&["reconcile"]);
    place.finish();
    let known = place.jobs().len();
    assert!(known >= usize::try_from(jobs).unwrap());
    let rows = place.check(known);
    assert!(rows.iter().all(|row| row["status"] == "completed"), "{rows:?}");
}

#[test]
fn a_damaged_backup_is_refused_and_changes_nothing() {
    let place = Place::sqlite();
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        place.stdout(&["submit", video::short().to_str().unwrap(), "-n", "1"]);
    }
    let good = folder.path().join("good.sqlite");
    place.stdout(&["backup", good.to_str().unwrap()]);
    let bytes = std::fs::read(&good).unwrap();
    let write = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mut corrupted = bytes.clone();
    for byte in &mut corrupted[3 * 4096..5 * 4096] {
        *byte ^= 0x5a;
    }
    let newer = write("newer.sqlite", &bytes);
    runtime().block_on(async {
        let url = format!("sqlite:{}", newer.display());
        let database = Database::connect(&url, &DatabaseOptions::default())
            .await
            .unwrap();
        for change in [
            "INSERT INTO videoframes_migrations (version, applied_at) VALUES ('m99991231_000099_later', 0)",
            "UPDATE videoframes_schema SET compatible_since = 'm99991231_000099_later'",
        ] {
            database.connection().execute_unprepared(change).await.unwrap();
        }
        database.close().await;
    });
    let live = write("live.sqlite", &bytes);
    write("live.sqlite-wal", b"frames");
    let foreign = write("foreign.sqlite", b"");
    // A command may exit before SQLite removes its log.
    let state = || {
        let jobs = place.jobs();
        let mut files = files(place.folder.path());
        files.retain(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
        (jobs, files)
    };
    let before = state();
    for (backup, expected, reason) in [
        (write("corrupted.sqlite", &corrupted), 3, "unusable"),
        (
            write("truncated.sqlite", &bytes[..bytes.len() / 2]),
            3,
            "unusable",
        ),
        (write("cut.sqlite", &bytes[..bytes.len() - 4096]), 3, "unusable"),
        (write("text.sqlite", &[b'x'; 9000]), 3, "not a database"),
        (foreign, 3, "no tables of videoframes"),
        (live, 3, "write-ahead log"),
        (newer, 22, "m99991231_000099_later"),
        (folder.path().join("missing.sqlite"), 3, "failed to open"),
        (folder.path().to_owned(), 3, "not a regular file"),
    ] {
        let refused = place.output(&["restore", backup.to_str().unwrap(), "--yes"]);
        let text = stderr(&refused);
        assert_eq!(code(&refused), Some(expected), "{}: {text}", backup.display());
        assert!(text.contains(reason), "{}: {text}", backup.display());
    }
    assert_eq!(state(), before);
    let exists = place.output(&["restore", good.to_str().unwrap()]);
    assert_eq!(code(&exists), Some(9), "{}", stderr(&exists));
    // An open connection is sufficient, without a worker.
    runtime().block_on(async {
        let (url, options) = (place.database_url(), DatabaseOptions::default());
        let database = Database::connect(&url, &options).await.unwrap();
        let in_use = place.output(&["restore", good.to_str().unwrap(), "--yes"]);
        assert_eq!(code(&in_use), Some(21), "{}", stderr(&in_use));
        assert!(stderr(&in_use).contains("is in use"), "{}", stderr(&in_use));
        database.close().await;
    });
    // Restores also replace a database that SQLite cannot open, with files of the old one.
    let database = place.folder.path().join("videoframes.sqlite");
    std::fs::write(&database, [b'y'; 5000]).unwrap();
    std::fs::write(place.folder.path().join("videoframes.sqlite-wal"), "frames").unwrap();
    std::fs::write(place.folder.path().join("videoframes.sqlite-journal"), "pages").unwrap();
    place.stdout(&["restore", good.to_str().unwrap(), "--yes"]);
    assert_eq!(place.jobs(), before.0);
}

#[test]
fn a_failed_backup_leaves_the_target_unchanged() {
    let place = Place::sqlite();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("jobs.sqlite");
    let none = place.output(&["backup", target.to_str().unwrap()]);
    assert_eq!(code(&none), Some(3), "{}", stderr(&none));
    place.stdout(&["migrate", "up"]);
    place.stdout(&["backup", target.to_str().unwrap()]);
    let mode = std::fs::metadata(&target).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(&target).unwrap();
    place.sql(
        "INSERT INTO queue_messages (queue, body, attributes, sent_at, visible_at, receive_count) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) \
         SELECT 'other', hex(randomblob(500)), '{}', 0, 0, 0 FROM n",
    );
    let database = place.folder.path().join("videoframes.sqlite");
    let missing = folder.path().join("missing/jobs.sqlite");
    for (target, options, expected) in [
        (&target, &[][..], 9),
        (&missing, &["--yes"], 11),
        (&database, &["--yes"], 11),
        (&folder.path().to_owned(), &["--yes"], 11),
    ] {
        let failed = place.output(&[&["backup", target.to_str().unwrap()], options].concat());
        assert_eq!(
            code(&failed),
            Some(expected),
            "{}: {}",
            target.display(),
            stderr(&failed)
        );
    }
    // A limit on the size of files stands for a full disk.
    let command = place.command(&["backup", target.to_str().unwrap(), "--yes"]);
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -f 2000; exec \"$@\"", "sh"]);
    limited.arg(command.get_program()).args(command.get_args());
    let full = limited.output().unwrap();
    assert_eq!(code(&full), Some(11), "{}", stderr(&full));
    assert_eq!(files(folder.path()), ["jobs.sqlite"]);
    let mut interrupted = place.worker_command(&["backup", target.to_str().unwrap(), "--yes"]);
    wait("the backup begins", || files(folder.path()).len() > 1);
    interrupted.signal("INT");
    assert_eq!(interrupted.wait().code(), Some(130), "{}", interrupted.log());
    assert_eq!(files(folder.path()), ["jobs.sqlite"]);
    assert!(
        std::fs::read(&target).unwrap() == before,
        "the last backup is unchanged"
    );
    place.stdout(&["backup", target.to_str().unwrap(), "--yes"]);
    assert!(std::fs::read(&target).unwrap() != before);
}

#[test]
fn the_time_of_a_backup_reaches_a_scrape() {
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    let worker = place.worker(&[], &[]);
    let address = address(&worker);
    let time = |name: &str| {
        let series = format!("videoframes_{name}_last_success_timestamp_seconds");
        value(&get(&address, "/metrics").1, &series)
    };
    assert_eq!([time("backup"), time("restore_test")], [0.0, 0.0]);
    let folder = tempfile::tempdir().unwrap();
    let [target, metrics] = ["jobs.sqlite", "videoframes.prom"].map(|name| folder.path().join(name));
    let text = place.stdout(&[
        "backup",
        target.to_str().unwrap(),
        "--json",
        "--metrics-file",
        metrics.to_str().unwrap(),
    ]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["rows"]["video_jobs"], 0, "{report}");
    assert!(time("backup") > 1.7e9);
    assert_eq!(time("restore_test"), 0.0);
    let written = std::fs::read_to_string(&metrics).unwrap();
    assert!(value(&written, "videoframes_backup_last_success_timestamp_seconds") > 1.7e9);
    // A restore test into another folder reports to the same file.
    let copy = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vf-worker"));
    command
        .arg("--local")
        .arg(copy.path().join("test"))
        .arg("restore")
        .arg(&target);
    let restored = command.arg("--metrics-file").arg(&metrics).output().unwrap();
    assert!(restored.status.success(), "{}", stderr(&restored));
    let written = std::fs::read_to_string(&metrics).unwrap();
    for name in ["backup", "restore_test"] {
        assert!(
            value(
                &written,
                &format!("videoframes_{name}_last_success_timestamp_seconds")
            ) > 1.7e9
        );
    }
    let elsewhere = place.output(&[
        "backup",
        target.to_str().unwrap(),
        "-y",
        "--metrics-file",
        "/missing/x.prom",
    ]);
    assert_eq!(code(&elsewhere), Some(11), "{}", stderr(&elsewhere));
}

#[test]
fn other_tools_back_up_postgres() {
    let Some(place) = Place::of(Kind::Postgres) else {
        return;
    };
    for command in ["backup", "restore"] {
        let refused = place.output(&[command, "jobs.sqlite"]);
        assert_eq!(code(&refused), Some(2));
        assert!(stderr(&refused).contains("pgBackRest"), "{}", stderr(&refused));
    }
}
