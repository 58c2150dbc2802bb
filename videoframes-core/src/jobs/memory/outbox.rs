//! The outbox: messages until they are sent.

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::jobs::{Backlog, JobId, OutboxDestination, OutboxMessage, RefusedMessage};
use crate::tenant::next_rank;

/// Unsent and rejected messages, oldest first.
#[derive(Default)]
pub(super) struct Outbox {
    entries: Vec<Entry>,
}

struct Entry {
    message: OutboxMessage,
    /// Order among the messages to the workers.
    rank: i64,
    since: UnixMillis,
    taken_at: Option<UnixMillis>,
    /// Reason why the queue rejected the message permanently.
    refused: Option<String>,
}

impl Entry {
    fn is_unsent(&self) -> bool {
        self.refused.is_none()
    }
}

impl Outbox {
    pub(super) fn add(&mut self, message: OutboxMessage, now: UnixMillis) {
        let rank = self.next_rank(&message);
        self.entries.push(Entry {
            message,
            rank,
            since: now,
            taken_at: None,
            refused: None,
        });
    }

    /// Returns the rank of a new message.
    fn next_rank(&self, message: &OutboxMessage) -> i64 {
        let new = message.share();
        let waiting = || self.unsent_to_workers();
        let same = waiting().filter(|entry| entry.message.share().flow() == new.flow());
        let last = same.map(|entry| entry.rank).max();
        let first = waiting().map(|entry| entry.rank).min();
        next_rank(last, first.unwrap_or(0), new.step())
    }

    fn unsent(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.is_unsent())
    }

    fn unsent_to_workers(&self) -> impl Iterator<Item = &Entry> {
        self.unsent()
            .filter(|entry| entry.message.destination == OutboxDestination::Input)
    }

    /// Returns the unsent messages.
    pub(super) fn messages(&self) -> Vec<OutboxMessage> {
        self.unsent().map(|entry| entry.message.clone()).collect()
    }

    /// Returns the time of the oldest unsent message to the workers.
    pub(super) fn oldest_to_workers(&self) -> Option<UnixMillis> {
        self.unsent_to_workers().next().map(|entry| entry.since)
    }

    /// Returns the jobs with an unsent message to the workers.
    pub(super) fn jobs_to_workers(&self) -> HashSet<JobId> {
        self.unsent_to_workers().map(|entry| entry.message.job).collect()
    }

    /// Returns the jobs with any unsent message.
    pub(super) fn jobs(&self) -> HashSet<JobId> {
        self.unsent().map(|entry| entry.message.job).collect()
    }

    /// Deletes all messages about a job.
    pub(super) fn forget(&mut self, job: JobId) {
        self.entries.retain(|entry| entry.message.job != job);
    }

    pub(super) fn take(&mut self, limit: u32, hold: Duration, now: UnixMillis) -> Vec<OutboxMessage> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut taken = Vec::new();
        for destination in [OutboxDestination::Notifier, OutboxDestination::Input] {
            let free = |entry: &&mut Entry| {
                entry.message.destination == destination
                    && entry.is_unsent()
                    && entry.taken_at.is_none_or(|taken| taken.after(hold) <= now)
            };
            let mut free: Vec<&mut Entry> = self.entries.iter_mut().filter(free).collect();
            if destination == OutboxDestination::Input {
                // Stable: the order of arrival within a rank.
                free.sort_by_key(|entry| entry.rank);
            }
            taken.extend(free.into_iter().take(limit).map(|entry| {
                entry.taken_at = Some(now);
                entry.message.clone()
            }));
        }
        taken
    }

    pub(super) fn sent(&mut self, messages: &[Uuid]) {
        self.entries.retain(|entry| !messages.contains(&entry.message.id));
    }

    pub(super) fn backlog(&self, now: UnixMillis) -> Backlog {
        let pending = self.unsent().count() as u64;
        let oldest = self.unsent().next().map(|entry| now.since(entry.since));
        Backlog {
            pending,
            oldest: oldest.unwrap_or_default(),
            refused: self.entries.len() as u64 - pending,
        }
    }

    /// Marks messages as rejected, each with the reason.
    pub(super) fn refuse(&mut self, messages: &[(Uuid, String)]) {
        for (id, reason) in messages {
            let mut entries = self.entries.iter_mut();
            if let Some(entry) = entries.find(|entry| entry.message.id == *id) {
                entry.refused.get_or_insert_with(|| reason.clone());
            }
        }
    }

    pub(super) fn refused(&self, limit: u32) -> Vec<RefusedMessage> {
        let refused = self.entries.iter().filter_map(|entry| {
            Some(RefusedMessage {
                reason: entry.refused.clone()?,
                message: entry.message.clone(),
            })
        });
        refused
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .collect()
    }

    /// Makes rejected messages unsent again, and returns their number.
    pub(super) fn resend_refused(&mut self) -> u64 {
        let mut again = 0;
        for entry in &mut self.entries {
            if entry.refused.take().is_some() {
                entry.taken_at = None;
                again += 1;
            }
        }
        again
    }
}
