//! Configuration: environment and flags, read once, all that is wrong told at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use videoframes_core::limits::Limits;
use videoframes_core::processor::{ProcessorConfig, RetryPolicy, Timing};
use videoframes_core::units::{approximate_seconds, parse_time};

use crate::args::Place;
use crate::exit::{self, Failure};

/// Everything that can be set by the environment: name, default, meaning.
const VARIABLES: &[(&str, &str, &str)] = &[
    (
        "DATABASE_URL",
        "",
        "postgres://… or sqlite:…, where --local is not given",
    ),
    ("VF_STORAGE", "", "file:FOLDER, where --local is not given"),
    (
        "VF_DATABASE_CONNECTIONS",
        "8",
        "connections to the database at once",
    ),
    ("VF_MIGRATE", "on", "bring the tables up at the start: on or off"),
    (
        "VF_INPUT_QUEUE",
        "input",
        "name of the queue that messages come from",
    ),
    (
        "VF_NOTIFIER_QUEUE",
        "notifier",
        "name of the queue that clients are told by",
    ),
    (
        "VF_MAX_RECEIVES",
        "50",
        "receipts after which a message is a dead letter",
    ),
    ("VF_CONCURRENCY", "1", "jobs at once"),
    ("VF_JOBS_PER_MINUTE", "", "most jobs begun in a minute"),
    (
        "VF_BYTES_PER_SECOND",
        "",
        "most bytes of videos a second, on the average",
    ),
    ("VF_HEARTBEAT", "20s", "how often a lease is renewed"),
    ("VF_LEASE", "90s", "how long a lease lasts"),
    (
        "VF_VISIBILITY_MARGIN",
        "10s",
        "how much longer a message stays hidden",
    ),
    (
        "VF_FENCE_MARGIN",
        "15s",
        "how long before the lease's end a cut-off worker stops itself",
    ),
    ("VF_LONG_POLL", "1s", "how long a receive waits for a message"),
    ("VF_RELAY_INTERVAL", "1s", "how often the outbox is looked at"),
    (
        "VF_RELAY_HOLD",
        "30s",
        "how long a message of the outbox is left to the worker that took it",
    ),
    (
        "VF_SWEEP_INTERVAL",
        "30s",
        "how often abandoned jobs are looked for",
    ),
    (
        "VF_OVERDUE",
        "2m",
        "how long a job may be due before it is enqueued again",
    ),
    (
        "VF_RETENTION",
        "720h",
        "how long finished jobs and their results are kept",
    ),
    (
        "VF_ORPHAN_AGE",
        "24h",
        "how old a result without a job has to be before it is removed",
    ),
    ("VF_GRACE", "30s", "how long a stop may take"),
    ("VF_ATTEMPTS", "5", "attempts at a job"),
    (
        "VF_RETRY_FIRST",
        "10s",
        "pause after the first failed attempt; it doubles",
    ),
    ("VF_RETRY_LONGEST", "15m", "longest pause"),
    (
        "VF_CRASHES",
        "3",
        "workers of one job that may vanish before it fails",
    ),
    (
        "VF_REUSE",
        "on",
        "take over the result of an identical earlier job: on or off",
    ),
    ("VF_DEADLINE", "24h", "longest time from submission to result"),
    ("VF_ATTEMPT_TIMEOUT", "6h", "longest time of one attempt"),
    (
        "VF_STALL_TIMEOUT",
        "60s",
        "how long ffmpeg may give no sign of life",
    ),
    ("VF_MAX_INPUT", "64GiB", "largest video"),
    ("VF_MAX_OUTPUT", "64GiB", "largest archive"),
    ("VF_MAX_FRAMES", "1000000", "most pictures of a job"),
    ("VF_MAX_PIXELS", "134217728", "largest picture"),
    ("VF_MAX_DURATION", "24h", "longest video"),
    (
        "VF_SCRATCH",
        "",
        "folder for temporary files [default: DIR/scratch, else the system's]",
    ),
    ("VF_SCRATCH_QUOTA", "100GiB", "most bytes in it"),
    ("VF_FFMPEG", "", "the ffmpeg to run"),
    (
        "VF_LOG",
        "info",
        "error, warn, info, debug, or a filter such as videoframes_core=debug",
    ),
    ("VF_LOG_FORMAT", "text", "text or json"),
];

/// The variables, for `--help`.
pub(crate) fn help() -> String {
    let mut text = "Environment (a flag goes before it):".to_owned();
    for (name, default, meaning) in VARIABLES {
        let default = match *default {
            "" => String::new(),
            default => format!(" [{default}]"),
        };
        text += &format!("\n  {name:<24} {meaning}{default}");
    }
    text
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// How this worker works.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) database_url: String,
    pub(crate) connections: u32,
    pub(crate) migrate: bool,
    pub(crate) objects: PathBuf,
    pub(crate) scratch: PathBuf,
    pub(crate) scratch_quota: u64,
    pub(crate) input_queue: String,
    pub(crate) notifier_queue: String,
    pub(crate) max_receives: u32,
    pub(crate) ffmpeg: Option<PathBuf>,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    pub(crate) processor: ProcessorConfig,
}

impl Config {
    /// Reads flags and environment.
    pub(crate) fn read(place: &Place) -> Result<Self, Failure> {
        Self::of(place, environment()).map_err(|wrong| {
            Failure::all(exit::USAGE, wrong).hint("'vf-worker run --help' lists what can be set")
        })
    }

    fn of(place: &Place, values: BTreeMap<String, String>) -> Result<Self, Vec<String>> {
        let mut read = Reader {
            values,
            wrong: Vec::new(),
        };
        let (database_url, objects, scratch) = places(place, &mut read);
        let format = |text: &str| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err("text or json".to_owned()),
        };
        let name = |text: &str| match text.is_empty() || text.len() > 80 {
            false => Ok(text.to_owned()),
            true => Err("a name of 1 to 80 bytes".to_owned()),
        };
        let config = Self {
            database_url,
            connections: read.get("VF_DATABASE_CONNECTIONS", count),
            migrate: read.get("VF_MIGRATE", on_off),
            objects,
            scratch,
            scratch_quota: read.get("VF_SCRATCH_QUOTA", size),
            input_queue: read.get("VF_INPUT_QUEUE", name),
            notifier_queue: read.get("VF_NOTIFIER_QUEUE", name),
            max_receives: read.get("VF_MAX_RECEIVES", count),
            ffmpeg: read.optional("VF_FFMPEG", |text| Ok(PathBuf::from(text))),
            log: match place.verbose {
                true => "debug".to_owned(),
                false => read.get("VF_LOG", name),
            },
            log_format: read.get("VF_LOG_FORMAT", format),
            processor: ProcessorConfig {
                concurrency: read.get("VF_CONCURRENCY", count::<usize>),
                timing: timing(&mut read),
                retry: RetryPolicy {
                    attempts: read.get("VF_ATTEMPTS", count),
                    first: read.get("VF_RETRY_FIRST", time),
                    longest: read.get("VF_RETRY_LONGEST", time),
                },
                crashes: read.get("VF_CRASHES", count),
                limits: limits(&mut read),
                deadline: read.get("VF_DEADLINE", time),
                reuse: read.get("VF_REUSE", on_off),
                jobs_per_minute: read.optional("VF_JOBS_PER_MINUTE", count),
                bytes_per_second: read.optional("VF_BYTES_PER_SECOND", size),
                ..ProcessorConfig::default()
            },
        };
        if config.input_queue == config.notifier_queue {
            read.wrong
                .push("VF_INPUT_QUEUE and VF_NOTIFIER_QUEUE have to be two queues".to_owned());
        }
        if read.wrong.is_empty()
            && let Err(wrong) = config.processor.timing.check()
        {
            read.wrong = wrong;
        }
        if read.wrong.is_empty() {
            Ok(config)
        } else {
            Err(read.wrong)
        }
    }
}

/// Database, objects and scratch.
fn places(place: &Place, read: &mut Reader) -> (String, PathBuf, PathBuf) {
    let scratch = read.optional("VF_SCRATCH", |text| Ok(PathBuf::from(text)));
    if let Some(folder) = &place.local {
        let url = format!("sqlite:{}", folder.join("videoframes.sqlite").display());
        let scratch = scratch.unwrap_or_else(|| folder.join("scratch"));
        return (url, folder.join("objects"), scratch);
    }
    let database = read.optional("DATABASE_URL", |text| {
        let known = ["postgres://", "postgresql://", "sqlite:"];
        match known.iter().any(|scheme| text.starts_with(scheme)) {
            true => Ok(text.to_owned()),
            false => Err("a postgres:// or sqlite: address".to_owned()),
        }
    });
    let objects = read.optional("VF_STORAGE", |text| match text.strip_prefix("file:") {
        Some(folder) if !folder.is_empty() => Ok(PathBuf::from(folder)),
        _ => Err("file: and a folder".to_owned()),
    });
    let set = ["DATABASE_URL", "VF_STORAGE"].map(|name| read.is_set(name));
    let missing = match set {
        [false, false] => Some("DATABASE_URL and VF_STORAGE"),
        [false, true] => Some("DATABASE_URL, beside VF_STORAGE"),
        [true, false] => Some("VF_STORAGE, beside DATABASE_URL"),
        [true, true] => None,
    };
    if let Some(missing) = missing {
        read.wrong.push(format!(
            "nothing says where to work: give --local DIR, or set {missing}"
        ));
    }
    let scratch = scratch.unwrap_or_else(|| std::env::temp_dir().join("vf-worker"));
    (database.unwrap_or_default(), objects.unwrap_or_default(), scratch)
}

fn timing(read: &mut Reader) -> Timing {
    let grace = read.get("VF_GRACE", time);
    Timing {
        heartbeat: read.get("VF_HEARTBEAT", time),
        lease: read.get("VF_LEASE", time),
        visibility_margin: read.get("VF_VISIBILITY_MARGIN", time),
        fence_margin: read.get("VF_FENCE_MARGIN", time),
        long_poll: read.get("VF_LONG_POLL", time),
        relay: read.get("VF_RELAY_INTERVAL", time),
        relay_hold: read.get("VF_RELAY_HOLD", time),
        sweep: read.get("VF_SWEEP_INTERVAL", time),
        overdue: read.get("VF_OVERDUE", time),
        retention: read.get("VF_RETENTION", time),
        orphan: read.get("VF_ORPHAN_AGE", time),
        // What is left is for killing, aborting and handing back.
        drain: grace.saturating_sub(Duration::from_secs(15).min(grace / 2)),
    }
}

fn limits(read: &mut Reader) -> Limits {
    Limits {
        input_bytes: read.get("VF_MAX_INPUT", size),
        output_bytes: read.get("VF_MAX_OUTPUT", size),
        frames: read.get("VF_MAX_FRAMES", count),
        pixels: read.get("VF_MAX_PIXELS", count),
        duration: read.get("VF_MAX_DURATION", time),
        wall_time: read.get("VF_ATTEMPT_TIMEOUT", time),
        stall: read.get("VF_STALL_TIMEOUT", time),
    }
}

fn environment() -> BTreeMap<String, String> {
    let environment = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.to_string_lossy().into_owned()))
    });
    environment.collect()
}

/// The environment, and what was found wrong with it.
pub(crate) struct Reader {
    values: BTreeMap<String, String>,
    wrong: Vec<String>,
}

impl Reader {
    pub(crate) fn of_environment() -> Self {
        Self {
            values: environment(),
            wrong: Vec::new(),
        }
    }

    /// All that was found wrong.
    pub(crate) fn into_wrong(self) -> Vec<String> {
        self.wrong
    }

    /// A value of the command line.
    pub(crate) fn flag<T>(
        &mut self,
        name: &str,
        value: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(value) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.wrong.push(format!("{name}: '{value}' is not {expected}"));
                None
            }
        }
    }

    fn is_set(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| !value.is_empty())
    }

    pub(crate) fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = self.values.get(name).filter(|value| !value.is_empty())?;
        match parse(value) {
            Ok(value) => Some(value),
            Err(expected) => {
                // The address of a database holds a password.
                let shown = if name == "DATABASE_URL" {
                    "its value"
                } else {
                    value
                };
                self.wrong.push(format!("{name}: '{shown}' is not {expected}"));
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
    let seconds = parse_time(text).map_err(|_| "a time such as 90s, 250ms or 1h30m".to_owned())?;
    Duration::try_from_secs_f64(approximate_seconds(seconds).min(1e9)).map_err(|e| e.to_string())
}

pub(crate) fn on_off(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" | "1" => Ok(true),
        "off" | "false" | "0" => Ok(false),
        _ => Err("on or off".to_owned()),
    }
}

/// `1500`, `25MB`, `2GiB`.
fn size(text: &str) -> Result<u64, String> {
    let expected = || "a size such as 500MB or 2GiB".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(expected()),
    };
    let number = text[..digits].parse::<u64>().ok().filter(|number| *number > 0);
    number
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(expected)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(local: Option<&str>, values: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let place = Place {
            local: local.map(PathBuf::from),
            verbose: false,
        };
        let values = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::of(&place, values.collect())
    }

    #[test]
    fn a_folder_is_all_that_is_needed() {
        let config = of(Some("data"), &[]).unwrap();
        assert_eq!(config.database_url, "sqlite:data/videoframes.sqlite");
        assert_eq!(config.objects, PathBuf::from("data/objects"));
        assert_eq!(config.processor.timing.drain, Duration::from_secs(15));
    }

    #[test]
    fn defaults_are_those_of_the_library_where_it_has_them() {
        let config = of(Some("data"), &[]).unwrap().processor;
        let library = ProcessorConfig::default();
        let long_poll = library.timing.long_poll;
        assert_eq!(
            Timing {
                long_poll,
                ..config.timing
            },
            library.timing
        );
        assert_eq!(
            (config.retry, config.crashes, config.limits),
            (library.retry, library.crashes, library.limits)
        );
        assert_eq!((config.reuse, config.deadline), (library.reuse, library.deadline));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let values = [
            ("DATABASE_URL", "mysql://user:secret@host/db"),
            ("VF_LEASE", "soon"),
            ("VF_CONCURRENCY", "0"),
            ("VF_LOG_FORMAT", "xml"),
        ];
        let wrong = of(None, &values).unwrap_err().join("\n");
        for word in [
            "DATABASE_URL",
            "VF_STORAGE",
            "VF_LEASE",
            "VF_CONCURRENCY",
            "VF_LOG_FORMAT",
            "--local",
        ] {
            assert!(wrong.contains(word), "{word}: {wrong}");
        }
        assert!(!wrong.contains("secret"), "{wrong}");
        let tight = of(Some("data"), &[("VF_LEASE", "10s")]).unwrap_err().join("\n");
        assert!(tight.contains("two heartbeats"), "{tight}");
    }

    #[test]
    fn nothing_is_taken_from_variables_of_aws() {
        let values = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ];
        assert!(of(None, &values).is_err());
    }
}
