//! Access tokens of HTTP clients.
//!
//! A token is a random secret, which only its holder knows: the [`TokenRegistry`] stores a hash. The scopes of a token
//! decide which requests its holder may send.

mod error;
mod registry;
mod scope;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sea_orm;
mod secret;
mod token;

pub use self::error::TokenError;
pub use self::registry::TokenRegistry;
pub use self::scope::{InvalidScope, Scope, Scopes};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::sea_orm::SeaOrmTokens;
pub use self::secret::{InvalidSecret, TokenHash, TokenSecret};
pub use self::token::{AccessToken, InvalidTokenName, NewToken, TokenName};
