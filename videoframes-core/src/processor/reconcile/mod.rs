//! Brings a restored database into line with the result store, and lets workers continue.
//!
//! A database that was restored to an earlier moment lacks the rows and changes of the time since. The archives
//! of that time, with their metadata, and the messages of that time still exist. Workers do nothing until the
//! restore is accepted, so a reconciliation needs no stopped workers. Every step is idempotent: after a crash, the
//! reconciliation is repeated.

mod decide;
mod options;
mod pass;
mod report;
mod run;

pub use self::options::ReconcileOptions;
pub use self::report::{Accepted, ReconcileError, ReconcileProblem, ReconcileReport};
pub use self::run::Reconciler;
