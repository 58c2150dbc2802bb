//! Reports on written sheets.

use std::collections::HashSet;

use videoframes_console::Failure;
use videoframes_console::options::ReportArgs;
use videoframes_core::pipeline::Summary;
use videoframes_core::text::printable;

use crate::output::Output;
use crate::report;

/// Sheets that are written.
pub(super) struct Finished<'a> {
    pub(super) output: &'a Output,
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
        serde_json::json!({
            "status": if summary.damage.is_some() { "partial" } else { "complete" },
            "output": self.output.name(),
            "tiles": summary.manifest.frames.len(),
            "sheets": self.sheets(),
            "bytes": summary.bytes,
            "duration_s": summary.manifest.source.duration_s,
            "elapsed_s": self.seconds,
            "damage": summary.damage,
            "strategy": summary.work.strategy.to_string(),
            "fallback": summary.work.fallback,
            "bytes_read": summary.work.bytes_read,
            "source_bytes": summary.manifest.source.size,
            "warnings": summary.warnings,
        })
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
        let tiles = count(self.summary.manifest.frames.len(), "tile");
        let sheets = count(self.sheets(), "sheet");
        let size = indicatif::HumanBytes(self.summary.bytes);
        format!("{place}: {tiles} on {sheets}, {size}, {:.1} s", self.seconds)
    }
}
