//! Storage of tokens.

use async_trait::async_trait;

use super::{AccessToken, NewToken, TokenError, TokenHash, TokenName};

/// A store of access tokens.
///
/// Callers may rely on every change to be atomic, and on times of one clock.
#[async_trait]
pub trait TokenRegistry: Send + Sync + 'static {
    /// Stores a token.
    ///
    /// # Errors
    /// Returns [`TokenError::AlreadyExists`] if another token has the name, expired or not.
    async fn create(&self, token: &NewToken) -> Result<AccessToken, TokenError>;

    /// Returns the token with this hash, unless it has expired. Records the use of the token, to the minute.
    async fn verify(&self, hash: &TokenHash) -> Result<Option<AccessToken>, TokenError>;

    /// Returns all tokens with the expired ones, by name.
    async fn tokens(&self) -> Result<Vec<AccessToken>, TokenError>;

    /// Deletes a token; returns whether the token existed.
    async fn revoke(&self, name: &TokenName) -> Result<bool, TokenError>;
}
