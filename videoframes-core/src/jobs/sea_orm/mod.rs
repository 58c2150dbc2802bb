//! Jobs in a database.
//!
//! Every change is one short transaction, with a guard on the row. Where the decision needs more than a
//! guard, the transaction locks the row, applies the pure rules of `lease.rs`, and makes the guarded change.

mod attempts;
mod call_error;
mod claim;
mod entity;
mod finish;
mod lease;
mod list;
mod operator;
mod outbox;
mod parking;
mod positions;
mod read;
mod rebuild;
mod repo;
mod restore;
mod row;
mod stats;
mod submit;
mod sweep;

pub use self::repo::SeaOrmJobRepo;
