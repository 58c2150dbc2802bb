//! Faults of single calls, and incidents that affect many calls. Pure.

use std::fmt;

use crate::random::{Random, mix};

/// Number of milliseconds since the start of a run.
pub type Millis = u64;

/// A participant that calls the dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// The client.
    Client,
    /// The worker with this number.
    Worker(u8),
}

impl Actor {
    pub(crate) fn code(self) -> u64 {
        match self {
            Self::Client => 0,
            Self::Worker(worker) => 1 + u64::from(worker),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::Worker(worker) => write!(f, "worker{worker}"),
        }
    }
}

/// A dependency of the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependency {
    /// The repository of the jobs.
    Database,
    /// Both queues.
    Queues,
    /// The store of sources and results.
    Store,
    /// The decoder, which no incident affects.
    Decoder,
}

macro_rules! ops {
    ($($name:ident: $dependency:ident, $weight:literal;)+) => {
        /// A call of a dependency.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)] // The names are those of the methods.
        pub enum Op { $($name,)+ }

        impl Op {
            /// Returns the dependency that performs the call.
            #[must_use]
            pub fn dependency(self) -> Dependency {
                match self { $(Self::$name => Dependency::$dependency,)+ }
            }

            /// Returns the factor by which faults are more probable than for other calls.
            fn weight(self) -> u64 {
                match self { $(Self::$name => $weight,)+ }
            }
        }
    };
}

ops! {
    Submit: Database, 8;
    Claim: Database, 6;
    Renew: Database, 6;
    Finish: Database, 10;
    RetryLater: Database, 6;
    Defer: Database, 4;
    Release: Database, 6;
    Get: Database, 2;
    RecordStages: Database, 1;
    FindResult: Database, 1;
    IsResult: Database, 1;
    Unfinished: Database, 1;
    TakeOutbox: Database, 1;
    OutboxSent: Database, 8;
    OutboxRefused: Database, 1;
    OutboxBacklog: Database, 1;
    Sweep: Database, 1;
    RestoreMark: Database, 1;
    Cancel: Database, 4;
    Retry: Database, 4;
    Hold: Database, 1;
    Send: Queues, 8;
    Receive: Queues, 2;
    SetVisibility: Queues, 4;
    Delete: Queues, 6;
    DeadLetter: Queues, 6;
    Depth: Queues, 1;
    Head: Store, 3;
    Open: Store, 3;
    Read: Store, 2;
    Create: Store, 3;
    Write: Store, 2;
    Complete: Store, 10;
    Abort: Store, 1;
    Remove: Store, 3;
    List: Store, 2;
    Describe: Decoder, 3;
    Decode: Decoder, 8;
}

/// One call: the `number`-th of an operation by an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    /// The caller.
    pub actor: Actor,
    /// The operation.
    pub op: Op,
    /// Number of earlier calls of this operation by this actor.
    pub number: u32,
}

impl Call {
    fn hash(self, seed: u64) -> u64 {
        let place = self.actor.code() << 40 | (self.op as u64) << 32 | u64::from(self.number);
        mix(mix(seed, 0xca11), place)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}#{}", self.actor, self.op, self.number)
    }
}

/// A fault of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The request is lost: an error without an effect.
    LoseRequest,
    /// The answer is lost: an error after the effect.
    LoseAnswer,
    /// The answer is lost, and the effect happens this much later.
    LateEffect(Millis),
    /// The request is slow.
    DelayRequest(Millis),
    /// The answer is slow.
    DelayAnswer(Millis),
    /// The effect happens twice; the caller gets the last answer.
    Repeat,
    /// The worker crashes before the effect.
    CrashBefore(Millis),
    /// The worker crashes after the effect.
    CrashAfter(Millis),
    /// The decoder panics.
    Panic,
}

impl Fault {
    /// Returns the name of the kind, for the coverage.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::LoseRequest => "fault: lost request",
            Self::LoseAnswer => "fault: lost answer",
            Self::LateEffect(_) => "fault: late effect",
            Self::DelayRequest(_) => "fault: delayed request",
            Self::DelayAnswer(_) => "fault: delayed answer",
            Self::Repeat => "fault: repeated effect",
            Self::CrashBefore(_) => "fault: crash before a call",
            Self::CrashAfter(_) => "fault: crash after a call",
            Self::Panic => "fault: panic",
        }
    }

    /// Returns the fault of a call, if it has one. Depends on seed and call alone, so that the fault does not change
    /// when other faults are removed.
    pub(crate) fn of(call: Call, seed: u64, profile: &Profile) -> Option<Self> {
        let hash = call.hash(seed);
        let weight = call.op.weight();
        if hash % 1_000_000 >= profile.call_faults * weight {
            return None;
        }
        let mut random = Random::new(hash);
        // Beyond the lease in one of four cases.
        let delay = match random.chance(250) {
            true => random.between(60_000, 240_000),
            false => random.between(1, 15_000),
        };
        let down = random.between(100, 60_000);
        let is_worker = call.actor != Actor::Client;
        let dependency = call.op.dependency();
        Some(match random.between(0, 15) {
            0..=2 => Self::LoseRequest,
            3..=5 => Self::LoseAnswer,
            6 if dependency != Dependency::Decoder => Self::LateEffect(delay),
            // No other call is made by a task whose panic costs one attempt only.
            8 | 15 if call.op == Op::Decode => Self::Panic,
            7 | 8 => Self::DelayRequest(delay),
            9 | 10 => Self::DelayAnswer(delay),
            // A database executes a request once.
            11 | 12 if !matches!(dependency, Dependency::Database | Dependency::Decoder) => Self::Repeat,
            13 if is_worker => Self::CrashBefore(down),
            14 if is_worker => Self::CrashAfter(down),
            _ => Self::LoseAnswer,
        })
    }

    /// Returns the usual latency of a call.
    pub(crate) fn latency(call: Call, seed: u64, profile: &Profile) -> Millis {
        let hash = mix(call.hash(seed), 0x1a7);
        let limit = match call.op {
            // Attempts last longer than a lease in some runs.
            Op::Decode => profile.work,
            _ => profile.latency,
        };
        // Half of the calls are immediate.
        match hash % 2 {
            0 => 0,
            _ => (hash >> 8) % (limit + 1),
        }
    }
}

/// What a cut connection does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cut {
    /// Requests fail at once.
    Refuse,
    /// Requests wait until the end of the cut.
    Hang,
}

/// An incident that affects many calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Incident {
    /// A worker crashes, and starts again after `down`.
    Crash {
        /// Number of the worker.
        worker: u8,
        /// Time until the restart.
        down: Millis,
    },
    /// A worker is asked to stop, and starts again after `down`.
    Drain {
        /// Number of the worker.
        worker: u8,
        /// Time until the restart.
        down: Millis,
    },
    /// Calls of a dependency fail or hang, for one worker or for all.
    Outage {
        /// Number of the worker; all without a number.
        worker: Option<u8>,
        /// The dependency.
        dependency: Dependency,
        /// What happens to requests.
        cut: Cut,
        /// Duration.
        time: Millis,
    },
    /// All requests and answers of a worker wait.
    Stall {
        /// Number of the worker.
        worker: u8,
        /// Duration.
        time: Millis,
    },
    /// The input queue loses all messages.
    LoseMessages,
    /// The clock of a worker is off by this many seconds from now on.
    Skew {
        /// Number of the worker.
        worker: u8,
        /// Seconds.
        seconds: i64,
    },
    /// A source is replaced.
    Replace {
        /// Number of the source.
        source: u8,
    },
}

impl Incident {
    /// Returns the name of the kind, for the coverage.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Crash { .. } => "incident: crash",
            Self::Drain { .. } => "incident: drain",
            Self::Outage { cut: Cut::Refuse, .. } => "incident: refusing dependency",
            Self::Outage { cut: Cut::Hang, .. } => "incident: hanging dependency",
            Self::Stall { .. } => "incident: stalled worker",
            Self::LoseMessages => "incident: lost messages",
            Self::Skew { .. } => "incident: stepped clock",
            Self::Replace { .. } => "incident: replaced source",
        }
    }

    pub(crate) fn random(random: &mut Random, workers: u8) -> Self {
        let worker = u8::try_from(random.between(0, u64::from(workers) - 1)).unwrap_or(0);
        let down = random.between(100, 120_000);
        match random.between(0, 13) {
            0 | 1 => Self::Crash { worker, down },
            2 | 3 => Self::Drain { worker, down },
            4..=6 => Self::Outage {
                worker: random.chance(700).then_some(worker),
                dependency: random.pick(&[Dependency::Database, Dependency::Queues, Dependency::Store]),
                cut: random.pick(&[Cut::Refuse, Cut::Hang]),
                time: random.between(1_000, 200_000),
            },
            7..=10 => Self::Stall {
                worker,
                time: random.between(10_000, 300_000),
            },
            11 => Self::LoseMessages,
            12 => Self::Skew {
                worker,
                seconds: random.pick(&[-3600, -60, 60, 3600]),
            },
            _ => Self::Replace {
                source: u8::try_from(random.between(0, 1)).unwrap_or(0),
            },
        }
    }
}

/// How often faults happen in a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Profile {
    /// Probability of a fault per call of weight one, in millionths.
    pub(crate) call_faults: u64,
    /// Maximum latency of a call.
    pub(crate) latency: Millis,
    /// Maximum time of the decode of a picture.
    pub(crate) work: Millis,
    /// Number of incidents.
    pub(crate) incidents: u64,
    /// Time from which no fault happens.
    pub(crate) quiet_from: Millis,
}

impl Profile {
    pub(crate) fn random(random: &mut Random) -> Self {
        Self {
            call_faults: random.pick(&[0, 2_000, 8_000, 25_000]),
            latency: random.pick(&[5, 50, 500, 3_000]),
            work: random.pick(&[10, 5_000, 50_000, 120_000]),
            incidents: random.pick(&[0, 1, 3, 6]),
            quiet_from: random.between(180_000, 600_000),
        }
    }
}
