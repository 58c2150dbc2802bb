//! The kinds of injections.

use std::fmt;
use std::time::Duration;

use videoframes_core::testing::Condition;

/// A server that the workers need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dependency {
    Database,
    Store,
    Queue,
}

impl Dependency {
    pub(crate) const ALL: [Self; 3] = [Self::Database, Self::Store, Self::Queue];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Store => "store",
            Self::Queue => "queue",
        }
    }
}

/// The action of a worker at a fault point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Kill,
    Stop,
    Terminate,
    Panic,
}

impl Action {
    /// Returns the name in `VF_FAULT`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Terminate => "term",
            Self::Panic => "panic",
        }
    }
}

/// A fault of responses of the store or the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HttpFault {
    /// 503 from the store.
    Busy,
    /// Reads of the store stop in the middle.
    StalledRead,
    /// Reads of the store end early.
    CutRead,
    /// Reads of sources that are copied as a whole are damaged.
    CorruptCopy,
    /// Reads of some sources are denied.
    Denied,
    /// Parts of an upload are refused.
    FailedPart,
    /// The response to a complete upload is lost.
    LostComplete,
    /// A complete upload is answered with 200 and an error.
    ErrorInSuccess,
    /// The response to a write of an object is lost.
    LostPut,
    /// The queue refuses to send.
    ThrottledSend,
    /// The queue sends, and the response is lost.
    LostSend,
    /// The queue deletes, and the response is lost.
    LostDelete,
    /// The queue refuses to extend visibility timeouts.
    FailedExtension,
}

impl HttpFault {
    pub(crate) const ALL: [Self; 13] = [
        Self::Busy,
        Self::StalledRead,
        Self::CutRead,
        Self::CorruptCopy,
        Self::Denied,
        Self::FailedPart,
        Self::LostComplete,
        Self::ErrorInSuccess,
        Self::LostPut,
        Self::ThrottledSend,
        Self::LostSend,
        Self::LostDelete,
        Self::FailedExtension,
    ];
}

/// An injection of one fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Injection {
    /// SIGKILL of a worker.
    Kill,
    /// SIGSTOP of a worker until after its lease, then SIGCONT.
    Freeze,
    /// SIGTERM of a worker.
    Terminate,
    /// SIGTERM of a worker, twice.
    TerminateTwice,
    /// SIGKILL of a decoder.
    KillDecoder,
    /// SIGSEGV of a decoder.
    CrashDecoder,
    /// SIGSTOP of a decoder.
    FreezeDecoder,
    /// A worker with `VF_FAULT`.
    Point(&'static str, Action),
    /// A condition of the connections of one worker to a dependency.
    OneLink(Dependency, Condition),
    /// A condition of all connections to a dependency.
    AllLinks(Dependency, Condition),
    Http(HttpFault),
    /// SIGKILL of all processes of Postgres, and a restart.
    CrashDatabase,
    /// SIGKILL of all processes of Postgres, and promotion of a synchronous standby.
    FailOver,
    /// A worker with one database connection and four slots.
    FewConnections,
    /// The input queue loses all messages.
    EmptyQueue,
    /// A worker whose scratch folder is full.
    FullDisk,
    /// A worker that cannot allocate memory.
    NoMemory,
    /// A worker whose wall clock steps by an hour.
    ClockStep,
    /// New credentials for store and queue; the old credentials are refused.
    RotateCredentials,
    /// A shift from one revision of workers to another.
    Shift,
    /// One worker, eight workers, one worker.
    Scale,
}

/// Whether an injection may run beside others of its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    Light,
    /// Changes all workers or a server: one at a time.
    Heavy,
}

/// The reply to a commit is lost.
pub(crate) const LOST_COMMIT: Condition = Condition::LoseAnswerTo(b"COMMIT");
/// Delay of each chunk of a slow connection.
const DELAY: Duration = Duration::from_millis(120);

impl Injection {
    /// Returns the injections of a round: every kind, and those twice that often have no effect.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![
            Self::Kill,
            Self::Freeze,
            Self::Terminate,
            Self::TerminateTwice,
            Self::KillDecoder,
            Self::CrashDecoder,
            // The decoder may end with its worker before the stall is detected.
            Self::FreezeDecoder,
            Self::FreezeDecoder,
            Self::CrashDatabase,
            Self::FailOver,
            Self::FewConnections,
            Self::EmptyQueue,
            Self::FullDisk,
            Self::NoMemory,
            Self::ClockStep,
            Self::RotateCredentials,
            Self::Shift,
            Self::Scale,
        ];
        all.extend(POINTS.map(|point| Self::Point(point, Action::Kill)));
        all.extend(["uploaded", "extracting", "committed"].map(|point| Self::Point(point, Action::Stop)));
        all.extend(
            ["received", "claimed", "extracting", "deleted"]
                .map(|point| Self::Point(point, Action::Terminate)),
        );
        all.extend(["prepared", "heartbeat", "relaysent"].map(|point| Self::Point(point, Action::Panic)));
        for dependency in Dependency::ALL {
            all.extend(
                [Condition::HalfOpen, Condition::Stalled, Condition::Garbage]
                    .map(|condition| Self::OneLink(dependency, condition)),
            );
            all.extend(
                [Condition::Cut, Condition::Slow(DELAY)]
                    .map(|condition| Self::AllLinks(dependency, condition)),
            );
        }
        // The transaction may be committed when the reply is lost.
        all.push(Self::AllLinks(Dependency::Database, LOST_COMMIT));
        all.extend(HttpFault::ALL.map(Self::Http));
        all
    }

    /// Returns every kind once.
    pub(crate) fn kinds() -> Vec<Self> {
        let mut kinds = Vec::new();
        for injection in Self::all() {
            if !kinds.contains(&injection) {
                kinds.push(injection);
            }
        }
        kinds
    }

    pub(crate) fn weight(self) -> Weight {
        match self {
            Self::CrashDatabase | Self::FailOver | Self::Shift | Self::Scale => Weight::Heavy,
            _ => Weight::Light,
        }
    }
}

/// Fault points of a worker, in the order of the protocol.
const POINTS: [&str; 14] = [
    "received",
    "validated",
    "claimed",
    "prepared",
    "extracting",
    "compressed",
    "beside",
    "heartbeat",
    "uploaded",
    "committed",
    "deleted",
    "relaytaken",
    "relaysent",
    "swept",
];

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = |condition: &Condition| match condition {
            Condition::Slow(_) => "Slow".to_owned(),
            Condition::LoseAnswerTo(text) => format!("LoseAnswerTo({})", String::from_utf8_lossy(text)),
            condition => format!("{condition:?}"),
        };
        match self {
            Self::Point(point, action) => write!(f, "point {point}={}", action.name()),
            Self::OneLink(dependency, state) => {
                write!(f, "one link {} {}", dependency.name(), condition(state))
            }
            Self::AllLinks(dependency, state) => {
                write!(f, "all links {} {}", dependency.name(), condition(state))
            }
            Self::Http(fault) => write!(f, "response {fault:?}"),
            other => write!(f, "{other:?}"),
        }
    }
}
