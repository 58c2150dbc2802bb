//! The fleet: which revision of the workers receives messages, and the workers that run.
//!
//! Workers of two revisions can run on one queue. The [`FleetRegistry`] names the active revision, which receives
//! messages, and optionally a canary, which receives during a share of the time. All other revisions stand by. A
//! processor takes part with a [`FleetMember`](crate::processor::FleetMember).

mod change;
mod error;
mod registry;
mod revision;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sea_orm;
mod state;
mod worker;

pub use self::change::FleetChange;
pub use self::error::FleetError;
pub use self::registry::FleetRegistry;
pub use self::revision::{InvalidRevision, InvalidShare, Revision, Share};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::sea_orm::SeaOrmFleet;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use self::sea_orm::admits;
pub use self::state::{Canary, Fleet, Role};
pub use self::worker::{EndedAttempts, FleetWorker, WorkerReport, WorkerState};
