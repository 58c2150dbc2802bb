//! Parsers for option values. The fuzz target `configuration` includes this file.

use std::num::NonZeroU64;
use std::time::Duration;

use videoframes_core::units::{Rational, approximate_duration, parse_size, parse_time};

/// Parses a duration above 0.
///
/// # Errors
/// Fails with a message for any other text.
pub fn positive_time(text: &str) -> Result<Rational, String> {
    let time = parse_time(text).map_err(|e| e.to_string())?;
    if time > Rational::from_integer(0) {
        Ok(time)
    } else {
        Err("must be longer than 0".to_owned())
    }
}

/// Parses a duration of wall-clock time above 0.
///
/// # Errors
/// Fails with a message for any other text.
pub fn wall_time(text: &str) -> Result<Duration, String> {
    approximate_duration(positive_time(text)?).ok_or_else(|| "must be longer than 0".to_owned())
}

/// Parses a number of bytes above 0.
///
/// # Errors
/// Fails with a message for any other text.
pub fn positive_size(text: &str) -> Result<NonZeroU64, String> {
    NonZeroU64::new(parse_size(text).map_err(|e| e.to_string())?)
        .ok_or_else(|| "must be more than 0".to_owned())
}
