//! The first characters of a job identifier.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use uuid::Uuid;

use super::JobId;

/// Number of hexadecimal digits of an identifier.
const DIGITS: usize = 32;

/// The first characters of a [`JobId`], or a whole identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobIdPrefix {
    text: String,
    low: Uuid,
    high: Uuid,
}

impl JobIdPrefix {
    /// Minimum number of characters.
    pub const MIN_CHARS: usize = 8;

    /// Returns the range of the identifiers with this prefix.
    #[must_use]
    pub const fn range(&self) -> RangeInclusive<JobId> {
        JobId(self.low)..=JobId(self.high)
    }

    /// Returns the identifier, if the prefix is a whole one.
    #[must_use]
    pub fn whole(&self) -> Option<JobId> {
        (self.low == self.high).then_some(JobId(self.low))
    }
}

impl From<JobId> for JobIdPrefix {
    fn from(id: JobId) -> Self {
        Self {
            text: id.to_string(),
            low: id.0,
            high: id.0,
        }
    }
}

impl fmt::Display for JobIdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Error for a text that is not a [`JobIdPrefix`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a job id, or at least the first {min} characters of one", min = JobIdPrefix::MIN_CHARS)]
pub struct ParseJobIdPrefixError(String);

impl FromStr for JobIdPrefix {
    type Err = ParseJobIdPrefixError;

    /// Parses the first characters of an identifier, with or without its hyphens.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = || ParseJobIdPrefixError(text.chars().take(80).collect());
        if let Ok(id) = text.parse::<JobId>() {
            return Ok(id.into());
        }
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        if !(Self::MIN_CHARS..=DIGITS).contains(&digits.len())
            || !digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        {
            return Err(fail());
        }
        let rest = DIGITS - digits.len();
        let parse = |end: &str| Uuid::try_parse(&format!("{digits}{}", end.repeat(rest))).map_err(|_| fail());
        let (low, high) = (parse("0")?, parse("f")?);
        let lower = text.to_ascii_lowercase();
        let hyphenated = low.hyphenated().to_string();
        if lower.contains('-') && !hyphenated.starts_with(&lower) {
            return Err(fail());
        }
        Ok(Self {
            text: lower,
            low,
            high,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_the_range_of_the_identifiers_that_start_with_it() {
        for (text, low, high) in [
            (
                "01a20df4",
                "01a20df4-0000-0000-0000-000000000000",
                "01a20df4-ffff-ffff-ffff-ffffffffffff",
            ),
            (
                "01A20DF4-7b",
                "01a20df4-7b00-0000-0000-000000000000",
                "01a20df4-7bff-ffff-ffff-ffffffffffff",
            ),
            ("01a20df47bcf-", "", ""),
            (
                "01a20df4-",
                "01a20df4-0000-0000-0000-000000000000",
                "01a20df4-ffff-ffff-ffff-ffffffffffff",
            ),
            (
                "01a20df47bcf7",
                "01a20df4-7bcf-7000-0000-000000000000",
                "01a20df4-7bcf-7fff-ffff-ffffffffffff",
            ),
        ] {
            let parsed = text.parse::<JobIdPrefix>();
            match low {
                "" => assert!(parsed.is_err(), "{text}"),
                _ => assert_eq!(
                    parsed.unwrap().range(),
                    low.parse().unwrap()..=high.parse().unwrap(),
                    "{text}"
                ),
            }
        }
    }

    #[test]
    fn a_whole_identifier_is_a_prefix() {
        let id = JobId::random();
        for text in [id.to_string(), id.uuid().simple().to_string()] {
            assert_eq!(text.parse::<JobIdPrefix>().unwrap().whole(), Some(id), "{text}");
        }
        assert_eq!("01a20df4".parse::<JobIdPrefix>().unwrap().whole(), None);
    }

    #[test]
    fn other_texts_are_rejected() {
        let long = "0".repeat(33);
        for text in [
            "",
            "7",
            "01a20df",
            "01a2-0df4",
            "01a20dfg",
            "01a20df4--",
            "-01a20df4",
            "%1a20df4",
            &long,
        ] {
            assert!(text.parse::<JobIdPrefix>().is_err(), "{text}");
        }
    }
}
