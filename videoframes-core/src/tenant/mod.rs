//! Tenants and priorities of jobs, and the order in which queues serve them.

mod limit;
mod name;
mod policy;
mod priority;
mod rank;

pub(crate) use limit::free_places;
pub use name::{InvalidTenant, Tenant};
pub use policy::{TenantTerms, Tenants};
pub use priority::{Priority, UnknownPriority};
pub use rank::{Share, Weight};
pub(crate) use rank::{next_rank, virtual_time};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use rank::{ranks, redelivered};
