//! Commands for many jobs: filters, short ids, cancel and retry by filter, watch and statistics.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::place::{EVERYWHERE, Kind, Place, wait};
use super::video;

/// Returns the number of jobs that a filter lists.
fn listed(place: &Place, filter: &[&str]) -> usize {
    let text = place.stdout(&[&["jobs", "--json"], filter].concat());
    let jobs: Vec<Value> = serde_json::from_str(&text).unwrap();
    jobs.len()
}

fn submit(place: &Place, options: &[&str]) -> String {
    place.submit(video::short(), options)
}

#[test]
fn jobs_are_filtered_in_every_database() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let Some(place) = Place::of(kind) else { continue };
        submit(&place, &["-n", "1", "--idempotency-key", "100%_a"]);
        submit(&place, &["--at", "1h", "--client-metadata", r#"{"user": "ü"}"#]);
        place.finish();
        submit(&place, &["-n", "1"]);
        for (filter, expected) in [
            (&[][..], 3),
            (&["--status", "completed,failed"], 2),
            (&["--status", "completed", "--status", "pending"], 2),
            (&["--error-code", "selection_out_of_range"], 1),
            (&["--error-code", "NO_SPACE"], 0),
            (&["--older-than", "1d"], 0),
            (&["--newer-than", "1d"], 3),
            (&["--source-prefix", "sources/"], 3),
            (&["--source-prefix", "sources%"], 0),
            (&["--source-prefix", "s3://bucket/sources/"], 0),
            (&["--text", "short.mp4"], 3),
            (&["--text", "100%_a"], 1),
            (&["--text", "100__a"], 0),
            (&["--text", "ü"], 1),
            (&["--text", "etag"], 0),
            (&["--text", "beyond the end", "--status", "failed"], 1),
            (&["--text", "beyond the end", "--status", "pending"], 0),
        ] {
            assert_eq!(listed(&place, filter), expected, "{kind:?} {filter:?}");
        }
    }
}

#[test]
fn wrong_filters_are_rejected() {
    let place = Place::sqlite();
    for args in [
        &["jobs", "--error-code", "NOSPACE"][..],
        &["jobs", "--text", ""],
        &["jobs", "--source-prefix", ""],
        &["jobs", "--older-than", "0"],
        &["jobs", "--older-than", "2h", "--newer-than", "1h"],
        &["retry"],
        &["cancel", "--yes"],
        &["cancel", "--all", "--status", "pending"],
        &["retry", "01a20df4-7bcf", "--status", "failed"],
        &["retry", "01a20df"],
        &["watch", "01a20df4-7bcf", "--text", "x"],
    ] {
        let output = place.output(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
    }
    assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 0);
}

#[test]
fn the_start_of_an_id_selects_a_job_if_it_is_unique() {
    let place = Place::sqlite();
    let ids = [submit(&place, &["-n", "1"]), submit(&place, &["-n", "1"])];
    // The ids have random ends: a shared start is set here.
    place.sql("UPDATE video_jobs SET id = CAST(x'01a20df47bcf71e9' || substr(id, 9) AS BLOB)");
    let short: Vec<String> = ids
        .iter()
        .map(|id| format!("01a20df4-7bcf-71e9-{}", &id[19..]))
        .collect();
    let ambiguous = place.output(&["cancel", "01A20DF4"]);
    let stderr = String::from_utf8_lossy(&ambiguous.stderr);
    assert_eq!(ambiguous.status.code(), Some(2), "{stderr}");
    assert!(short.iter().all(|id| stderr.contains(id.as_str())), "{stderr}");
    assert_eq!(listed(&place, &["--status", "pending"]), 2);
    let unique = &short[0][..35];
    place.stdout(&["cancel", unique]);
    assert_eq!(place.job(unique)["status"], "cancelled");
    assert_eq!(place.job(&short[1])["status"], "pending");
    place.stdout(&["retry", unique]);
    assert_eq!(
        place.output(&["result", unique, "-o", "-"]).status.code(),
        Some(20)
    );
    let missing = place.output(&["job", "01a20df5"]);
    assert_eq!(missing.status.code(), Some(3));
}

#[test]
fn several_ids_are_changed_unless_one_is_missing() {
    let place = Place::sqlite();
    let (first, second) = (submit(&place, &["-n", "1"]), submit(&place, &["-n", "1"]));
    let missing = "01a20df4-7bcf-71e9-9609-5b0498b3fea5";
    assert_eq!(place.output(&["cancel", &first, missing]).status.code(), Some(3));
    assert_eq!(listed(&place, &["--status", "pending"]), 2, "nothing was changed");
    place.stdout(&["cancel", &first]);
    let partial = place.output(&["retry", &first, &second]);
    let stderr = String::from_utf8_lossy(&partial.stderr);
    assert_eq!(partial.status.code(), Some(20), "{stderr}");
    assert!(stderr.contains(&format!("job {second} is pending")), "{stderr}");
    assert_eq!(listed(&place, &["--status", "pending"]), 2);
}

#[test]
fn many_jobs_are_changed_only_with_yes() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        let submitted: Vec<String> = (0..13)
            .map(|n| submit(&place, &["-n", "1", "--idempotency-key", &format!("order-{n}")]))
            .collect();
        let dry = place.stdout(&["cancel", "--text", "order-1"]);
        assert!(dry.contains("dry run: 4 jobs would be cancelled"), "{dry}");
        assert_eq!(listed(&place, &["--status", "cancelled"]), 0, "{kind:?}");
        let done = place.stdout(&["cancel", "--text", "order-1", "--yes"]);
        assert_eq!(done, "4 jobs cancelled\n");
        let all = place.stdout(&["cancel", "--all"]);
        assert!(all.contains("dry run: 9 jobs would be cancelled"), "{all}");
        let all = place.stdout(&["cancel", "--all", "--yes"]);
        assert_eq!(all, "9 jobs cancelled\n");
        let dry = place.stdout(&["retry", "--all"]);
        // The newest ten of them, and a heading.
        let shown = submitted.iter().filter(|id| dry.contains(id.as_str())).count();
        assert_eq!(shown, 10, "{dry}");
        assert!(
            dry.contains("and 3 more") && dry.contains("13 jobs would be retried"),
            "{dry}"
        );
        let none = place.stdout(&["retry", "--status", "completed", "--yes"]);
        assert_eq!(none, "0 jobs retried\n");
        let some = place.stdout(&["retry", "--text", "order-1", "--error-code", "CANCELLED", "-y"]);
        assert_eq!(some, "4 jobs retried\n");
        let mixed = place.stdout(&["retry", "--status", "cancelled,pending", "--yes"]);
        assert_eq!(mixed, "9 jobs retried, 4 skipped (4 pending)\n");
        assert_eq!(listed(&place, &["--status", "pending"]), 13, "{kind:?}");
    }
}

#[test]
fn concurrent_retries_change_each_job_once() {
    const JOBS: usize = 40;
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let Some(place) = Place::of(kind) else { continue };
        for _ in 0..JOBS {
            submit(&place, &["-n", "1"]);
        }
        place.stdout(&["cancel", "--all", "--yes"]);
        let retries: Vec<_> = (0..3)
            .map(|_| {
                let mut retry = place.command(&["retry", "--all", "--yes"]);
                retry.stdout(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let mut retried = 0;
        for retry in retries {
            let output = retry.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            retried += text.split(' ').next().unwrap().parse::<usize>().unwrap();
        }
        assert_eq!(retried, JOBS, "{kind:?}");
        let jobs = place.jobs();
        assert!(
            jobs.iter()
                .all(|job| job["generation"] == 1 && job["status"] == "pending")
        );
    }
}

#[test]
fn watch_reports_every_change_until_all_jobs_end() {
    let place = Place::sqlite();
    let done = submit(&place, &["-n", "2"]);
    let failed = submit(&place, &["--at", "1h"]);
    let mut watch = place.command(&["watch", "--json"]);
    let mut watch = watch
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || -> Option<Value> { Some(serde_json::from_str(&lines.next()?.unwrap()).unwrap()) };
    // Both are reported before the worker starts.
    let mut changes = vec![next().unwrap(), next().unwrap()];
    place.finish();
    changes.extend(std::iter::from_fn(next));
    let statuses = |id: &str| -> Vec<&str> {
        let of_job = changes.iter().filter(|change| change["id"] == id);
        of_job.map(|change| change["status"].as_str().unwrap()).collect()
    };
    for (id, last) in [(&done, "completed"), (&failed, "failed")] {
        let statuses = statuses(id);
        assert_eq!(
            (statuses.first(), statuses.last()),
            (Some(&"pending"), Some(&last))
        );
    }
    let ended = watch.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(20), "{stderr}");
    assert!(stderr.contains("1 of 2 jobs ended without a result"), "{stderr}");
    // Ended jobs can be watched, too.
    let text = place.stdout(&["watch", &done]);
    assert!(
        text.starts_with(&format!("{done}  completed  2 pictures")),
        "{text}"
    );
    assert_eq!(place.output(&["watch", &failed]).status.code(), Some(20));
    assert_eq!(place.stdout(&["watch"]), "", "no job is unfinished");
}

/// Starts to watch a job, and returns the process with its first line.
fn watch(place: &Place, id: &str) -> (Child, String) {
    let mut watch = place
        .command(&["watch", id])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(watch.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    (watch, line)
}

#[test]
fn watch_ends_by_an_interrupt_and_leaves_the_jobs() {
    let place = Place::sqlite();
    let id = submit(&place, &["-n", "1"]);
    let (watch, line) = watch(&place, &id);
    assert_eq!(line, format!("{id}  pending\n"));
    let pid = watch.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let ended = watch.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{stderr}");
    assert_eq!(stderr, "stopped watching; the jobs continue\n");
    assert_eq!(place.job(&id)["status"], "pending");
}

#[test]
fn watch_ends_when_the_reader_is_closed() {
    let place = Place::sqlite();
    let id = submit(&place, &["-n", "1"]);
    for args in [&["watch", &id][..], &["watch", "--json"]] {
        let mut watch = place.command(args);
        let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(watch.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert!(line.contains("pending"), "{line}");
        assert!(watch.wait().unwrap().success());
    }
}

#[test]
fn watch_fails_if_a_job_is_deleted() {
    let place = Place::sqlite();
    let id = submit(&place, &["-n", "1"]);
    let (watch, _) = watch(&place, &id);
    place.sql("DELETE FROM video_jobs");
    assert_eq!(watch.wait_with_output().unwrap().status.code(), Some(3));
}

#[test]
fn a_terminal_shows_progress_and_fitting_tables() {
    let place = Place::sqlite();
    let key = "a-key-that-is-much-longer-than-the-rest-of-a-terminal";
    let id = submit(&place, &["--at", "1h", "--idempotency-key", key]);
    let mut worker = place.worker(&[], &[]);
    place.wait_for(&id, |job| job["status"] == "failed");
    // `script` provides a terminal with the given columns.
    let on_terminal = |args: &[&str], columns: u32| {
        let command = place.command(args);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<_> = words
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        let line = format!("stty cols {columns}; {}", words.join(" "));
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            script.env(name, value.unwrap());
        }
        let output = script.output().unwrap();
        String::from_utf8(output.stdout).unwrap().replace('\r', "\n")
    };
    for columns in [80, 120] {
        let table = on_terminal(&["jobs"], columns);
        let row = table.lines().find(|line| line.starts_with(&id)).unwrap();
        assert!(row.contains("SELECTION_OUT") && row.ends_with('…'), "{row}");
        assert_eq!(row.chars().count(), columns as usize, "{row}");
    }
    let video = video::long().to_str().unwrap();
    let args = [
        "submit",
        video,
        "--all",
        "-f",
        "jpg",
        "--max-dimension",
        "640",
        "--wait",
    ];
    let progress = on_terminal(&args, 80);
    assert!(
        progress
            .lines()
            .any(|line| line.contains("extract  ") && line.contains("% (")),
        "{progress:?}"
    );
    assert!(!progress.contains("error"), "{progress:?}");
    worker.signal("TERM");
    assert!(worker.wait().success());
}

#[test]
fn statistics_describe_every_deployment() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        let stats = || -> Value { serde_json::from_str(&place.stdout(&["stats", "--json"])).unwrap() };
        submit(&place, &["-n", "2"]);
        submit(&place, &["--at", "1h"]);
        let before = stats();
        assert_eq!(before["jobs"]["pending"], 2, "{kind:?}: {before}");
        assert_eq!(before["queue"]["visible"], 2, "{kind:?}: {before}");
        assert_eq!((&before["backlog"], &before["workers"]), (&2.into(), &0.into()));
        assert_eq!(before["backlog_per_worker"], 2.0);
        assert_eq!(
            (&before["outbox"]["unsent"], &before["outbox"]["refused"]),
            (&0.into(), &0.into())
        );
        assert!(before["oldest_wait_seconds"].as_f64() >= Some(0.0), "{before}");
        place.finish();
        let long = place.submit(video::long(), &["--all", "-f", "png"]);
        let mut worker = place.worker(&[], &[]);
        place.wait_for(&long, |job| job["frames_done"].as_u64() > Some(0));
        let during = stats();
        assert_eq!(
            (&during["workers"], &during["backlog"]),
            (&1.into(), &1.into()),
            "{during}"
        );
        assert_eq!(during["queue"]["in_flight"], 1, "{kind:?}: {during}");
        place.stdout(&["cancel", &long]);
        wait("the job ends", || stats()["jobs"]["processing"] == 0);
        worker.signal("TERM");
        assert!(worker.wait().success());
        let after = stats();
        for window in ["5m", "1h", "24h"] {
            let ended = &after["ended"][window];
            let counts = ["completed", "failed", "cancelled"].map(|name| ended[name].as_u64().unwrap());
            assert_eq!(counts, [1, 1, 1], "{kind:?}: {after}");
            assert_eq!(ended["failure_ratio"], 0.5);
        }
        let failures = json!([{"code": "SELECTION_OUT_OF_RANGE", "count": 1}]);
        assert_eq!(after["failures"], failures, "{kind:?}: {after}");
        assert_eq!(
            (&after["backlog"], &after["oldest_wait_seconds"]),
            (&0.into(), &Value::Null)
        );
        let text = place.stdout(&["stats"]);
        assert!(text.contains("backlog       0, 0.0 per worker"), "{text}");
        assert!(text.ends_with("\nSELECTION_OUT_OF_RANGE          1\n"), "{text}");
    }
}

#[test]
fn statistics_of_the_jobs_are_printed_without_the_queue() {
    let Some(place) = Place::of(Kind::Deployed) else {
        return;
    };
    submit(&place, &["-n", "1"]);
    let mut stats = place.command(&["stats", "--json"]);
    let output = stats.env("VF_INPUT_QUEUE", "sqs:no-such-queue").output().unwrap();
    assert_eq!(output.status.code(), Some(21), "{output:?}");
    let stats: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&stats["jobs"]["pending"], &stats["backlog"]),
        (&1.into(), &Value::Null)
    );
}
