//! Values of fields, and the error for invalid values.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Number;

use crate::units::{Rational, approximate_seconds, parse_time};

/// Error for invalid options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidOptions(pub(super) String);

pub(super) fn invalid(field: &str, error: impl std::fmt::Display) -> InvalidOptions {
    InvalidOptions(format!("{field}: {error}"))
}

/// Checks a maximum width or height in pixels.
pub(super) fn side(field: &str, side: Option<u32>) -> Result<Option<u32>, InvalidOptions> {
    match side {
        Some(side) if !(1..=65_535).contains(&side) => {
            Err(invalid(field, format!("must be from 1 to 65535, not {side}")))
        }
        side => Ok(side),
    }
}

/// A number or a string, the two ways in which clients write times and rates.
#[derive(Serialize, Clone, PartialEq)]
#[serde(transparent)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a number, or a text such as \"30000/1001\" or \"1m30s\""
        )]
        enum Either {
            Number(Number),
            Text(String),
        }
        Ok(Self(match Either::deserialize(deserializer)? {
            Either::Number(number) => number.to_string(),
            Either::Text(text) => text,
        }))
    }
}

impl Text {
    pub(super) fn read<T: FromStr<Err: std::fmt::Display>>(&self, field: &str) -> Result<T, InvalidOptions> {
        self.0.parse().map_err(|e| invalid(field, e))
    }

    pub(super) fn length(&self, field: &str) -> Result<Rational, InvalidOptions> {
        let length = parse_time(&self.0).map_err(|e| invalid(field, e))?;
        if approximate_seconds(length) > 0.0 {
            Ok(length)
        } else {
            Err(invalid(field, "must be greater than zero"))
        }
    }
}

#[derive(Serialize, PartialEq)]
pub(super) struct True(pub(super) bool);

impl<'de> Deserialize<'de> for True {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match bool::deserialize(deserializer)? {
            true => Ok(Self(true)),
            false => Err(de::Error::custom("the field must be true or absent")),
        }
    }
}
