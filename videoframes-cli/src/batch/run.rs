//! The run: a bounded number of extractions at the same time, which share one ffmpeg and its capabilities.

use std::collections::HashSet;
use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use videoframes_console::{Failure, cancelled_by_signals, exit, print, print_json_line, warn};
use videoframes_core::ffmpeg::FfmpegExtractor;
use videoframes_core::pipeline::{Pipeline, Request};
use videoframes_core::text::printable;

use super::inputs::{self, UnreadableFolder};
use super::outputs::{self, Job};
use super::parents::Parents;
use super::report::{Outcome, Tally};
use super::schedule::{Decoders, Share};
use crate::args::ExtractArgs;
use crate::extract::{Finished, PATIENCE, Video};
use crate::failure;
use crate::progress::VideosReporter;

/// Maximum number of decoders at the same time, as for one video. Each needs several threads and files.
const MAX_DECODERS: usize = 64;

/// Extracts from all videos of the arguments.
///
/// # Errors
/// Fails if no video can be started, and if videos are left. Failures of videos are printed, and give the exit code.
pub(crate) async fn run(args: ExtractArgs) -> Result<u8, Failure> {
    let found = inputs::collect(&args)?;
    let jobs = outputs::assign(found.entries, &args)?;
    if args.output.dry_run {
        return print_outputs(&jobs, &args).await;
    }
    let cancel = cancelled_by_signals(PATIENCE).map_err(|error| Failure::internal(&error))?;
    let extractor = args.ffmpeg.extractor();
    if let Some(job) = jobs.first() {
        // Wrong options and a missing ffmpeg are errors of the run, not of each video.
        job.output.request(&args)?;
        let version = extractor.ffmpeg_version().await;
        version.map_err(|error| failure::of(&error.into(), &job.input))?;
    }
    let report = args.output.report;
    let total = jobs.len() + found.unreadable.len();
    let shared = Shared {
        extractor,
        parents: Parents::default(),
        reporter: Arc::new(VideosReporter::new(report.progress, report.quiet, total)),
        cancel,
        args,
    };
    let mut run = Run {
        shared: Arc::new(shared),
        tally: Tally::default(),
        hints: HashSet::new(),
    };
    let started = Instant::now();
    let ended = run.extract_all(jobs, found.unreadable).await;
    run.shared.reporter.done();
    run.shared.parents.remove_empty();
    ended?;
    if !report.quiet && !report.json {
        // There is no other place to report a closed stderr.
        let _ = write!(std::io::stderr(), "{}", run.tally.table(started.elapsed()));
    }
    run.end(total)
}

/// Prints the output of each video, and whether the video would be skipped.
async fn print_outputs(jobs: &[Job], args: &ExtractArgs) -> Result<u8, Failure> {
    for Job { input, output } in jobs {
        let skipped = args.batch.skip_existing && output.exists().await?;
        let (input, output) = (input.to_string(), output.name());
        let _ = match args.output.report.json {
            true => {
                let status = if skipped { "skipped" } else { "planned" };
                print_json_line(&serde_json::json!({"status": status, "input": input, "output": output}))?
            }
            false => {
                let note = if skipped { " (exists, skipped)" } else { "" };
                let line = format!("{input} -> {output}{note}");
                print(&format!("{}\n", printable(&line)))?
            }
        };
    }
    Ok(exit::SUCCESS)
}

/// What all extractions of a run share.
struct Shared {
    args: ExtractArgs,
    extractor: FfmpegExtractor,
    parents: Parents,
    reporter: Arc<VideosReporter>,
    cancel: CancellationToken,
}

/// A run and the outcomes so far.
struct Run {
    shared: Arc<Shared>,
    tally: Tally,
    /// Hints that were printed. Each is printed once.
    hints: HashSet<String>,
}

/// An extraction that ended.
struct Ended {
    index: usize,
    job: Job,
    share: Share,
    outcome: Outcome,
}

impl Run {
    /// Extracts from the videos in order. After a failure without `--keep-going`, and after a signal, no more videos are
    /// started. Running extractions end: by themselves after a failure, and by cancellation after a signal.
    async fn extract_all(
        &mut self,
        jobs: Vec<Job>,
        unreadable: Vec<UnreadableFolder>,
    ) -> Result<(), Failure> {
        for UnreadableFolder { folder, failure } in unreadable {
            self.report(&folder, None, Outcome::Failed(failure))?;
            // Folders have no index.
            self.shared.reporter.ended(usize::MAX, false);
        }
        let decoders = self.shared.decoders();
        let mut free = decoders.total.get();
        let mut waiting = jobs.into_iter().enumerate();
        let mut running = JoinSet::new();
        loop {
            while !self.is_stopped()
                && let Some(share) = decoders.share(free, waiting.len())
                && let Some((index, job)) = waiting.next()
            {
                free -= share.decoders.get();
                let shared = Arc::clone(&self.shared);
                running.spawn(async move {
                    let outcome = shared.extract(index, &job, share).await;
                    Ended {
                        index,
                        job,
                        share,
                        outcome,
                    }
                });
            }
            let Some(ended) = running.join_next().await else {
                break;
            };
            let ended = ended.map_err(|error| Failure::internal(&error))?;
            free += ended.share.decoders.get();
            let success = matches!(ended.outcome, Outcome::Done(_) | Outcome::Skipped);
            self.report(&ended.job.input.to_string(), Some(&ended.job), ended.outcome)?;
            self.shared.reporter.ended(ended.index, success);
        }
        for (_, job) in waiting {
            self.report(&job.input.to_string(), Some(&job), Outcome::NotStarted)?;
        }
        Ok(())
    }

    /// Returns whether no more videos are started.
    fn is_stopped(&self) -> bool {
        let keep_going = self.shared.args.batch.keep_going;
        self.shared.cancel.is_cancelled() || self.tally.has_failures() && !keep_going
    }

    /// Counts and prints an outcome.
    fn report(&mut self, input: &str, job: Option<&Job>, outcome: Outcome) -> Result<(), Failure> {
        self.tally.add(&outcome);
        let report = self.shared.args.output.report;
        let json = report.json.then(|| outcome.json(input, job));
        let mut printed = Ok(());
        let hints = &mut self.hints;
        self.shared.reporter.suspend(|| {
            match outcome {
                Outcome::Done(finished) if !report.quiet => {
                    finished
                        .warnings()
                        .for_each(|warning| warn(&format!("{input}: {warning}")));
                }
                Outcome::Failed(failure) => {
                    let is_new = failure
                        .hint_text()
                        .is_some_and(|hint| hints.insert(hint.to_owned()));
                    let failure = if is_new { failure } else { failure.without_hint() };
                    failure.report();
                }
                _ => {}
            }
            printed = json.map_or(Ok(()), |json| print_json_line(&json).map(drop));
        });
        printed
    }

    /// Returns the exit code.
    ///
    /// # Errors
    /// Fails if videos are left.
    fn end(&self, total: usize) -> Result<u8, Failure> {
        let (code, left) = (self.tally.code(), self.tally.left());
        let text = |why| format!("{why}, with {left} of {total} videos left");
        if self.shared.cancel.is_cancelled() {
            let failure = Failure::new(exit::CANCELLED, text("cancelled"));
            return Err(failure.hint("--skip-existing continues such a run"));
        }
        match left {
            0 => Ok(code),
            _ => Err(Failure::new(code, text("stopped after a failure"))
                .hint("--keep-going continues after failures, and --skip-existing continues such a run")),
        }
    }
}

impl Shared {
    fn decoders(&self) -> Decoders {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let total = self.args.jobs.jobs.unwrap_or(cores).get().min(MAX_DECODERS);
        Decoders {
            total: NonZeroUsize::new(total).unwrap_or(NonZeroUsize::MIN),
            cores,
        }
    }

    async fn extract(&self, index: usize, job: &Job, share: Share) -> Outcome {
        let extracted = self.try_extract(index, job, share).await;
        Outcome::of(extracted.map_err(|failure| failure.naming(&job.input.to_string())))
    }

    /// Returns the result, or `None` if it exists and is skipped.
    async fn try_extract(&self, index: usize, job: &Job, share: Share) -> Result<Option<Finished>, Failure> {
        let started = Instant::now();
        let (args, output) = (&self.args, &job.output);
        if args.batch.skip_existing && output.exists().await? {
            return Ok(None);
        }
        if let Some(path) = output.path() {
            let created = self.parents.create(path);
            created.map_err(|error| {
                Failure::new(
                    exit::OUTPUT,
                    format!("failed to create the folder of {}: {error}", path.display()),
                )
            })?;
        }
        let mut request = output.request(args)?;
        let decoders = match args.jobs.jobs {
            Some(_) => share.decoders.get(),
            None => share.decoders.get().min(Request::default().decoders()),
        };
        request.jobs = NonZeroUsize::new(decoders);
        let reporter = Arc::clone(&self.reporter);
        let pipeline = Pipeline::new(self.extractor.clone().with_threads(share.threads))
            .encoder(self.extractor.clone())
            .cancel(self.cancel.clone())
            .on_progress(move |progress| reporter.show(index, progress.frames, progress.total));
        let video = Video {
            args,
            input: &job.input,
            output,
            request,
            started,
        };
        video.extract(pipeline, &self.cancel).await.map(Some)
    }
}
