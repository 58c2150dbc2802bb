//! Backlogs of waiting jobs, and long lists.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::place::{EVERYWHERE, Place, wait};
use super::video;

fn wait_until_past(since: Instant, time: Duration) {
    wait(&format!("{time:?} have passed"), || since.elapsed() > time);
}

#[test]
fn waiting_jobs_are_not_enqueued_again() {
    const WAITING: u64 = 5;
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        let env = [("VF_OVERDUE", "1s"), ("VF_SWEEP_INTERVAL", "200ms")];
        let running = place.submit(video::long(), &["--all", "-f", "png"]);
        let mut worker = place.worker(&env, &[]);
        place.wait_for(&running, |job| job["frames_done"].as_u64().unwrap() > 0);
        for _ in 0..WAITING {
            place.submit(video::short(), &["-n", "1"]);
        }
        // Several sweeps run after the jobs have waited longer than VF_OVERDUE.
        wait_until_past(Instant::now(), Duration::from_secs(5));
        assert_eq!(place.job(&running)["status"], "processing", "the worker is busy");
        assert_eq!(place.waiting(), WAITING + 1, "{kind:?}: one message for each job");
        place.stdout(&["cancel", &running]);
        wait("all jobs end", || {
            let jobs = place.jobs();
            jobs.iter().all(|job| !job["finished_at"].is_null())
        });
        worker.signal("TERM");
        assert!(worker.wait().success(), "{}", worker.log());
        place.check(1 + usize::try_from(WAITING).unwrap());
    }
}

#[test]
fn the_default_deadline_excludes_waiting() {
    let place = Place::sqlite();
    let waits = place.submit(video::short(), &["-n", "1"]);
    let own = place.submit(video::short(), &["-n", "2", "--deadline", "1"]);
    wait_until_past(Instant::now(), Duration::from_secs(3));
    let mut worker = place.worker(&[("VF_DEADLINE", "2s")], &["--until-idle"]);
    assert!(worker.wait().success(), "{}", worker.log());
    assert_eq!(place.job(&waits)["status"], "completed");
    assert_eq!(
        place.job(&own)["error_code"],
        "DEADLINE_EXCEEDED",
        "a client's own deadline counts from submission"
    );
}

#[test]
fn a_job_is_stopped_at_the_default_deadline() {
    let place = Place::sqlite();
    // The deadline is stored with the job at submission.
    let mut submit = place.command(&["submit", video::long().to_str().unwrap(), "--all", "-f", "png"]);
    let submitted = submit.env("VF_DEADLINE", "2s").output().unwrap();
    let id = String::from_utf8(submitted.stdout).unwrap().trim().to_owned();
    let mut worker = place.worker(&[], &["--until-idle"]);
    assert!(worker.wait().success(), "{}", worker.log());
    assert_eq!(place.job(&id)["error_code"], "DEADLINE_EXCEEDED");
}

#[test]
fn a_message_with_a_duplicate_field_is_dead_lettered() {
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    place.send(r#"{"version": 1, "source": {"key": "a.mp4"}, "source": {"key": "b.mp4"}}"#);
    place.finish();
    let reasons = place.dead_letter_messages();
    assert!(
        reasons.len() == 1 && reasons[0].contains("'source' twice"),
        "{reasons:?}"
    );
    assert_eq!(place.jobs().len(), 0);
}

/// Returns the output of a command, and the peak memory in KiB.
fn measured(place: &Place, args: &[&str]) -> (String, u64) {
    let mut worker = place.command(args).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = worker.stdout.take().unwrap();
    let (mut text, mut most) = (Vec::new(), 0);
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = stdout.read(&mut chunk).unwrap();
        if read == 0 {
            break;
        }
        text.extend_from_slice(&chunk[..read]);
        let status = std::fs::read_to_string(format!("/proc/{}/status", worker.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.map_or(0, |peak| peak.trim().trim_end_matches(" kB").parse().unwrap());
        most = most.max(peak);
    }
    assert!(worker.wait().unwrap().success(), "{args:?}");
    (String::from_utf8(text).unwrap(), most)
}

#[test]
fn a_list_of_all_jobs_needs_no_more_memory_than_a_short_list() {
    const FEW: usize = 5_000;
    const MANY: usize = 40_000;
    let place = Place::sqlite();
    place.stdout(&["migrate", "up"]);
    let insert = |first: usize, last: usize| {
        place.sql(&format!(
            "INSERT INTO video_jobs (id, idempotency_key, payload_hash, source, options, generation, status, \
             frames_done, frames_total, cancel_requested, lease_epoch, attempts, crash_count, created_at, \
             updated_at, enqueued_at) \
             WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last}) \
             SELECT randomblob(16), n, 'p', '{{\"key\":\"v.mp4\"}}', \
             '{{\"names\":\"{}\"}}', 0, 'pending', 0, 0, 0, 0, 0, 0, n, n, n FROM s",
            "x".repeat(1000)
        ));
    };
    let lists = [&["jobs", "--limit", "0"][..], &["jobs", "-n", "0", "--json"]];
    let peaks = |expected: usize| {
        lists.map(|args| {
            let (text, peak) = measured(&place, args);
            let jobs = match args.contains(&"--json") {
                true => serde_json::from_str::<Vec<serde_json::Value>>(&text)
                    .unwrap()
                    .len(),
                false => text.lines().count() - 1,
            };
            assert_eq!(jobs, expected, "{args:?}");
            peak
        })
    };
    insert(1, FEW);
    let (short, _) = measured(&place, &["jobs"]);
    assert_eq!(short.lines().count(), 101, "a heading and the newest jobs");
    let few = peaks(FEW);
    insert(FEW + 1, MANY);
    let many = peaks(MANY);
    // Both lists have several pages, so that they differ in the number of pages only. The stored options of the
    // additional jobs alone are 35 MB.
    for ((args, few), many) in lists.iter().zip(few).zip(many) {
        assert!(few > 0, "{args:?}: ended before the memory was read");
        assert!(many < few + (20 << 10), "{args:?}: {many} KiB after {few} KiB");
    }
}

#[test]
fn a_list_reports_further_jobs_and_skips_unreadable_jobs() {
    let place = Place::sqlite();
    for n in 1..=3 {
        place.submit(video::short(), &["-n", &n.to_string()]);
    }
    let list = |args: &[&str]| {
        let output = place.output(&[&["jobs"], args].concat());
        assert!(output.status.success(), "{output:?}");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout).lines().count() - 1, text(output.stderr))
    };
    let (jobs, printed) = list(&["-n", "2"]);
    assert_eq!((jobs, printed.contains("--limit 0")), (2, true), "{printed}");
    for all in [&["--limit", "3"][..], &["--limit", "0"], &[]] {
        assert_eq!(list(all), (3, String::new()), "{all:?}");
    }
    let oldest = "SELECT id FROM video_jobs ORDER BY created_at, id LIMIT 1 OFFSET 1";
    place.sql(&format!(
        "UPDATE video_jobs SET status = 'paused' WHERE id = ({oldest})"
    ));
    let (jobs, printed) = list(&[]);
    assert_eq!(
        (jobs, printed.contains("failed to read job")),
        (2, true),
        "{printed}"
    );
}
