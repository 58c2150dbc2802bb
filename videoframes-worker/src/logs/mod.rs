//! Logs on stderr: one flat JSON object per line, or text.
//!
//! A log line holds the fields of its event and of all enclosing spans, so that a search for `job.id` finds every
//! line of a job. `docs/log.schema.json` describes the JSON fields.

mod failure;
mod json;
mod layer;
mod panics;
mod record;
mod text;

pub(crate) use self::failure::failure;
pub(crate) use self::layer::{LogFilter, LogFormat, start};
#[cfg(feature = "sentry")]
pub(crate) use self::record::Record;
