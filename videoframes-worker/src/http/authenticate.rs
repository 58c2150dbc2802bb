//! Authentication by access tokens.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue};
use tokio::sync::Mutex;
use videoframes_core::access::{AccessToken, SeaOrmTokens, TokenHash, TokenRegistry, TokenSecret};

use super::identity::{Identity, Mode, Peer};
use super::problem::Problem;
use super::rate::RateLimit;
use super::request::presented_secret;

/// Time for which a verified token is not verified again. A revoked token may be valid for this long.
const VERIFIED: Duration = Duration::from_secs(5);
/// Maximum number of remembered tokens.
const REMEMBERED: usize = 1000;
/// Maximum number of verifications of unknown tokens per second and client.
const UNKNOWN_PER_SECOND: u32 = 5;
/// Name of the cookie of a session, without and with the prefix that requires TLS.
const COOKIES: [&str; 2] = ["vf_session", "__Host-vf_session"];

/// Finds the sender of a request.
#[derive(Debug)]
pub(super) enum Authenticator {
    /// Every request is allowed.
    Open,
    Tokens(TokenAuthenticator),
}

impl Authenticator {
    pub(super) fn mode(&self) -> Mode {
        match self {
            Self::Open => Mode::Open,
            Self::Tokens(_) => Mode::Tokens,
        }
    }

    /// Returns the sender of a request with these headers.
    pub(super) async fn identify(&self, headers: &HeaderMap, peer: Peer) -> Result<Identity, Problem> {
        let tokens = match self {
            Self::Open => return Ok(Identity::open()),
            Self::Tokens(tokens) => tokens,
        };
        let presented = presented_secret(headers, tokens.cookie).ok_or_else(|| {
            Problem::unauthorized("an access token is required: Authorization: Bearer vft_…")
        })?;
        tokens.verify(presented, peer).await
    }

    /// Returns the holder of a secret, if the port uses tokens.
    pub(super) async fn verify(&self, secret: &str, peer: Peer) -> Result<Identity, Problem> {
        match self {
            Self::Open => Ok(Identity::open()),
            Self::Tokens(tokens) => tokens.verify(secret, peer).await,
        }
    }
}

/// Verifies tokens against the registry.
#[derive(Debug)]
pub(super) struct TokenAuthenticator {
    registry: SeaOrmTokens,
    /// Name of the cookie of a session.
    cookie: &'static str,
    /// Tokens that were valid, with the time of their last verification. One query at a time verifies a token.
    known: Mutex<HashMap<TokenHash, (AccessToken, Instant)>>,
    /// Limit for tokens that were never valid: each costs a query.
    unknown: RateLimit,
}

impl TokenAuthenticator {
    pub(super) fn new(registry: SeaOrmTokens, is_secure: bool) -> Self {
        Self {
            registry,
            cookie: COOKIES[usize::from(is_secure)],
            known: Mutex::default(),
            unknown: RateLimit::new(UNKNOWN_PER_SECOND.try_into().unwrap_or(std::num::NonZeroU32::MIN)),
        }
    }

    async fn verify(&self, secret: &str, peer: Peer) -> Result<Identity, Problem> {
        let invalid = || Problem::unauthorized("the access token is unknown, revoked or expired");
        let secret: TokenSecret = secret.parse().map_err(|_| invalid())?;
        let hash = secret.hash();
        let mut known = self.known.lock().await;
        match known.get(&hash) {
            Some((token, at)) if at.elapsed() < VERIFIED => return Ok(token.clone().into()),
            Some(_) => {}
            None => self.unknown.check(peer)?,
        }
        let Some(token) = self.registry.verify(&hash).await? else {
            known.remove(&hash);
            return Err(invalid());
        };
        if known.len() >= REMEMBERED && !known.contains_key(&hash) {
            known.clear();
        }
        known.insert(hash, (token.clone(), Instant::now()));
        Ok(token.into())
    }
}

impl From<AccessToken> for Identity {
    fn from(token: AccessToken) -> Self {
        Self {
            name: Some(token.name),
            scopes: token.scopes,
            expires_at: token.expires_at,
            tenant: token.tenant,
        }
    }
}

/// Returns the cookie of a session: inaccessible to scripts, and never sent by other sites.
///
/// The value is empty at the end of a session. `is_secure` tells whether clients connect by TLS.
pub(super) fn cookie(secret: Option<&TokenSecret>, is_secure: bool) -> Option<HeaderValue> {
    let name = COOKIES[usize::from(is_secure)];
    let secure = if is_secure { "; Secure" } else { "" };
    let (value, age) = match secret {
        Some(secret) => (secret.reveal(), ""),
        None => ("", "; Max-Age=0"),
    };
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
    let mut value = HeaderValue::from_str(&cookie).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_inaccessible_to_scripts_and_other_sites() {
        let secret = TokenSecret::generate().unwrap();
        let plain = cookie(Some(&secret), false).unwrap();
        let plain = plain.to_str().unwrap();
        assert!(plain.contains("; HttpOnly; SameSite=Strict"), "{plain}");
        assert!(!plain.contains("Secure"), "{plain}");
        let secure = cookie(Some(&secret), true).unwrap();
        let secure = secure.to_str().unwrap();
        assert!(secure.starts_with("__Host-vf_session=vft_"), "{secure}");
        assert!(
            secure.contains("; Path=/;") && secure.contains("; Secure"),
            "{secure}"
        );
        let ended = cookie(None, true).unwrap();
        assert!(ended.to_str().unwrap().ends_with("Max-Age=0"), "{ended:?}");
    }
}
