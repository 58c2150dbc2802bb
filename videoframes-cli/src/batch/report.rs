//! Outcomes of videos, their lines of JSON, and the summary.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use videoframes_console::Failure;
use videoframes_console::exit::{self, CODES};

use super::outputs::Job;
use crate::extract::Finished;

/// The outcome of one video.
pub(super) enum Outcome {
    Done(Finished),
    /// The output exists.
    Skipped,
    Failed(Failure),
    Cancelled,
    /// The run ended before.
    NotStarted,
}

impl Outcome {
    /// Returns the outcome of an extraction. `None` is a result that exists.
    pub(super) fn of(result: Result<Option<Finished>, Failure>) -> Self {
        match result {
            Ok(Some(finished)) => Self::Done(finished),
            Ok(None) => Self::Skipped,
            Err(failure) if failure.code() == exit::CANCELLED => Self::Cancelled,
            Err(failure) => Self::Failed(failure),
        }
    }

    /// Returns the outcome as an object of JSON. A folder that cannot be read has no job.
    pub(super) fn json(&self, input: &str, job: Option<&Job>) -> serde_json::Value {
        let status = match self {
            Self::Done(finished) => {
                let mut json = finished.json();
                json["input"] = input.into();
                return json;
            }
            Self::Skipped => "skipped",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
            Self::NotStarted => "not_started",
        };
        let mut json = serde_json::json!({
            "status": status,
            "input": input,
            "output": job.map(|job| job.output.name()),
        });
        if let Self::Failed(failure) = self {
            json["error"] = failure.to_string().into();
            json["hint"] = failure.hint_text().into();
            json["code"] = failure.code().into();
        }
        json
    }
}

/// The outcomes of all videos.
#[derive(Debug, Default)]
pub(super) struct Tally {
    done: usize,
    partial: usize,
    skipped: usize,
    cancelled: usize,
    not_started: usize,
    /// Number of failures by exit code.
    failures: BTreeMap<u8, usize>,
    frames: usize,
    bytes: u64,
}

impl Tally {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Done(finished) => {
                self.done += 1;
                self.partial += usize::from(finished.code() == exit::PARTIAL);
                self.frames += finished.extracted.frames;
                self.bytes += finished.extracted.bytes;
            }
            Outcome::Skipped => self.skipped += 1,
            Outcome::Failed(failure) => self.add_failure(failure.code()),
            Outcome::Cancelled => self.cancelled += 1,
            Outcome::NotStarted => self.not_started += 1,
        }
    }

    fn add_failure(&mut self, code: u8) {
        *self.failures.entry(code).or_default() += 1;
    }

    /// Returns whether a video failed.
    pub(super) fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Returns the number of videos without a result that have not failed.
    pub(super) fn left(&self) -> usize {
        self.cancelled + self.not_started
    }

    /// Returns the exit code of the run: that of the failures if all have the same.
    pub(super) fn code(&self) -> u8 {
        let mut codes = self.failures.keys();
        match (codes.next(), codes.next()) {
            (None, _) if self.partial > 0 => exit::PARTIAL,
            (None, _) => exit::SUCCESS,
            (Some(&code), None) => code,
            (Some(_), Some(_)) => exit::SEVERAL,
        }
    }

    /// Returns the summary as a table.
    pub(super) fn table(&self, elapsed: Duration) -> String {
        let mut text = String::new();
        let mut line = |what: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{what:<8} {value}");
        };
        let done = self.done - self.partial;
        line("done", done.to_string());
        if self.partial > 0 {
            line("partial", format!("{}, of damaged videos", self.partial));
        }
        if self.skipped > 0 {
            line("skipped", format!("{}, outputs exist", self.skipped));
        }
        if self.has_failures() {
            line("failed", self.failures.values().sum::<usize>().to_string());
            for (code, count) in &self.failures {
                let meaning = CODES.iter().find(|known| known.number == *code);
                let meaning = meaning.map_or("unknown", |known| known.meaning);
                line("", format!("{count} {meaning} ({code})"));
            }
        }
        if self.left() > 0 {
            line("left", self.left().to_string());
        }
        line(
            "frames",
            format!("{}, {}", self.frames, indicatif::HumanBytes(self.bytes)),
        );
        let seconds = elapsed.as_secs_f64();
        let rate = self.done as f64 / seconds.max(0.001);
        line("time", format!("{seconds:.1} s, {rate:.1} videos/s"));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_is_that_of_the_failures() {
        for (failures, partial, code) in [
            (&[][..], 0, exit::SUCCESS),
            (&[], 1, exit::PARTIAL),
            (&[exit::NOT_A_VIDEO, exit::NOT_A_VIDEO], 1, exit::NOT_A_VIDEO),
            (&[exit::NOT_A_VIDEO, exit::OUTPUT_EXISTS], 0, exit::SEVERAL),
        ] {
            let mut tally = Tally {
                partial,
                done: 2,
                ..Tally::default()
            };
            failures.iter().for_each(|&code| tally.add_failure(code));
            assert_eq!(tally.code(), code, "{failures:?}");
        }
    }
}
