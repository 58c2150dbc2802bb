//! The ledger: every job that the servers accepted, and what must become of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// The outcome of a completed job. Other outcomes are error codes.
pub(crate) const COMPLETED: &str = "completed";

/// An accepted request for jobs.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Accepted {
    pub(crate) ticket: usize,
    pub(crate) kind: String,
    /// Key of the source, which no other request has.
    pub(crate) source: String,
    /// Number of jobs.
    pub(crate) jobs: usize,
    /// Permitted outcomes.
    pub(crate) outcomes: Vec<&'static str>,
    /// Outcome that at least one of the jobs has, if any.
    pub(crate) one_of: Option<&'static str>,
    /// Permitted numbers of frames of a completed job; any number if empty.
    pub(crate) frames: Vec<u64>,
    /// Whether the only trace of the request may have been a message that was removed from the queue.
    pub(crate) may_vanish: bool,
    /// Whether an operator has retried the job.
    pub(crate) retried: bool,
}

impl Accepted {
    pub(crate) fn new(ticket: usize, kind: String, source: &str, outcomes: &[&'static str]) -> Self {
        Self {
            ticket,
            kind,
            source: source.to_owned(),
            jobs: 1,
            outcomes: outcomes.to_vec(),
            one_of: None,
            frames: Vec::new(),
            may_vanish: false,
            retried: false,
        }
    }

    pub(crate) fn frames(mut self, frames: &[u64]) -> Self {
        self.frames = frames.to_vec();
        self
    }
}

/// A message that must be dead-lettered.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Letter {
    pub(crate) ticket: usize,
    /// Text that no other message has.
    pub(crate) text: String,
    pub(crate) may_vanish: bool,
}

/// An object that no worker may change.
#[derive(Debug, Clone)]
pub(crate) struct Foreign {
    pub(crate) key: String,
    pub(crate) content: Vec<u8>,
}

/// Everything that was accepted.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    pub(crate) accepted: Vec<Accepted>,
    pub(crate) letters: Vec<Letter>,
    pub(crate) foreign: Vec<Foreign>,
    /// Requests that failed, so that nothing is known about their jobs.
    pub(crate) refused: u64,
    /// Messages about jobs that had ended.
    pub(crate) redelivered: u64,
    /// Dead-letter messages that an operator has redriven.
    pub(crate) letters_redriven: u64,
    /// Sources of odd keys.
    pub(crate) odd: Vec<String>,
}

/// The ledger of a run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Mutex<Entries>,
}

impl Ledger {
    pub(crate) fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the requests for the jobs of a source.
    pub(crate) fn change(&self, source: &str, change: impl Fn(&mut Accepted)) {
        let accepted = &mut self.entries().accepted;
        accepted
            .iter_mut()
            .filter(|accepted| accepted.source == source)
            .for_each(change);
    }

    /// Marks the requests that lack a job whose message may have been removed from the queue. `jobs` returns the number of
    /// jobs of a source.
    pub(crate) fn lose_messages(&self, jobs: impl Fn(&str) -> usize) -> usize {
        let entries = &mut *self.entries();
        let unknown = entries
            .accepted
            .iter_mut()
            .filter(|accepted| jobs(&accepted.source) < accepted.jobs);
        let lost = unknown.map(|accepted| accepted.may_vanish = true).count();
        entries
            .letters
            .iter_mut()
            .for_each(|letter| letter.may_vanish = true);
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_message_may_be_one_of_two_for_a_source() {
        let ledger = Ledger::default();
        for (source, jobs) in [("none", 1), ("one", 1), ("one of two", 2), ("two", 2)] {
            let accepted = Accepted::new(0, "Reordered".to_owned(), source, &[COMPLETED]);
            ledger.entries().accepted.push(Accepted { jobs, ..accepted });
        }
        let jobs = |source: &str| match source {
            "none" => 0,
            "two" => 2,
            _ => 1,
        };
        assert_eq!(ledger.lose_messages(jobs), 2);
        let entries = ledger.entries();
        let vanishing = entries.accepted.iter().filter(|accepted| accepted.may_vanish);
        let vanishing: Vec<_> = vanishing.map(|accepted| &accepted.source).collect();
        assert_eq!(vanishing, ["none", "one of two"]);
    }
}
