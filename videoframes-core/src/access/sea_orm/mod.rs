//! Tokens in a database.

mod entity;
mod registry;

pub use self::registry::SeaOrmTokens;
