//! Evidence that a fault of the job protocol has occurred.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Counters of observations that prove faults.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    counters: Mutex<BTreeMap<String, u64>>,
}

impl Evidence {
    pub(crate) fn add(&self, name: impl Into<String>, number: u64) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        *counters.entry(name.into()).or_default() += number;
    }

    fn count(&self, name: &str) -> u64 {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.get(name).copied().unwrap_or_default()
    }

    /// Returns all counters.
    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        self.counters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns how often each fault occurred, with the counters above zero that prove it.
    pub(crate) fn faults(&self) -> Vec<Occurrence> {
        let of_fault = |(number, name, proofs): &(u8, &'static str, &[&str])| {
            let counted = proofs
                .iter()
                .map(|proof| ((*proof).to_owned(), self.count(proof)));
            let evidence: Vec<_> = counted.filter(|(_, count)| *count > 0).collect();
            Occurrence {
                number: *number,
                name,
                count: evidence.iter().map(|(_, count)| count).sum(),
                evidence,
            }
        };
        FAULTS.iter().map(of_fault).collect()
    }
}

/// How often a fault occurred.
#[derive(Debug, Serialize)]
pub(crate) struct Occurrence {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    pub(crate) count: u64,
    pub(crate) evidence: Vec<(String, u64)>,
}

/// The faults of the job protocol, and the counters that prove that they occurred.
const FAULTS: [(u8, &str, &[&str]); 34] = [
    (
        1,
        "SIGKILL at each step",
        &["worker killed at a fault point", "worker killed at any time"],
    ),
    (
        2,
        "frozen past the lease",
        &["metric stale_commits", "metric lease_lost taken"],
    ),
    (
        3,
        "cut off from the database only",
        &["one link database: affected", "metric lease_lost fenced"],
    ),
    (4, "cut off from the queue only", &["one link queue: affected"]),
    (
        5,
        "same message to two workers",
        &["metric duplicate_deliveries held"],
    ),
    (
        6,
        "redelivery after completion",
        &["metric duplicate_deliveries terminal"],
    ),
    (
        7,
        "database down at claim",
        &["metric circuit_state database open"],
    ),
    (
        8,
        "database restarts during jobs",
        &["database crashed during jobs", "failover during jobs"],
    ),
    (
        9,
        "reply to COMMIT lost",
        &["all links database: affected LoseAnswerTo(COMMIT)"],
    ),
    (
        10,
        "connection pool exhausted",
        &["job completed with one connection and four slots"],
    ),
    (
        11,
        "store busy, slow or stalled",
        &[
            "response Busy",
            "response StalledRead",
            "all links store: affected Slow",
        ],
    ),
    (
        12,
        "corrupted or truncated download",
        &["response CorruptCopy", "response CutRead"],
    ),
    (13, "source replaced", &["job INPUT_CHANGED"]),
    (
        14,
        "source missing or denied",
        &["job SOURCE_NOT_FOUND", "response Denied"],
    ),
    (
        15,
        "part fails, or reply of an upload lost",
        &["response FailedPart", "response LostComplete", "response LostPut"],
    ),
    (16, "error in a successful response", &["response ErrorInSuccess"]),
    (17, "foreign object at the key", &["job OUTPUT_EXISTS"]),
    (18, "ffmpeg hangs", &["metric ffmpeg_kills stalled"]),
    (
        19,
        "ffmpeg killed or crashed",
        &["decoder killed", "decoder crashed"],
    ),
    (
        20,
        "invalid video",
        &[
            "job EMPTY_SOURCE",
            "job NOT_A_VIDEO",
            "job NO_VIDEO_STREAM",
            "job DAMAGED_VIDEO",
        ],
    ),
    (21, "limits exceeded", &["job LIMIT_EXCEEDED"]),
    (22, "playlist of local files", &["playlist refused"]),
    (23, "disk full", &["attempt NO_SPACE", "worker met a full disk"]),
    (24, "wall clock off by an hour", &["clock stepped under a worker"]),
    (
        25,
        "SIGTERM, once or twice",
        &[
            "worker terminated",
            "worker terminated at a fault point",
            "worker terminated twice",
        ],
    ),
    (26, "malformed message", &["dead-letter message"]),
    (27, "odd keys, test events, many records", &["odd key completed"]),
    (28, "events out of order", &["job SUPERSEDED"]),
    (
        29,
        "notifier throttled",
        &["response ThrottledSend", "metric outbox_publish error"],
    ),
    (
        30,
        "relay killed between send and mark",
        &["relay killed after sending"],
    ),
    (31, "deadline", &["job DEADLINE_EXCEEDED"]),
    (32, "redrive of a finished job", &["message about an ended job"]),
    (33, "panic in a task", &["worker panicked"]),
    (34, "two versions at once", &["shift between revisions"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_numbered_and_count_their_evidence() {
        assert!(FAULTS.iter().map(|(number, ..)| *number).eq(1..=34));
        let evidence = Evidence::default();
        evidence.add("response Busy", 2);
        evidence.add("response StalledRead", 3);
        evidence.add("unrelated", 1);
        let faults = evidence.faults();
        assert_eq!((faults[10].count, faults[10].evidence.len()), (5, 2));
        assert_eq!(faults.iter().map(|fault| fault.count).sum::<u64>(), 5);
    }
}
