//! The fleet in a database.

mod entity;
mod registry;
mod rows;

pub use self::registry::SeaOrmFleet;
pub(crate) use self::rows::admits;
