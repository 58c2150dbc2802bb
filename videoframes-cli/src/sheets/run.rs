//! Runs of `vf storyboard`, `vf sheet` and `vf preview`.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use videoframes_console::{Failure, cancelled_by_signals, exit};
use videoframes_core::Error;
use videoframes_core::pipeline::{ContactSheetRequest, Pipeline, PreviewRequest, StoryboardRequest};
use videoframes_core::select::SelectError;
use videoframes_core::sheet::Font;

use super::output::{check_preview_quality, check_quality, of_preview, of_sheet, of_storyboard};
use super::report::Finished;
use crate::args::{PreviewArgs, RunArgs, SheetArgs, SheetOutputArgs, StoryboardArgs, addresses};
use crate::extract::PATIENCE;
use crate::failure;
use crate::input::VideoInput;
use crate::output::Output;
use crate::progress::Reporter;

/// Maximum size of a font file in bytes.
const FONT_BYTES: u64 = 64 << 20;

/// A request of any kind.
enum Wanted {
    Storyboard(StoryboardRequest),
    Sheet(ContactSheetRequest),
    Preview(PreviewRequest),
}

pub(crate) async fn storyboard(args: StoryboardArgs) -> Result<u8, Failure> {
    let output = of_storyboard(args.output.as_deref(), &args.video.file)?;
    check_quality(args.quality(), args.format())?;
    let run = Run {
        file: &args.video.file,
        args: &args.run,
        to: &args.report,
        output: &output,
    };
    run.make(Wanted::Storyboard(args.request())).await
}

pub(crate) async fn contact_sheet(args: SheetArgs) -> Result<u8, Failure> {
    let picture = &args.picture;
    let output = of_sheet(args.output.as_deref(), &args.video.file, picture.format)?;
    let format = output.format().or(picture.format).unwrap_or_default();
    check_quality(picture.quality, format)?;
    let mut style = args.style();
    if let Some(path) = &args.layout.font {
        style = style.font(font(path)?);
    }
    let request = ContactSheetRequest::from(args.request(format)).style(style);
    let run = Run {
        file: &args.video.file,
        args: &args.run,
        to: &args.report,
        output: &output,
    };
    run.make(Wanted::Sheet(request)).await
}

pub(crate) async fn preview(args: PreviewArgs) -> Result<u8, Failure> {
    let animation = &args.animation;
    let (output, format) = of_preview(args.output.as_deref(), &args.video.file, animation.format)?;
    check_preview_quality(animation.quality, format)?;
    let run = Run {
        file: &args.video.file,
        args: &args.run,
        to: &args.report,
        output: &output,
    };
    run.make(Wanted::Preview(args.request(format))).await
}

/// A run of one command.
struct Run<'a> {
    file: &'a VideoInput,
    args: &'a RunArgs,
    to: &'a SheetOutputArgs,
    output: &'a Output,
}

impl Run<'_> {
    /// Makes and reports the result.
    async fn make(&self, wanted: Wanted) -> Result<u8, Failure> {
        let started = Instant::now();
        let (mut limits, report) = (self.args.limits(), self.to.report);
        let cancel = cancelled_by_signals(PATIENCE).map_err(|error| Failure::internal(&error))?;
        let if_exists = self.to.replace.if_exists();
        let destination = self.output.open_for(self.file, if_exists, report.json).await?;
        let destination =
            destination.ok_or_else(|| Failure::new(exit::USAGE, "the output is no stream of frames"))?;
        destination.check().map_err(|error| Failure::of_archive(&error))?;
        let network = addresses(self.args.network);
        let opened = self.file.open(&mut limits, network, &cancel).await?;
        let ffmpeg = self.args.ffmpeg.extractor();
        let reporter = Arc::new(Reporter::new(report.progress, report.quiet));
        let shown = Arc::clone(&reporter);
        let pipeline = Pipeline::new(ffmpeg.clone())
            .encoder(ffmpeg)
            .limits(limits)
            .cancel(cancel.clone())
            .on_progress(move |progress| shown.extracting(&progress));
        let (source, destination) = (opened.source(), destination.as_ref());
        let outcome = match &wanted {
            Wanted::Storyboard(request) => pipeline.storyboard(source, request, destination).await,
            Wanted::Sheet(request) => pipeline.contact_sheet(source, request, destination).await,
            Wanted::Preview(request) => pipeline.preview(source, request, destination).await,
        };
        reporter.done();
        let summary = outcome.map_err(|error| match cancel.is_cancelled() {
            true => failure::cancelled(),
            false => self.failed(&error, &wanted),
        })?;
        let finished = Finished {
            is_preview: matches!(wanted, Wanted::Preview(_)),
            output: self.output,
            summary: &summary,
            seconds: started.elapsed().as_secs_f64(),
        };
        finished.report(report)?;
        Ok(match summary.damage {
            Some(_) => exit::PARTIAL,
            None => exit::SUCCESS,
        })
    }

    fn failed(&self, error: &Error, wanted: &Wanted) -> Failure {
        match error {
            Error::Select(SelectError::TooManyFrames { .. }) if matches!(wanted, Wanted::Preview(_)) => {
                failure::about(exit::LIMIT, self.file, error)
                    .hint("select fewer frames, with -n, a lower --fps, or a shorter range (-s, -t)")
            }
            Error::Select(SelectError::TooManyFrames { .. }) => failure::about(exit::LIMIT, self.file, error)
                .hint("select fewer tiles, with a longer --every or a smaller -n"),
            // A stream cannot be restarted; a file can.
            Error::Inconsistent(_) if matches!(self.output, Output::StdoutArchive(_)) => {
                failure::of(error, self.file)
                    .hint("write to a file instead of stdout, so that the extraction can be restarted")
            }
            _ => failure::of(error, self.file),
        }
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
