//! The configuration of logs, read before everything else, so that later errors are logged.

use videoframes_console::options::VerboseArgs;
use videoframes_console::{Failure, exit};

use super::values::Reader;
use crate::logs::LogFormat;

/// Level and format of logs.
#[derive(Debug, Clone)]
pub(crate) struct LogConfig {
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

impl LogConfig {
    /// Reads the environment variables of logs; `-v` takes precedence.
    pub(crate) fn read(verbose: VerboseArgs) -> Result<Self, Failure> {
        Self::from_reader(verbose, Reader::from_environment()).map_err(|errors| {
            Failure::all(exit::USAGE, errors).hint("'vf-worker run --help' lists the environment variables")
        })
    }

    fn from_reader(verbose: VerboseArgs, mut read: Reader) -> Result<Self, Vec<String>> {
        let format = |text: &str| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("text or json".to_owned()),
        };
        let filter = |text: &str| match text.parse::<tracing_subscriber::filter::Targets>() {
            Ok(_) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err("a level, or a filter such as videoframes_core=debug".to_owned()),
        };
        let config = Self {
            filter: match verbose.level() {
                Some(level) => level.to_string(),
                None => read.get("VF_LOG", filter),
            },
            format: read.get("VF_LOG_FORMAT", format),
        };
        let errors = read.into_errors();
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(errors)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn of(verbose: u8, values: &[(&str, &str)]) -> Result<LogConfig, Vec<String>> {
        let values = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        LogConfig::from_reader(
            VerboseArgs { verbose },
            Reader::new(values.collect::<BTreeMap<_, _>>()),
        )
    }

    #[test]
    fn the_option_takes_precedence_over_the_variable() {
        let values = [
            ("VF_LOG", "warn,videoframes_core=debug"),
            ("VF_LOG_FORMAT", "json"),
        ];
        let config = of(0, &values).unwrap();
        assert_eq!(
            (config.filter.as_str(), config.format),
            (values[0].1, LogFormat::Json)
        );
        assert_eq!(of(1, &values).unwrap().filter, "debug");
        let config = of(0, &[]).unwrap();
        assert_eq!((config.filter.as_str(), config.format), ("info", LogFormat::Text));
    }

    #[test]
    fn invalid_values_are_reported_together() {
        let errors = of(0, &[("VF_LOG", "core=loud"), ("VF_LOG_FORMAT", "xml")]).unwrap_err();
        assert!(errors.len() == 2 && errors[0].contains("VF_LOG:"), "{errors:?}");
    }
}
