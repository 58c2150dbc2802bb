//! Runs of `vf storyboard` and `vf sheet`.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use videoframes_console::{Failure, cancelled_by_signals, exit};
use videoframes_core::Error;
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::pipeline::{ContactSheetRequest, Pipeline, StoryboardRequest};
use videoframes_core::select::SelectError;
use videoframes_core::sheet::Font;

use super::output::{check_quality, of_sheet, of_storyboard};
use super::report::Finished;
use crate::args::{RunArgs, SheetArgs, SheetOutputArgs, StoryboardArgs, addresses};
use crate::extract::PATIENCE;
use crate::failure;
use crate::output::Output;
use crate::progress::Reporter;

/// Maximum size of a font file in bytes.
const FONT_BYTES: u64 = 64 << 20;

/// A request of either kind.
enum Wanted {
    Storyboard(StoryboardRequest),
    Sheet(ContactSheetRequest),
}

pub(crate) async fn storyboard(args: StoryboardArgs) -> Result<u8, Failure> {
    let output = of_storyboard(args.output.as_deref(), &args.run.file)?;
    check_quality(args.quality(), args.format())?;
    run(
        &args.run,
        &args.report,
        &output,
        Wanted::Storyboard(args.request()),
    )
    .await
}

pub(crate) async fn contact_sheet(args: SheetArgs) -> Result<u8, Failure> {
    let picture = &args.picture;
    let output = of_sheet(args.output.as_deref(), &args.run.file, picture.format)?;
    let format = output.format().or(picture.format).unwrap_or_default();
    check_quality(picture.quality, format)?;
    let mut style = args.style();
    if let Some(path) = &args.layout.font {
        style = style.font(font(path)?);
    }
    let request = ContactSheetRequest::from(args.request(format)).style(style);
    run(&args.run, &args.report, &output, Wanted::Sheet(request)).await
}

async fn run(args: &RunArgs, to: &SheetOutputArgs, output: &Output, wanted: Wanted) -> Result<u8, Failure> {
    let started = Instant::now();
    let mut limits = args.limits();
    let cancel = cancelled_by_signals(PATIENCE).map_err(|error| Failure::internal(&error))?;
    let destination = output
        .open_for(&args.file, to.replace.if_exists(), to.report.json)
        .await?;
    let destination = destination.ok_or_else(|| Failure::new(exit::USAGE, "-o does not take a stream"))?;
    destination.check().map_err(|error| failure::of_archive(&error))?;
    let opened = args
        .file
        .open(&mut limits, addresses(args.network), &cancel)
        .await?;
    let ffmpeg = FfmpegExtractor::new(args.ffmpeg.ffmpeg.clone());
    let reporter = Arc::new(Reporter::new(to.report.progress, to.report.quiet));
    let shown = Arc::clone(&reporter);
    let pipeline = Pipeline::new(ffmpeg.clone())
        .encoder(ffmpeg)
        .limits(limits)
        .cancel(cancel.clone())
        .on_progress(move |progress| shown.show(progress.frames, progress.total, Some(progress.bytes)));
    let (source, destination) = (opened.source(), destination.as_ref());
    let outcome = match &wanted {
        Wanted::Storyboard(request) => pipeline.storyboard(source, request, destination).await,
        Wanted::Sheet(request) => pipeline.contact_sheet(source, request, destination).await,
    };
    reporter.done();
    let summary = outcome.map_err(|error| match cancel.is_cancelled() {
        true => failure::cancelled(),
        false => failed(&error, args),
    })?;
    let finished = Finished {
        output,
        summary: &summary,
        seconds: started.elapsed().as_secs_f64(),
    };
    finished.report(to.report)?;
    Ok(match summary.damage {
        Some(_) => exit::PARTIAL,
        None => exit::SUCCESS,
    })
}

fn failed(error: &Error, args: &RunArgs) -> Failure {
    match error {
        Error::Select(SelectError::TooManyFrames { .. }) => failure::about(exit::LIMIT, &args.file, error)
            .hint("select fewer tiles, with a longer --every or a smaller -n"),
        _ => failure::of(error, &args.file),
    }
}

/// Reads a font file.
fn font(path: &Path) -> Result<Font, Failure> {
    let failed = |why: String| Failure::new(exit::NOT_FOUND, format!("--font {}: {why}", path.display()));
    let mut content = Vec::new();
    let file = File::open(path).and_then(|file| file.take(FONT_BYTES + 1).read_to_end(&mut content));
    file.map_err(|error| failed(error.to_string()))?;
    if content.len() as u64 > FONT_BYTES {
        return Err(failed(format!("the file is larger than {FONT_BYTES} bytes")));
    }
    Font::new(content).map_err(|error| failed(error.to_string()))
}
