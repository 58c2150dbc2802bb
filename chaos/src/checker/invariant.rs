//! The invariant of the job protocol, as a pure function of what was accepted and observed.

use std::collections::{BTreeMap, BTreeSet};

use super::observed::{Event, Observed, Row, Violation};
use crate::load::ledger::{Accepted, Entries};

/// Object below `results/` that belongs to no job.
const RESTORE_MARK: &str = "results/restore-mark.json";

/// Returns the violations of the invariant.
pub(crate) fn violations(entries: &Entries, observed: &Observed) -> Vec<Violation> {
    let mut found = Vec::new();
    requests(entries, observed, &mut found);
    let mut events: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in &observed.events {
        events.entry(&event.job).or_default().push(event);
    }
    for row in &observed.rows {
        let own = events.remove(row.id.as_str()).unwrap_or_default();
        job(row, &own, observed, &mut found);
    }
    for job in events.keys() {
        found.push(Violation::new(*job, "a notification names an unknown job"));
    }
    notifications(observed, &mut found);
    dead_letter_messages(entries, observed, &mut found);
    orphaned(observed, &mut found);
    found
}

/// Checks that every accepted request has its jobs, with a permitted outcome.
fn requests(entries: &Entries, observed: &Observed, found: &mut Vec<Violation>) {
    let mut rows: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in &observed.rows {
        rows.entry(&row.source).or_default().push(row);
    }
    for accepted in &entries.accepted {
        let own = rows.remove(accepted.source.as_str()).unwrap_or_default();
        request(accepted, &own, found);
    }
    for row in rows.into_values().flatten() {
        found.push(Violation::new(
            &row.id,
            format!("nobody requested the job of '{}'", row.source),
        ));
    }
}

fn request(accepted: &Accepted, rows: &[&Row], found: &mut Vec<Violation>) {
    let subject = format!(
        "ticket {} ({}, '{}')",
        accepted.ticket, accepted.kind, accepted.source
    );
    let mut wrong = |text: String| found.push(Violation::new(&subject, text));
    if rows.len() > accepted.jobs || (rows.len() < accepted.jobs && !accepted.may_vanish) {
        wrong(format!(
            "accepted, but has {} jobs instead of {}",
            rows.len(),
            accepted.jobs
        ));
    }
    for row in rows.iter().filter(|row| row.is_terminal()) {
        let outcome = row.outcome();
        if !accepted.outcomes.contains(&outcome) {
            let message = row.error_message.as_deref().unwrap_or_default();
            wrong(format!(
                "{outcome} ({message}) instead of {:?}",
                accepted.outcomes
            ));
        }
        let frames = row.result_frames.unwrap_or_default();
        if row.status == "completed" && !accepted.frames.is_empty() && !accepted.frames.contains(&frames) {
            wrong(format!("{frames} frames instead of {:?}", accepted.frames));
        }
        if accepted.retried && row.generation != 1 {
            wrong(format!("retried once, but in generation {}", row.generation));
        }
    }
    if let Some(outcome) = accepted.one_of
        && rows.len() == accepted.jobs
        && !rows.iter().any(|row| row.outcome() == outcome)
    {
        wrong(format!("no job is {outcome}"));
    }
}

/// Checks the row of a job, its result, and its notifications.
fn job(row: &Row, events: &[&Event], observed: &Observed, found: &mut Vec<Violation>) {
    let mut wrong = |text: String| found.push(Violation::new(&row.id, text));
    if !row.is_terminal() {
        return wrong(format!("{} is not terminal", row.status));
    }
    if row.is_parked {
        wrong(format!("{} and parked", row.status));
    }
    for generation in 0..=row.generation {
        let of_generation = || events.iter().filter(|event| event.generation == generation);
        let ids: BTreeSet<_> = of_generation().map(|event| &event.id).collect();
        if ids.len() != 1 {
            wrong(format!(
                "{} notifications of generation {generation} instead of one",
                ids.len()
            ));
        }
        if generation == row.generation && of_generation().any(|event| event.status != row.status) {
            wrong(format!(
                "the row is {}, and a notification has another status",
                row.status
            ));
        }
    }
    if events.iter().any(|event| event.generation > row.generation) {
        wrong("a notification has a later generation than the row".to_owned());
    }
    if row.status != "completed" {
        return;
    }
    let Some(key) = &row.result_key else {
        return wrong("completed without a result".to_owned());
    };
    let current = events.iter().filter(|event| event.generation == row.generation);
    for (_, reported, sha256) in current.filter_map(|event| event.result.as_ref()) {
        if reported != key || Some(sha256) != row.result_sha256.as_ref() {
            wrong(format!(
                "a notification has the result {reported}, and the row has {key}"
            ));
        }
    }
    match observed.archives.iter().find(|((_, archive), _)| archive == key) {
        None => wrong(format!("the result {key} was not read")),
        Some((_, Err(reason))) => wrong(format!("{key}: {reason}")),
        Some((_, Ok(archive))) => {
            if Some(&archive.sha256) != row.result_sha256.as_ref() || Some(archive.size) != row.result_size {
                wrong(format!("{key} has another checksum or size than the row"));
            }
            if Some(archive.pictures) != row.result_frames {
                wrong(format!(
                    "{key} has {} pictures instead of {:?}",
                    archive.pictures, row.result_frames
                ));
            }
        }
    }
    for (key, sha256) in &row.renditions {
        if observed.renditions.get(key) != Some(sha256) {
            wrong(format!("the rendition {key} is missing or damaged"));
        }
    }
}

/// Checks that notifications are consistent, and that the results exist that clients know from notifications.
fn notifications(observed: &Observed, found: &mut Vec<Violation>) {
    let mut contents = BTreeMap::new();
    for event in &observed.events {
        let first = contents.entry(&event.id).or_insert(&event.content);
        if *first != &event.content {
            found.push(Violation::new(&event.id, "two notifications with this ID differ"));
        }
        let Some((bucket, key, sha256)) = &event.result else {
            continue;
        };
        let problem = match observed.archives.get(&(bucket.clone(), key.clone())) {
            Some(Ok(archive)) if archive.sha256 == *sha256 => continue,
            Some(Ok(_)) => "another checksum".to_owned(),
            Some(Err(reason)) => reason.clone(),
            None => "not read".to_owned(),
        };
        found.push(Violation::new(
            &event.job,
            format!("reported as completed: {key}: {problem}"),
        ));
    }
    for event in &observed.strange_events {
        found.push(Violation::new(
            "notifier queue",
            format!("no notification: {event}"),
        ));
    }
}

fn dead_letter_messages(entries: &Entries, observed: &Observed, found: &mut Vec<Violation>) {
    for letter in entries.letters.iter().filter(|letter| !letter.may_vanish) {
        if !observed.letters.iter().any(|body| body.contains(&letter.text)) {
            let subject = format!("ticket {}", letter.ticket);
            found.push(Violation::new(
                subject,
                format!("no dead-letter message has '{}'", letter.text),
            ));
        }
    }
    for body in &observed.letters {
        if !entries.letters.iter().any(|letter| body.contains(&letter.text)) {
            let begin: String = body.chars().take(200).collect();
            found.push(Violation::new(
                "dead-letter queue",
                format!("a valid message: {begin}"),
            ));
        }
    }
}

/// Checks that nothing is left after a sweep.
fn orphaned(observed: &Observed, found: &mut Vec<Violation>) {
    for key in orphans(&observed.rows, &observed.results) {
        found.push(Violation::new(key, "an object without a job"));
    }
    for key in &observed.uploads {
        found.push(Violation::new(key, "an incomplete upload"));
    }
    for key in &observed.changed {
        found.push(Violation::new(key, "an object of another program was changed"));
    }
    if observed.unsent > 0 {
        found.push(Violation::new(
            "outbox",
            format!("{} unsent messages", observed.unsent),
        ));
    }
    if observed.waiting > 0 {
        found.push(Violation::new(
            "input queue",
            format!("{} messages are left", observed.waiting),
        ));
    }
}

/// Returns the objects below `results/` that no row names.
pub(crate) fn orphans<'a>(rows: &[Row], results: &'a BTreeSet<String>) -> Vec<&'a str> {
    let named: BTreeSet<&str> = rows
        .iter()
        .filter(|row| row.status == "completed")
        .flat_map(|row| {
            let renditions = row.renditions.iter().map(|(key, _)| key);
            row.result_key.iter().chain(renditions).map(String::as_str)
        })
        .collect();
    let is_orphan = |key: &&str| *key != RESTORE_MARK && !named.contains(key);
    results.iter().map(String::as_str).filter(is_orphan).collect()
}
