//! The journal: what was injected, and when.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use crate::injection::Injection;

/// A performed injection.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Entry {
    #[serde(serialize_with = "as_text")]
    pub(crate) injection: Injection,
    /// Seconds since the start of the load.
    pub(crate) began_s: f64,
    pub(crate) ended_s: f64,
    /// Unix time of the end, in milliseconds.
    pub(crate) ended_at: i64,
    pub(crate) effect: Effect,
}

/// The effect of an injection, with a note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "effect", content = "note", rename_all = "lowercase")]
pub(crate) enum Effect {
    /// There is evidence that the fault has met a worker.
    Hit(String),
    /// The fault has met no worker, or there is no evidence.
    Missed(String),
    /// This machine cannot inject the fault.
    Impossible(String),
}

impl Effect {
    /// Returns the effect of an injection whose evidence was found or not.
    pub(crate) fn of(is_hit: bool, note: impl Into<String>) -> Self {
        match is_hit {
            true => Self::Hit(note.into()),
            false => Self::Missed(note.into()),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit(note) => f.write_str(note),
            Self::Missed(note) => write!(f, "missed: {note}"),
            Self::Impossible(note) => write!(f, "not possible here: {note}"),
        }
    }
}

/// The journal.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) since: Instant,
    entries: Mutex<Vec<Entry>>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            entries: Mutex::default(),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    pub(crate) fn record(&self, injection: Injection, began: Duration, effect: Effect) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let entry = Entry {
            injection,
            began_s: began.as_secs_f64(),
            ended_s: self.elapsed().as_secs_f64(),
            ended_at: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
            effect,
        };
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
    }

    /// Returns the entries in the order of their ends.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the kinds of injections that had an effect, or cannot have one on this machine.
    pub(crate) fn settled(&self) -> Vec<Injection> {
        self.with_effect(|effect| !matches!(effect, Effect::Missed(_)))
    }

    /// Returns the kinds of injections that cannot have an effect on this machine.
    pub(crate) fn impossible(&self) -> Vec<Injection> {
        self.with_effect(|effect| matches!(effect, Effect::Impossible(_)))
    }

    fn with_effect(&self, is_wanted: impl Fn(&Effect) -> bool) -> Vec<Injection> {
        let entries = self.entries().into_iter();
        entries
            .filter(|entry| is_wanted(&entry.effect))
            .map(|entry| entry.injection)
            .collect()
    }
}

fn as_text<S: Serializer>(injection: &Injection, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(injection)
}
