//! The secret of a token, and its hash.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::digest;

/// Start of every secret, by which scanners of leaked secrets find it.
const PREFIX: &str = "vft_";
/// Number of random bytes.
const BYTES: usize = 32;

/// The secret of a token: `vft_` and 43 characters of 256 random bits. Debug output redacts the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(String);

/// Error for a text that cannot be the secret of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token starts with 'vft_' and has 43 further characters")]
pub struct InvalidSecret;

impl TokenSecret {
    /// Returns a new secret from the random number generator of the system.
    ///
    /// # Errors
    /// Returns the error of the generator.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// Returns the secret, to be shown to its holder once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns the hash of the secret.
    ///
    /// A fast hash suffices: 256 random bits cannot be guessed.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(digest::sha256(self.0.as_bytes()))
    }
}

impl FromStr for TokenSecret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSecret)?;
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(encoded);
        match decoded.is_ok_and(|bytes| bytes.len() == BYTES) {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidSecret),
        }
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(redacted)")
    }
}

/// SHA-256 of a secret, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenHash(String);

impl TokenHash {
    /// Returns the hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_random_and_round_trip() {
        let (one, other) = (TokenSecret::generate().unwrap(), TokenSecret::generate().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.reveal().len(), 47);
        assert_eq!(one.reveal().parse(), Ok(one.clone()));
        assert_ne!(one.hash(), other.hash());
        assert!(!format!("{one:?}").contains(&one.reveal()[4..]));
        assert!(!one.hash().as_str().contains(&one.reveal()[4..]));
    }

    #[test]
    fn other_texts_are_not_secrets() {
        let good = TokenSecret::generate().unwrap();
        let good = good.reveal();
        let long = format!("{good}A");
        for text in ["", "vft_", &good[..46], &long, &good[4..], "vft_ü"] {
            assert_eq!(text.parse::<TokenSecret>(), Err(InvalidSecret), "{text:?}");
        }
    }
}
