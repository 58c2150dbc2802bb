//! The subjects of circuits: operations on dependencies that may fail independently.

use super::monitor::Dependency;

/// The subject of a circuit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// Receiving from the input queue.
    Queue,
    /// Submitting and claiming jobs.
    Database,
    /// Taking messages from the outbox.
    Outbox,
    /// One kind of operation on one store.
    Store(StoreUse),
}

impl Subject {
    /// Returns the name of the subject in metrics: `queue`, `database`, `outbox` or `store`.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Database => "database",
            Self::Outbox => "outbox",
            Self::Store(_) => "store",
        }
    }

    /// Returns the dependency that is unavailable if the circuit is open.
    pub(super) fn dependency(&self) -> Dependency {
        match self {
            Self::Queue => Dependency::Queue,
            Self::Database | Self::Outbox => Dependency::Database,
            Self::Store(_) => Dependency::Store,
        }
    }
}

/// One kind of operation on one store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StoreUse {
    /// Bucket of the sources; `None` for the result store.
    pub(super) bucket: Option<String>,
    pub(super) operation: Operation,
}

/// Operations that a store may deny independently of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Read,
    List,
    Write,
}

impl Operation {
    pub(super) const ALL: [Self; 3] = [Self::Read, Self::List, Self::Write];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Write => "write",
        }
    }
}

impl StoreUse {
    pub(super) fn of_results(operation: Operation) -> Self {
        Self {
            bucket: None,
            operation,
        }
    }
}
