//! The faults of the job protocol, the counters that prove that they occurred, and what makes them occur.

use serde::Serialize;
use videoframes_core::testing::Condition;

use crate::evidence::Counters;
use crate::injection::{Action, Dependency, HttpFault, Injection, LOST_COMMIT};
use crate::load::plan::{Hostile, Kind, Poison};

use self::Remedy::{Repeat, Submit};

/// A fault of the job protocol.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    /// Counters of which one above zero proves the fault.
    proofs: &'static [&'static str],
    /// What makes the fault occur after a schedule in which it did not.
    pub(crate) remedy: Remedy,
}

/// What makes a fault occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    Repeat(Injection),
    Submit(Kind, usize),
}

/// How often a fault occurred.
#[derive(Debug, Serialize)]
pub(crate) struct Occurrence {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    pub(crate) count: u64,
    /// Counters above zero.
    pub(crate) evidence: Vec<(String, u64)>,
}

impl Fault {
    /// Returns how often the fault occurred.
    pub(crate) fn occurrence(&self, counters: &Counters) -> Occurrence {
        let counted = self.proofs.iter().filter_map(|proof| {
            let count = counters.get(*proof).copied().unwrap_or_default();
            (count > 0).then(|| ((*proof).to_owned(), count))
        });
        let evidence: Vec<_> = counted.collect();
        Occurrence {
            number: self.number,
            name: self.name,
            count: evidence.iter().map(|(_, count)| count).sum(),
            evidence,
        }
    }

    pub(crate) fn has_occurred(&self, counters: &Counters) -> bool {
        self.occurrence(counters).count > 0
    }
}

const fn fault(number: u8, name: &'static str, proofs: &'static [&'static str], remedy: Remedy) -> Fault {
    Fault {
        number,
        name,
        proofs,
        remedy,
    }
}

/// The faults of the job protocol, as in the list of faults to survive.
pub(crate) static FAULTS: [Fault; 34] = [
    fault(
        1,
        "SIGKILL at each step",
        &["worker killed at a fault point", "worker killed at any time"],
        Repeat(Injection::Kill),
    ),
    fault(
        2,
        "frozen past the lease",
        &["metric stale_commits", "metric lease_lost taken"],
        Repeat(Injection::Freeze),
    ),
    fault(
        3,
        "cut off from the database only",
        &["one link database: affected", "metric lease_lost fenced"],
        Repeat(Injection::OneLink(Dependency::Database, Condition::HalfOpen)),
    ),
    fault(
        4,
        "cut off from the queue only",
        &["one link queue: affected"],
        Repeat(Injection::OneLink(Dependency::Queue, Condition::HalfOpen)),
    ),
    fault(
        5,
        "same message to two workers",
        &["metric duplicate_deliveries held"],
        Submit(Kind::MessageTwice, 4),
    ),
    fault(
        6,
        "redelivery after completion",
        &["metric duplicate_deliveries terminal"],
        Submit(Kind::EventAgain, 2),
    ),
    fault(
        7,
        "database down at claim",
        &["metric circuit_state database open"],
        Repeat(Injection::AllLinks(Dependency::Database, Condition::Cut)),
    ),
    fault(
        8,
        "database restarts during jobs",
        &["database crashed during jobs", "failover during jobs"],
        Repeat(Injection::CrashDatabase),
    ),
    fault(
        9,
        "reply to COMMIT lost",
        &["all links database: affected LoseAnswerTo(COMMIT)"],
        Repeat(Injection::AllLinks(Dependency::Database, LOST_COMMIT)),
    ),
    fault(
        10,
        "connection pool exhausted",
        &["job completed with one connection and four slots"],
        Repeat(Injection::FewConnections),
    ),
    fault(
        11,
        "store busy, slow or stalled",
        &[
            "response Busy",
            "response StalledRead",
            "all links store: affected Slow",
        ],
        Repeat(Injection::Http(HttpFault::Busy)),
    ),
    fault(
        12,
        "corrupted or truncated download",
        &["response CorruptCopy", "response CutRead"],
        Repeat(Injection::Http(HttpFault::CorruptCopy)),
    ),
    fault(
        13,
        "source replaced",
        &["job INPUT_CHANGED"],
        Submit(Kind::Replaced, 2),
    ),
    fault(
        14,
        "source missing or denied",
        &["job SOURCE_NOT_FOUND", "response Denied"],
        Submit(Kind::Missing, 1),
    ),
    fault(
        15,
        "part fails, or reply of an upload lost",
        &["response FailedPart", "response LostComplete", "response LostPut"],
        Repeat(Injection::Http(HttpFault::LostPut)),
    ),
    fault(
        16,
        "error in a successful response",
        &["response ErrorInSuccess"],
        Repeat(Injection::Http(HttpFault::ErrorInSuccess)),
    ),
    fault(
        17,
        "foreign object at the key",
        &["job OUTPUT_EXISTS"],
        Submit(Kind::ForeignOutput, 1),
    ),
    fault(
        18,
        "ffmpeg hangs",
        &["metric ffmpeg_kills stalled"],
        Repeat(Injection::FreezeDecoder),
    ),
    fault(
        19,
        "ffmpeg killed or crashed",
        &["decoder killed", "decoder crashed"],
        Repeat(Injection::KillDecoder),
    ),
    fault(
        20,
        "invalid video",
        &[
            "job EMPTY_SOURCE",
            "job NOT_A_VIDEO",
            "job NO_VIDEO_STREAM",
            "job DAMAGED_VIDEO",
        ],
        Submit(Kind::Hostile(Hostile::Text), 1),
    ),
    fault(
        21,
        "limits exceeded",
        &["job LIMIT_EXCEEDED"],
        Submit(Kind::Hostile(Hostile::Huge), 1),
    ),
    fault(
        22,
        "playlist of local files",
        &["playlist refused"],
        Submit(Kind::Hostile(Hostile::Playlist), 1),
    ),
    fault(
        23,
        "disk full",
        &["attempt NO_SPACE", "worker met a full disk"],
        Repeat(Injection::FullDisk),
    ),
    fault(
        24,
        "wall clock off by an hour",
        &["clock stepped under a worker"],
        Repeat(Injection::ClockStep),
    ),
    fault(
        25,
        "SIGTERM, once or twice",
        &[
            "worker terminated",
            "worker terminated at a fault point",
            "worker terminated twice",
        ],
        Repeat(Injection::Terminate),
    ),
    fault(
        26,
        "malformed message",
        &["dead-letter message"],
        Submit(Kind::Poison(Poison::NotJson), 1),
    ),
    fault(
        27,
        "odd keys, test events, many records",
        &["odd key completed"],
        Submit(Kind::OddKey, 1),
    ),
    fault(
        28,
        "events out of order",
        &["job SUPERSEDED"],
        Submit(Kind::Reordered, 2),
    ),
    fault(
        29,
        "notifier throttled",
        &["response ThrottledSend", "metric outbox_publish error"],
        Repeat(Injection::Http(HttpFault::ThrottledSend)),
    ),
    fault(
        30,
        "relay killed between send and mark",
        &["relay killed after sending"],
        Repeat(Injection::Point("relaysent", Action::Kill)),
    ),
    fault(
        31,
        "deadline",
        &["job DEADLINE_EXCEEDED"],
        Submit(Kind::Deadline, 2),
    ),
    fault(
        32,
        "redrive of a finished job",
        &["message about an ended job"],
        Submit(Kind::Redriven, 1),
    ),
    fault(
        33,
        "panic in a task",
        &["worker panicked"],
        Repeat(Injection::Point("prepared", Action::Panic)),
    ),
    fault(
        34,
        "two versions at once",
        &["shift between revisions"],
        Repeat(Injection::Shift),
    ),
];

/// What else has to occur in a run.
pub(crate) static MORE: [Fault; 2] = [
    fault(
        35,
        "tenant at its limit",
        &["job parked"],
        Submit(Kind::Limited, 2),
    ),
    fault(
        36,
        "dead-letter messages redriven",
        &["dead-letter message redriven"],
        Submit(Kind::LettersRedriven, 1),
    ),
];

/// Returns all that has to occur in a run.
pub(crate) fn all() -> impl Iterator<Item = &'static Fault> {
    FAULTS.iter().chain(&MORE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_numbered_and_count_their_evidence() {
        assert!(all().map(|fault| fault.number).eq(1..=36));
        let counters: Counters = [
            ("response Busy", 2),
            ("response StalledRead", 3),
            ("unrelated", 1),
        ]
        .map(|(name, count)| (name.to_owned(), count))
        .into();
        let occurred: Vec<_> = FAULTS
            .iter()
            .filter(|fault| fault.has_occurred(&counters))
            .collect();
        assert_eq!(
            occurred.iter().map(|fault| fault.number).collect::<Vec<_>>(),
            [11]
        );
        let occurrence = occurred[0].occurrence(&counters);
        assert_eq!((occurrence.count, occurrence.evidence.len()), (5, 2));
    }

    #[test]
    fn every_schedule_has_the_injections_of_the_remedies() {
        for fault in &FAULTS {
            if let Repeat(injection) = fault.remedy {
                assert!(Injection::all().contains(&injection), "{}", fault.name);
            }
        }
    }
}
