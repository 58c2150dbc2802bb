//! `vf extract`.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use videoframes_console::options::ReportArgs;
use videoframes_console::{Failure, cancelled_by_signals, exit, print_json_line, warn};
use videoframes_core::Error;
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::pipeline::{Pipeline, Summary};
use videoframes_core::plan::Strategy;
use videoframes_core::select::SelectError;
use videoframes_core::text::printable;

use crate::args::{ExtractArgs, addresses};
use crate::input::Opened;
use crate::output::Output;
use crate::progress::Reporter;
use crate::{failure, plan};

/// Time after the first signal in which a second signal is ignored: a closing terminal may send two.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: ExtractArgs) -> Result<u8, Failure> {
    let started = Instant::now();
    let output = Output::from_args(&args)?;
    let request = args.request(output.format())?;
    if args.output.dry_run {
        let (limits, json) = (args.limits(), args.output.report.json);
        let question = plan::Question {
            request,
            limits,
            network: args.network,
            ffmpeg: args.ffmpeg.ffmpeg,
        };
        return plan::show(&args.file, question, json).await;
    }
    let mut limits = args.limits();
    if output.is_picture() {
        limits.frames = 1;
    }
    let cancel = cancelled_by_signals(PATIENCE).map_err(|error| Failure::internal(&error))?;
    let destination = output.open(&args).await?;
    destination.check().map_err(|error| failure::of_archive(&error))?;
    let opened = args
        .file
        .open(&mut limits, addresses(args.network), &cancel)
        .await?;
    let extractor = FfmpegExtractor::new(args.ffmpeg.ffmpeg.clone());
    let report = args.output.report;
    let reporter = Arc::new(Reporter::new(report.progress, report.quiet));
    let shown = Arc::clone(&reporter);
    let outcome = Pipeline::new(extractor)
        .limits(limits)
        .cancel(cancel.clone())
        .on_progress(move |progress| shown.show(progress.frames, progress.total, Some(progress.bytes)))
        .extract(opened.source(), &request, destination.as_ref())
        .await;
    reporter.done();
    let summary = outcome.map_err(|error| match cancel.is_cancelled() {
        true => failure::cancelled(),
        false => failed(&error, &args, &output),
    })?;
    let finished = Finished {
        output: &output,
        opened: &opened,
        summary: &summary,
        seconds: started.elapsed().as_secs_f64(),
    };
    finished.report(args.output.report)?;
    Ok(match summary.damage {
        Some(_) => exit::PARTIAL,
        None => exit::SUCCESS,
    })
}

fn failed(error: &Error, args: &ExtractArgs, output: &Output) -> Failure {
    match error {
        Error::Select(SelectError::TooManyFrames { .. }) if output.is_picture() => {
            let text = format!(
                "the selection has several pictures, but {} holds one",
                output.name()
            );
            Failure::new(exit::USAGE, text)
                .hint("select one picture, with --at TIME or -n 1, or give -o frames.zip or -o frames/")
        }
        // A streamed ZIP file cannot be restarted; a file can.
        Error::Inconsistent(_) if *output == Output::StdoutZip => failure::of(error, &args.file)
            .hint("write to a file instead of stdout, so that the extraction can be restarted"),
        _ => failure::of(error, &args.file),
    }
}

/// Pictures that are stored.
struct Finished<'a> {
    output: &'a Output,
    opened: &'a Opened,
    summary: &'a Summary,
    /// Duration of the extraction in seconds.
    seconds: f64,
}

impl Finished<'_> {
    /// Prints the warnings and the result.
    fn report(&self, report: ReportArgs) -> Result<(), Failure> {
        if !report.quiet {
            let damage = self.summary.damage.as_ref();
            let damage =
                damage.map(|damage| format!("the video is damaged, the result is partial: {damage}"));
            let warnings = self.summary.warnings.iter().chain(&damage);
            warnings.for_each(|warning| warn(warning));
        }
        if report.json {
            return print_json_line(&self.json()).map(drop);
        }
        if !report.quiet {
            let _ = writeln!(std::io::stderr(), "{}", self.line());
        }
        Ok(())
    }

    fn json(&self) -> serde_json::Value {
        let summary = self.summary;
        serde_json::json!({
            "status": if summary.damage.is_some() { "partial" } else { "complete" },
            "output": self.output.name(),
            "frames": summary.manifest.frames.len(),
            "bytes": summary.bytes,
            "duration_s": summary.manifest.source.duration_s,
            "elapsed_s": self.seconds,
            "damage": summary.damage,
            "strategy": summary.work.strategy.to_string(),
            "fallback": summary.work.fallback,
            "bytes_read": self.read(),
            "source_bytes": summary.manifest.source.size,
            "warnings": summary.warnings,
        })
    }

    /// Returns the number of bytes that were read from the source. Bytes that were transferred repeatedly count once.
    fn read(&self) -> u64 {
        let read = self.summary.work.bytes_read;
        let transferred = self.opened.transferred(read).unwrap_or(read);
        transferred.min(self.summary.manifest.source.size)
    }

    fn line(&self) -> String {
        let Self { summary, seconds, .. } = self;
        let name = self.output.name();
        let place = if name == "-" {
            "stdout".into()
        } else {
            printable(&name)
        };
        let frames = summary.manifest.frames.len();
        let plural = if frames == 1 { "" } else { "s" };
        let size = indicatif::HumanBytes(summary.bytes);
        let all = summary.manifest.source.size;
        let is_remote = self.opened.transferred(summary.work.bytes_read).is_some();
        let share = match is_remote || summary.work.strategy == Strategy::Planned {
            true => read_share(self.read(), all),
            false => String::new(),
        };
        format!("{place}: {frames} frame{plural}, {size}, {seconds:.1} s{share}")
    }
}

/// Returns the share of the source that was read: `, read 13.3 MiB of 1.29 GiB (1.0 %)`.
fn read_share(bytes: u64, all: u64) -> String {
    let (share, human) = (100.0 * bytes as f64 / all.max(1) as f64, indicatif::HumanBytes);
    format!(", read {} of {} ({share:.1} %)", human(bytes), human(all))
}
