//! The checker: compares what happened with the invariant of the protocol, without the code of the protocol.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use videoframes_core::clock::Clock;
use videoframes_core::jobs::{JobFilter, JobId, JobRepo, JobStatus, Lease, OutboxDestination, VideoJob};
use videoframes_core::queue::{Message, Queue, ReceiptHandle};
use videoframes_core::storage::{ObjectKey, ObjectVersion, Storage};

use crate::faults::Millis;
use crate::world::{World, now};

/// Reads at most this many objects of the store.
const OBJECTS: usize = 10_000;

/// Everything that the checker remembers.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    rows: BTreeMap<JobId, VideoJob>,
    /// Epoch and owner of the latest claim.
    granted: BTreeMap<JobId, (i64, String)>,
    /// Bodies of received messages, with the time of the receipt.
    receipts: BTreeMap<String, (Millis, String)>,
    /// Last time at which a job was terminal, for jobs that were.
    terminal_until: BTreeMap<JobId, Millis>,
    /// Last time at which a job was parked, for jobs that were.
    parked_until: BTreeMap<JobId, Millis>,
    /// Jobs with a message to the workers since they were parked.
    enqueued: BTreeSet<JobId>,
    /// Status at the end of each generation.
    endings: BTreeMap<(JobId, u64), String>,
    /// Identifiers of notifications, by job, generation and status.
    notifications: BTreeMap<(JobId, u64, String), BTreeSet<String>>,
    /// Jobs whose submission was answered.
    pub(crate) accepted: BTreeSet<JobId>,
    /// Numbers of jobs whose message was sent.
    pub(crate) sent: BTreeSet<usize>,
}

impl World {
    fn rows(&self) -> Vec<VideoJob> {
        let page = now(self.repo.list(&JobFilter::default()));
        page.and_then(Result::ok)
            .map(|page| page.jobs)
            .unwrap_or_default()
    }

    /// Records a successful claim.
    pub(crate) fn granted(&self, lease: &Lease, owner: &str, row: &VideoJob) {
        let at = self.clock.now();
        let mut state = self.state();
        let before = state.checker.rows.get(&lease.job);
        let held = before.filter(|row| {
            let is_live = row.lease_expires_at.is_some_and(|expiry| expiry > at);
            row.status == JobStatus::Processing && is_live && row.lease_owner.as_deref() != Some(owner)
        });
        let mut wrong = held.map(|_| format!("{} was claimed during a lease", lease.job));
        let (epoch, last) = (lease.epoch.get(), state.checker.granted.get(&lease.job));
        let mut is_new = false;
        match last {
            Some((last, holder)) if epoch == *last && holder == owner => {
                *state.coverage.entry("event: repeated claim").or_default() += 1;
            }
            Some((last, _)) if epoch <= *last => {
                wrong = Some(format!("{} got epoch {epoch} after epoch {last}", lease.job));
            }
            _ => {
                if row.crash_count > 0 {
                    *state.coverage.entry("event: claim after a crash").or_default() += 1;
                }
                state.checker.granted.insert(lease.job, (epoch, owner.to_owned()));
                is_new = true;
            }
        }
        drop(state);
        // A worker may renew a lease that has expired, but no claim exceeds the limit.
        let in_work = self.in_work(&self.rows());
        if let Some(max_jobs) = self.plan.scenario.max_jobs
            && is_new
            && in_work > max_jobs as usize
        {
            wrong = Some(format!("{in_work} jobs are in work, of at most {max_jobs}"));
        }
        if let Some(wrong) = wrong {
            self.violate(&wrong);
        }
    }

    /// Returns the number of jobs with an unexpired lease.
    fn in_work(&self, rows: &[VideoJob]) -> usize {
        let at = self.clock.now();
        let is_live = |row: &&VideoJob| row.lease_expires_at.is_some_and(|expiry| expiry > at);
        let in_work = rows.iter().filter(|row| row.status == JobStatus::Processing);
        in_work.filter(is_live).count()
    }

    /// Records that the message about a parked job is deleted.
    pub(crate) fn parked(&self, job: JobId) {
        self.state().checker.enqueued.remove(&job);
    }

    /// Checks after the end of a lease that the next parked job has a message, if it may start.
    fn lease_ended(&self, rows: &[VideoJob]) {
        let in_work = self.in_work(rows);
        let max_jobs = self.plan.scenario.max_jobs.map(|max_jobs| max_jobs as usize);
        if max_jobs.is_none_or(|max_jobs| in_work >= max_jobs) {
            return;
        }
        let parked = rows.iter().filter(|row| row.parked_at.is_some());
        let next = parked.min_by_key(|row| (Reverse(row.priority), row.created_at, row.id));
        let is_enqueued = |job: JobId| self.state().checker.enqueued.contains(&job);
        if let Some(next) = next.filter(|next| !is_enqueued(next.id)) {
            self.violate(&format!("{} may start, but nobody enqueued it", next.id));
        }
    }

    /// Checks that a change by a lease holder was permitted.
    pub(crate) fn changed_by(&self, lease: &Lease) {
        let granted = self
            .state()
            .checker
            .granted
            .get(&lease.job)
            .map(|(epoch, _)| *epoch);
        if granted != Some(lease.epoch.get()) {
            let (epoch, job) = (lease.epoch.get(), lease.job);
            self.violate(&format!(
                "the holder of epoch {epoch} changed {job} after epoch {granted:?} was claimed"
            ));
        }
    }

    /// Does the same as [`Self::rows_changed`] after a call that ends a lease.
    pub(crate) fn rows_changed_by_holder(&self) {
        self.rows_changed();
        self.lease_ended(&self.rows());
    }

    /// Compares the rows with the rows before the last change.
    pub(crate) fn rows_changed(&self) {
        let at = self.clock.elapsed();
        let rows = self.rows();
        let mut wrong = Vec::new();
        let mut completed = Vec::new();
        let to_workers = self.repo.unsent_messages().into_iter();
        let to_workers = to_workers.filter(|message| message.destination == OutboxDestination::Input);
        let mut state = self.state();
        let checker = &mut state.checker;
        checker.enqueued.extend(to_workers.map(|message| message.job));
        if let Some(job) = checker
            .rows
            .keys()
            .find(|job| !rows.iter().any(|row| row.id == **job))
        {
            wrong.push(format!("{job} has no row any more"));
        }
        let mut crash_loops = 0;
        for row in rows {
            let generation = u64::from(row.generation);
            let before = checker.rows.get(&row.id);
            if let Some(reason) = before.and_then(|before| wrong_change(before, &row)) {
                wrong.push(format!("{}: {reason}", row.id));
            }
            if before.is_some_and(|before| before.status.is_terminal()) || row.status.is_terminal() {
                checker.terminal_until.insert(row.id, at);
            }
            if before.is_some_and(|before| before.parked_at.is_some()) || row.parked_at.is_some() {
                checker.parked_until.insert(row.id, at);
            }
            let is_new = before
                .is_none_or(|before| !before.status.is_terminal() || before.generation != row.generation);
            if row.status.is_terminal() && is_new {
                checker
                    .endings
                    .insert((row.id, generation), row.status.to_string());
                crash_loops += u64::from(row.error_code.as_deref() == Some("WORKER_CRASH_LOOP"));
                if row.status == JobStatus::Completed {
                    completed.push(row.clone());
                }
            }
            checker.rows.insert(row.id, row);
        }
        if crash_loops > 0 {
            *state.coverage.entry("event: crash loop").or_default() += crash_loops;
        }
        drop(state);
        for row in completed {
            wrong.extend(self.wrong_result(&row));
        }
        for reason in wrong {
            self.violate(&reason);
        }
    }

    /// Checks the results at a key after a change of the object.
    pub(crate) fn object_changed(&self, key: &ObjectKey) {
        let state = self.state();
        let rows = state.checker.rows.values();
        let named = |row: &&VideoJob| {
            row.result
                .as_ref()
                .is_some_and(|result| result.key == key.as_str())
        };
        let rows: Vec<VideoJob> = rows.filter(named).cloned().collect();
        drop(state);
        for row in rows.iter().filter(|row| row.status == JobStatus::Completed) {
            if let Some(reason) = self.wrong_result(row) {
                self.violate(&reason);
            }
        }
    }

    /// Returns why the archive of a completed job is not its result.
    fn wrong_result(&self, row: &VideoJob) -> Option<String> {
        let Some(result) = &row.result else {
            return Some(format!("{} is completed without a result", row.id));
        };
        let Ok(key) = result.key.parse::<ObjectKey>() else {
            return Some(format!("{} has the key {}", row.id, result.key));
        };
        let opened = now(self.store.open(&key, &ObjectVersion::CURRENT)).and_then(Result::ok);
        let Some(opened) = opened else {
            return Some(format!("the archive {key} of {} does not exist", row.id));
        };
        let length = usize::try_from(opened.source.len()).unwrap_or(usize::MAX);
        let bytes = now(opened.source.read_at(0, length))
            .and_then(Result::ok)
            .unwrap_or_default();
        let checksum: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let is_same = checksum == result.sha256 && bytes.len() as u64 == result.size;
        (!is_same).then(|| format!("the archive {key} of {} differs from its row", row.id))
    }

    pub(crate) fn received(&self, message: &Message) {
        let at = self.clock.elapsed();
        let mut state = self.state();
        if message.receive_count > 1 {
            *state.coverage.entry("event: redelivery").or_default() += 1;
        }
        let receipt = message.receipt.as_str().to_owned();
        state.checker.receipts.insert(receipt, (at, message.body.clone()));
    }

    /// Checks that a message may be deleted: its job is terminal or parked, or was since the receipt.
    pub(crate) fn deleting(&self, receipt: &ReceiptHandle) {
        let state = self.state();
        let checker = &state.checker;
        let Some((received, body)) = checker.receipts.get(receipt.as_str()) else {
            return;
        };
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let job = body["job_id"].as_str().and_then(|id| id.parse::<JobId>().ok());
        let is_meant = |row: &&VideoJob| match job {
            Some(job) => row.id == job,
            None => row.client_metadata.as_ref() == Some(&body["client_metadata"]),
        };
        let has_ended = |row: &VideoJob| {
            let is_since = |until: Option<&Millis>| until.is_some_and(|until| until >= received);
            row.status.is_terminal()
                || row.parked_at.is_some()
                || is_since(checker.terminal_until.get(&row.id))
                || is_since(checker.parked_until.get(&row.id))
        };
        let mut rows = checker.rows.values().filter(is_meant);
        if !rows.any(has_ended) {
            drop(state);
            self.violate(&format!(
                "the message {} was deleted before its job ended",
                crate::queue::subject(&body.to_string())
            ));
        }
    }

    /// Records a notification.
    pub(crate) fn notified(&self, body: &str) {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let data = &body["data"];
        let job = data["job_id"].as_str().and_then(|id| id.parse::<JobId>().ok());
        let (Some(job), Some(generation)) = (job, data["generation"].as_u64()) else {
            return self.violate("a notification names no job");
        };
        let status = data["status"].as_str().unwrap_or_default().to_owned();
        let mut state = self.state();
        let checker = &mut state.checker;
        let mut wrong = None;
        if checker.endings.get(&(job, generation)) != Some(&status) {
            wrong = Some(format!(
                "a notification says that {job} is {status} in generation {generation}"
            ));
        }
        let ids = checker
            .notifications
            .entry((job, generation, status))
            .or_default();
        ids.insert(body["id"].as_str().unwrap_or_default().to_owned());
        if ids.len() > 1 {
            wrong = Some(format!("{job} has notifications with different identifiers"));
        }
        drop(state);
        if let Some(wrong) = wrong {
            self.violate(&wrong);
        }
    }

    /// Returns what is left to do: nothing once every job is terminal and every message is gone.
    pub(crate) fn unfinished(&self) -> Option<String> {
        let rows = self.rows();
        if let Some(row) = rows.iter().find(|row| !row.status.is_terminal()) {
            return Some(format!("{} is {}", row.id, row.status));
        }
        let backlog = now(self.repo.outbox_backlog()).and_then(Result::ok);
        if backlog.is_none_or(|backlog| backlog.pending > 0) {
            return Some("the outbox has unsent messages".to_owned());
        }
        let depth = now(self.input.depth()).and_then(Result::ok);
        if depth.is_none_or(|depth| depth.visible + depth.in_flight + depth.delayed > 0) {
            return Some("the input queue has messages".to_owned());
        }
        None
    }

    /// Checks the final state.
    pub(crate) fn check_end(&self) {
        let mut wrong = Vec::new();
        let rows = self.rows();
        let state = self.state();
        let checker = &state.checker;
        for job in &checker.accepted {
            if !rows.iter().any(|row| row.id == *job) {
                wrong.push(format!("the accepted job {job} has no row"));
            }
        }
        let dead = now(self.dead.depth()).and_then(Result::ok);
        if !self.plan.loses_messages() && dead.is_some_and(|dead| dead.visible == 0) {
            for job in &checker.sent {
                let meant = json!({"job": job});
                if !rows
                    .iter()
                    .any(|row| row.client_metadata.as_ref() == Some(&meant))
                {
                    wrong.push(format!("the message about job {job} made no job"));
                }
            }
        }
        for ((job, generation), status) in &checker.endings {
            if !checker
                .notifications
                .contains_key(&(*job, *generation, status.clone()))
            {
                wrong.push(format!(
                    "{job} is {status} in generation {generation} without a notification"
                ));
            }
        }
        drop(state);
        let completed = |row: &&VideoJob| row.status == JobStatus::Completed;
        for row in rows.iter().filter(completed) {
            wrong.extend(self.wrong_result(row));
        }
        let objects = now(self.store.list("results/", None, OBJECTS)).and_then(Result::ok);
        for object in objects.unwrap_or_default() {
            let results = rows.iter().filter_map(|row| row.result.as_ref());
            if !results
                .into_iter()
                .any(|result| result.key == object.key.as_str())
            {
                wrong.push(format!("{} is an orphan", object.key));
            }
        }
        for reason in wrong {
            self.violate(&reason);
        }
    }
}

/// Returns why one row cannot follow another.
fn wrong_change(before: &VideoJob, after: &VideoJob) -> Option<String> {
    if before.lease_epoch > after.lease_epoch {
        return Some("the epoch went back".to_owned());
    }
    if before.payload_hash != after.payload_hash {
        return Some("the request changed".to_owned());
    }
    if before.status.is_terminal() && before.generation == after.generation {
        let ending = |row: &VideoJob| {
            (
                row.status,
                row.result.clone(),
                row.error_code.clone(),
                row.finished_at,
            )
        };
        if ending(before) != ending(after) {
            return Some(format!(
                "a terminal row changed from {} to {}",
                before.status, after.status
            ));
        }
    }
    let generations = i64::from(after.generation) - i64::from(before.generation);
    let may_retry = matches!(before.status, JobStatus::Failed | JobStatus::Cancelled);
    match generations {
        0 => None,
        1 if may_retry => None,
        _ => Some(format!(
            "generation {} followed {}",
            after.generation, before.generation
        )),
    }
}
