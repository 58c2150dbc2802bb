//! Reading and parsing of environment variables. The fuzz target `configuration` includes this file.

use std::collections::BTreeMap;
use std::time::Duration;

use videoframes_core::units::{approximate_duration, parse_size, parse_time};

use super::variables::VARIABLES;

/// The environment variables, and the errors found in them.
pub(crate) struct Reader {
    values: BTreeMap<String, String>,
    errors: Vec<String>,
}

impl Reader {
    pub(crate) fn from_environment() -> Self {
        let mut read = Self::new(BTreeMap::new());
        for (name, value) in std::env::vars_os() {
            // All variables of the worker have UTF-8 names.
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => drop(read.values.insert(name, value)),
                // If ignored, the worker would silently use another folder or server.
                Err(_) if VARIABLES.iter().any(|(known, ..)| *known == name) => {
                    read.record(format!("{name}: is not UTF-8"));
                }
                Err(_) => {}
            }
        }
        read
    }

    /// Parses the value of an option; records an error.
    pub(crate) fn flag<T>(
        &mut self,
        name: &str,
        value: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(value) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.errors.push(format!("{name}: '{value}' is not {expected}"));
                None
            }
        }
    }

    pub(super) fn new(values: BTreeMap<String, String>) -> Self {
        Self {
            values,
            errors: Vec::new(),
        }
    }

    /// Records another error.
    pub(super) fn record(&mut self, error: impl Into<String>) {
        self.errors.push(error.into());
    }

    /// Returns the recorded errors.
    pub(crate) fn into_errors(self) -> Vec<String> {
        self.errors
    }

    pub(super) fn is_fine(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.is_empty())
    }

    pub(crate) fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = self.values.get(name).filter(|value| !value.is_empty())?;
        match parse(value) {
            Ok(value) => Some(value),
            Err(expected) => {
                // The URL of a database contains a password.
                let shown = if ["DATABASE_URL", "VF_DATABASE_DIRECT_URL"].contains(&name) {
                    "[redacted]"
                } else {
                    value
                };
                self.errors.push(format!("{name}: '{shown}' is not {expected}"));
                None
            }
        }
    }

    pub(crate) fn get<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        if let Some(value) = self.optional(name, &parse) {
            return value;
        }
        let default = VARIABLES
            .iter()
            .find(|(known, ..)| *known == name)
            .map(|(_, default, _)| *default);
        match parse(default.unwrap_or_default()) {
            Ok(value) => value,
            Err(expected) => unreachable!("the default of {name} is not {expected}"),
        }
    }
}

pub(crate) fn count<T: std::str::FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| *number >= T::from(1));
    number.ok_or_else(|| "a whole number of at least 1".to_owned())
}

pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let time = parse_time(text).ok().and_then(approximate_duration);
    time.ok_or_else(|| "a time such as 90s, 250ms or 1h30m".to_owned())
}

/// Parses a duration above 0.
pub(super) fn positive_time(text: &str) -> Result<Duration, String> {
    let time = time(text).ok().filter(|time| !time.is_zero());
    time.ok_or_else(|| "a time above 0, such as 90s or 1h30m".to_owned())
}

/// Parses a size above 0.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let size = parse_size(text).ok().filter(|size| *size > 0);
    size.ok_or_else(|| "a size such as 500MB or 2GiB".to_owned())
}

pub(crate) fn on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" | "1" => Ok(true),
        "off" | "false" | "0" => Ok(false),
        _ => Err("on or off".to_owned()),
    }
}
