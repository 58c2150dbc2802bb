//! Reports on written sheets and previews.

use std::collections::HashSet;

use videoframes_console::Failure;
use videoframes_console::options::ReportArgs;
use videoframes_core::pipeline::Summary;
use videoframes_core::text::printable;

use crate::output::Output;
use crate::report;

/// Sheets or a preview that are written.
pub(super) struct Finished<'a> {
    pub(super) output: &'a Output,
    /// Whether the result is a preview.
    pub(super) is_preview: bool,
    pub(super) summary: &'a Summary,
    /// Duration of the run in seconds.
    pub(super) seconds: f64,
}

impl Finished<'_> {
    /// Prints the warnings and the result.
    pub(super) fn report(&self, report: ReportArgs) -> Result<(), Failure> {
        let warnings = report::warnings(&self.summary.warnings, self.summary.damage.as_deref());
        report::print(report, warnings, || self.json(), || self.line())
    }

    /// Returns the number of sheets.
    fn sheets(&self) -> usize {
        let tiles = self.summary.manifest.frames.iter();
        tiles.map(|tile| &tile.file).collect::<HashSet<_>>().len()
    }

    fn json(&self) -> serde_json::Value {
        let summary = self.summary;
        let mut json = serde_json::json!({
            "status": if summary.damage.is_some() { "partial" } else { "complete" },
            "output": self.output.name(),
            "bytes": summary.bytes,
            "duration_s": summary.manifest.source.duration_s,
            "elapsed_s": self.seconds,
            "damage": summary.damage,
            "strategy": summary.work.strategy.to_string(),
            "fallback": summary.work.fallback,
            "bytes_read": summary.work.bytes_read,
            "source_bytes": summary.manifest.source.size,
            "warnings": summary.warnings,
        });
        let frames = summary.manifest.frames.len();
        if self.is_preview {
            json["frames"] = frames.into();
            json["displayed_s"] = self.displayed_seconds().into();
        } else {
            json["tiles"] = frames.into();
            json["sheets"] = self.sheets().into();
        }
        json
    }

    /// Returns the duration of a preview that is played once.
    fn displayed_seconds(&self) -> f64 {
        let frames = self.summary.manifest.frames.iter();
        let milliseconds = frames.filter_map(|frame| frame.displayed_ms).map(f64::from);
        milliseconds.sum::<f64>() / 1000.0
    }

    fn line(&self) -> String {
        let name = self.output.name();
        let place = match name.as_str() {
            "-" => "stdout".into(),
            name => printable(name),
        };
        let count = |number: usize, thing: &str| match number {
            1 => format!("1 {thing}"),
            number => format!("{number} {thing}s"),
        };
        let frames = self.summary.manifest.frames.len();
        let size = indicatif::HumanBytes(self.summary.bytes);
        let content = match self.is_preview {
            true => format!("{} of {:.1} s", count(frames, "frame"), self.displayed_seconds()),
            false => format!("{} on {}", count(frames, "tile"), count(self.sheets(), "sheet")),
        };
        format!("{place}: {content}, {size}, {:.1} s", self.seconds)
    }
}
