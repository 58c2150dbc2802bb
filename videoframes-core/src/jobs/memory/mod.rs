//! Jobs in memory, for tests and small embedded uses.

mod outbox;
mod parking;
mod rebuild;
mod repo;
mod restore;
mod row;
mod state;
mod stats;
mod submit;
mod sweep;

pub use self::repo::MemoryJobRepo;
