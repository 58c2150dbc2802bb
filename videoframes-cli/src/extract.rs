//! `vf extract`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use videoframes_console::options::ReportArgs;
use videoframes_console::{Failure, cancelled_by_signals, exit};
use videoframes_core::Error;
use videoframes_core::pipeline::{Pipeline, Request, Summary, Work};
use videoframes_core::plan::Strategy;
use videoframes_core::select::SelectError;
use videoframes_core::text::printable;

use crate::args::{ExtractArgs, addresses};
use crate::input::VideoInput;
use crate::output::Output;
use crate::progress::Reporter;
use crate::{batch, failure, frames, plan, report};

/// Time after the first signal in which a second signal is ignored: a closing terminal may send two.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: ExtractArgs) -> Result<u8, Failure> {
    match args.single().cloned() {
        Some(input) => run_single(&args, &input).await,
        None => batch::run(args).await,
    }
}

/// Extracts from one video.
pub(crate) async fn run_single(args: &ExtractArgs, input: &VideoInput) -> Result<u8, Failure> {
    let started = Instant::now();
    let output = Output::from_args(args, input)?;
    let request = output.request(args)?;
    if args.output.dry_run {
        let (limits, json) = (args.limits(), args.output.report.json);
        let question = plan::Question {
            request,
            limits,
            network: args.network,
            extractor: args.ffmpeg.extractor(),
        };
        return plan::show(input, question, json).await;
    }
    let cancel = cancelled_by_signals(PATIENCE).map_err(|error| Failure::internal(&error))?;
    let report = args.output.report;
    let reporter = Arc::new(Reporter::new(report.progress, report.quiet));
    let shown = Arc::clone(&reporter);
    let extractor = args.ffmpeg.extractor();
    let pipeline = Pipeline::new(extractor.clone())
        .encoder(extractor)
        .cancel(cancel.clone())
        .on_progress(move |progress| shown.extracting(&progress));
    let video = Video {
        args,
        input,
        output: &output,
        request,
        started,
    };
    let finished = video.extract(pipeline, &cancel).await;
    reporter.done();
    let finished = finished?;
    finished.report(report)?;
    Ok(finished.code())
}

/// A video, and what to extract from it.
pub(crate) struct Video<'a> {
    pub(crate) args: &'a ExtractArgs,
    pub(crate) input: &'a VideoInput,
    pub(crate) output: &'a Output,
    pub(crate) request: Request,
    pub(crate) started: Instant,
}

impl Video<'_> {
    /// Extracts the pictures with `pipeline`, within the limits of the arguments.
    pub(crate) async fn extract(
        self,
        pipeline: Pipeline,
        cancel: &CancellationToken,
    ) -> Result<Finished, Failure> {
        let (args, output) = (self.args, self.output);
        let mut limits = args.limits();
        if output.is_picture() {
            limits.frames = 1;
        }
        let destination = output.open(args, self.input).await?;
        if let Some(destination) = &destination {
            destination.check().map_err(|error| Failure::of_archive(&error))?;
        }
        let opened = self
            .input
            .open(&mut limits, addresses(args.network), cancel)
            .await?;
        let pipeline = pipeline.limits(limits);
        let outcome = match &destination {
            Some(destination) => pipeline
                .extract(opened.source(), &self.request, destination.as_ref())
                .await
                .map(Extracted::from),
            None => frames::write(&pipeline, opened.source(), self.request).await,
        };
        let extracted = outcome.map_err(|error| match cancel.is_cancelled() {
            true => failure::cancelled(),
            false => failed(&error, self.input, output),
        })?;
        Ok(Finished {
            output: output.name(),
            transferred: opened.transferred(extracted.work.bytes_read),
            extracted,
            seconds: self.started.elapsed().as_secs_f64(),
        })
    }
}

fn failed(error: &Error, input: &VideoInput, output: &Output) -> Failure {
    match error {
        Error::Select(SelectError::TooManyFrames { .. }) if output.is_picture() => {
            let text = format!(
                "the selection has several pictures, but {} holds one",
                output.name()
            );
            Failure::new(exit::USAGE, text)
                .hint("select one picture, with --at TIME or -n 1, or give -o frames.zip or -o frames/")
        }
        // A stream cannot be restarted; a file can.
        Error::Inconsistent(_) if matches!(output, Output::StdoutArchive(_) | Output::StdoutFrames) => {
            failure::of(error, input)
                .hint("write to a file instead of stdout, so that the extraction can be restarted")
        }
        _ => failure::of(error, input),
    }
}

/// Pictures that are written.
pub(crate) struct Extracted {
    /// Number of pictures.
    pub(crate) frames: usize,
    /// Size of the result in bytes.
    pub(crate) bytes: u64,
    pub(crate) warnings: Vec<String>,
    pub(crate) damage: Option<String>,
    pub(crate) work: Work,
    /// Size of the source in bytes.
    pub(crate) source_bytes: u64,
    /// Duration of the video in seconds.
    pub(crate) duration_s: Option<f64>,
}

impl From<Summary> for Extracted {
    fn from(summary: Summary) -> Self {
        let source = &summary.manifest.source;
        Self {
            frames: summary.manifest.frames.len(),
            bytes: summary.bytes,
            source_bytes: source.size,
            duration_s: Some(source.duration_s),
            warnings: summary.warnings,
            damage: summary.damage,
            work: summary.work,
        }
    }
}

/// The result with its surroundings.
pub(crate) struct Finished {
    /// Name of the output.
    output: String,
    /// Bytes that were transferred over the network; `None` for a file.
    transferred: Option<u64>,
    pub(crate) extracted: Extracted,
    /// Duration of the extraction in seconds.
    seconds: f64,
}

impl Finished {
    /// Returns the exit code of the extraction.
    pub(crate) fn code(&self) -> u8 {
        match self.extracted.damage {
            Some(_) => exit::PARTIAL,
            None => exit::SUCCESS,
        }
    }

    /// Returns the warnings about the result.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        report::warnings(&self.extracted.warnings, self.extracted.damage.as_deref())
    }

    /// Prints the warnings and the result.
    fn report(&self, report: ReportArgs) -> Result<(), Failure> {
        report::print(report, self.warnings(), || self.json(), || self.line())
    }

    /// Returns the result as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        let extracted = &self.extracted;
        serde_json::json!({
            "status": if extracted.damage.is_some() { "partial" } else { "complete" },
            "output": self.output,
            "frames": extracted.frames,
            "bytes": extracted.bytes,
            "duration_s": extracted.duration_s,
            "elapsed_s": self.seconds,
            "damage": extracted.damage,
            "strategy": extracted.work.strategy.to_string(),
            "fallback": extracted.work.fallback,
            "bytes_read": self.read(),
            "source_bytes": extracted.source_bytes,
            "warnings": extracted.warnings,
        })
    }

    /// Returns the number of bytes that were read from the source. Bytes that were transferred repeatedly count once.
    fn read(&self) -> u64 {
        let read = self.extracted.work.bytes_read;
        self.transferred.unwrap_or(read).min(self.extracted.source_bytes)
    }

    fn line(&self) -> String {
        let Self {
            extracted, seconds, ..
        } = self;
        let place = match self.output.as_str() {
            "-" => "stdout".into(),
            name => printable(name),
        };
        let frames = extracted.frames;
        let plural = if frames == 1 { "" } else { "s" };
        let size = indicatif::HumanBytes(extracted.bytes);
        let all = extracted.source_bytes;
        let share = match self.transferred.is_some() || extracted.work.strategy == Strategy::Planned {
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
