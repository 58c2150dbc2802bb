//! Extraction from the samples of a plan. The timestamp of every picture identifies its frame.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::args;
use super::capable::Capable;
use super::deliver::PictureSender;
use super::feed::{Clock, Fed, FeedError, Feeder, ranges};
use super::queue::queue;
use super::read_ahead::ReadAhead;
use crate::extract::{ExtractError, ExtractReport, ExtractRequest, Picture, PlannedInput, Surprise};
use crate::ffmpeg::process::child::Stdin;
use crate::ffmpeg::process::decode::{Decode, DecodeCommand, Event};
use crate::ffmpeg::process::interruption::Interruption;
use crate::ffmpeg::process::left_out::LeftOut;
use crate::ffmpeg::process::memory::Workload;
use crate::ffmpeg::process::programs::Programs;
use crate::ffmpeg::process::split::Framing;
use crate::limits::{Limits, WAITING_PICTURES_BYTES};

/// Reason why an extraction ends early.
type Stopped = Interruption<ExtractError>;

/// Maximum number of parts queued between the source and ffmpeg's stdin.
const PARTS_IN_FLIGHT: usize = 2;
/// Maximum number of concurrent decoders.
const MAX_JOBS: usize = 64;

/// Sends the pictures of the frames in the plan.
pub(super) fn extract(
    programs: &Programs,
    input: &PlannedInput,
    capable: &Capable,
    pictures: PictureSender<'_>,
) -> Result<ExtractReport, Stopped> {
    let request = &capable.request;
    let runs: Vec<usize> = (0..input.plan.runs.len()).collect();
    let jobs = input.jobs.min(MAX_JOBS).min(runs.len()).max(1);
    let stop = pictures.cancel.child_token();
    let decoders = Decoders {
        programs,
        input,
        request,
        frames: Arc::new(request.frames.clone()),
        limits: &request.limits,
        cancel: &stop,
        threads: match jobs {
            // Threads decode different samples.
            1 if input.plan.samples == 1 => 1,
            1 => programs.threads,
            jobs => (cores() / jobs).max(1),
        },
        jobs,
        runtime: Handle::current(),
    };
    let mut send = |picture: Picture| pictures.send(picture);
    let mut report = if jobs > 1 {
        decoders.decode_concurrently(&runs, &mut send)?
    } else {
        decoders.decode_all(&runs, &mut send)?
    };
    report.warnings = capable.warnings.clone();
    Ok(report)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// State that all decoders of one extraction share.
struct Decoders<'a> {
    programs: &'a Programs,
    input: &'a PlannedInput,
    request: &'a ExtractRequest,
    frames: Arc<Vec<usize>>,
    limits: &'a Limits,
    cancel: &'a CancellationToken,
    /// Number of threads of each decoder; with 0 ffmpeg chooses.
    threads: usize,
    /// Number of concurrent decoders.
    jobs: usize,
    runtime: Handle,
}

type SendPicture<'a> = &'a mut dyn FnMut(Picture) -> Result<(), ExtractError>;

impl Decoders<'_> {
    /// Decodes `runs` with as many successive decoders as needed.
    fn decode_all(&self, runs: &[usize], send: SendPicture<'_>) -> Result<ExtractReport, Stopped> {
        let mut report = ExtractReport::default();
        let source = Arc::clone(&self.input.source);
        let ahead = ReadAhead::new(source, ranges(self.input.clone(), runs.to_vec()), self.jobs);
        let ahead = Arc::new(Mutex::new(match self.request.on_demand {
            true => ahead.begin_small(),
            false => ahead,
        }));
        let mut rest = runs;
        while !rest.is_empty() {
            let (done, decoded) = self.decode(rest, &ahead, send)?;
            report = decoded;
            rest = &rest[done..];
        }
        Ok(report)
    }

    /// Distributes `runs` over concurrent decoders and sends their pictures in order.
    fn decode_concurrently(&self, runs: &[usize], send: SendPicture<'_>) -> Result<ExtractReport, Stopped> {
        let jobs = self.jobs;
        std::thread::scope(|scope| {
            // The drop guard ends the decoders on every exit. Their receivers are dropped before the threads are
            // joined.
            let _stop = self.cancel.clone().drop_guard();
            let mut decoders = Vec::with_capacity(jobs);
            for job in 0..jobs {
                let mine: Vec<usize> = runs.iter().copied().skip(job).step_by(jobs).collect();
                let (sender, receiver) = queue(self.waiting_bytes());
                let decoder = scope.spawn(move || {
                    let _runtime = self.runtime.enter();
                    let sent = |picture| sender.send(picture).map_err(|_| ExtractError::Cancelled);
                    self.decode_all(&mine, &mut { sent })
                });
                decoders.push((receiver, decoder));
            }
            for &run in runs {
                for _ in self.input.plan.runs[run].frames.clone() {
                    match decoders[run % jobs].0.receive() {
                        Some(picture) => send(picture)?,
                        // The decoder has ended; joining its thread returns the reason.
                        None => {
                            let (receiver, decoder) = decoders.swap_remove(run % jobs);
                            drop(receiver);
                            return joined(decoder.join()).and_then(|_| {
                                Err(Interruption::plan_failed(
                                    "ffmpeg returned fewer pictures than were picked",
                                ))
                            });
                        }
                    }
                }
            }
            let mut report = ExtractReport::default();
            for (receiver, decoder) in decoders {
                drop(receiver);
                report = joined(decoder.join())?;
            }
            Ok(report)
        })
    }

    /// Decodes as many of `runs` as possible with one decoder. Returns the number of decoded runs.
    fn decode(
        &self,
        runs: &[usize],
        ahead: &Arc<Mutex<ReadAhead>>,
        send: SendPicture<'_>,
    ) -> Result<(usize, ExtractReport), Stopped> {
        let clock = Clock::new(self.input, runs);
        let (parts, receiver) = mpsc::channel(PARTS_IN_FLIGHT);
        let left_out = Arc::new(LeftOut::default());
        let mut decode = self.start(receiver, Arc::clone(&left_out))?;
        let feeder = Feeder {
            input: self.input.clone(),
            frames: Arc::clone(&self.frames),
            clock,
            ahead: Arc::clone(ahead),
            parts,
            left_out,
        };
        let feeding = Feeding::start(&self.runtime, feeder, runs.to_vec());
        let mut delivery = Delivery::new(runs.iter().flat_map(|&run| self.wanted(run, clock)));
        let total = self.pictures_of(runs);
        loop {
            let event = match decode.next() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                // If feeding stopped early, the error of the feeder explains why ffmpeg failed.
                Err(error @ (ExtractError::DecoderFailed(_) | ExtractError::Damaged(_))) => {
                    drop(decode);
                    feeding.end(&self.runtime)?;
                    return Err(match error {
                        ExtractError::Damaged(damage) => Interruption::plan_failed(damage),
                        error => self.programs.explain(error, self.cancel).into(),
                    });
                }
                Err(error) => return Err(error.into()),
            };
            if matches!(event, Event::Picked { interlaced: true, .. }) && self.request.looks_for_interlaced()
            {
                return Err(Interruption::Surprise(Surprise::Interlaced));
            }
            delivery.take(event)?;
            // A decoder reports damage before the frame, so no damaged picture is sent.
            if let Some(damage) = decode.damage(None) {
                return Err(Interruption::plan_failed(damage));
            }
            delivery.send(send)?;
            if delivery.delivered == total {
                // Dropping the decode ends ffmpeg.
                return Ok((runs.len(), decode.report(&[], None)));
            }
        }
        let done = match feeding.end(&self.runtime)? {
            Fed::All => runs.len(),
            Fed::UpTo(run) => run,
        };
        let (delivered, due) = (delivery.delivered, self.pictures_of(&runs[..done]));
        if delivered != due {
            let text = format!("ffmpeg returned {delivered} pictures instead of {due}");
            return Err(Interruption::plan_failed(text));
        }
        if let Some(damage) = decode.damage(None) {
            return Err(Interruption::plan_failed(damage));
        }
        Ok((done, decode.report(&[], None)))
    }

    /// Starts a decoder that reads `parts`.
    fn start(
        &self,
        parts: mpsc::Receiver<Bytes>,
        left_out: Arc<LeftOut>,
    ) -> Result<Decode<'_>, ExtractError> {
        let memory = Workload::default()
            .decoding(&self.request.video)
            .memory(self.limits);
        Decode::start(
            &self.programs.ffmpeg.with_memory(memory).with_cpu_of(self.limits),
            DecodeCommand {
                args: args::extract_planned(self.request, self.threads, self.limits.pixels),
                stdin: Stdin::Parts(parts),
                pictures: Some(Framing::new(self.request)),
                waiting_bytes: self.waiting_bytes(),
                left_out: Some(left_out),
            },
            self.limits.stall,
            self.cancel,
        )
    }

    /// Returns the size up to which the pictures of a decoder wait for those of the others.
    fn waiting_bytes(&self) -> usize {
        match self.jobs {
            1 => 0,
            jobs => WAITING_PICTURES_BYTES / jobs,
        }
    }

    /// Returns the number of pictures of `runs`.
    fn pictures_of(&self, runs: &[usize]) -> usize {
        let frames = |&run: &usize| self.input.plan.runs[run].frames.len();
        runs.iter().map(frames).sum()
    }

    /// Returns the picked frames of a run with their timestamps.
    fn wanted(&self, run: usize, clock: Clock) -> impl Iterator<Item = (usize, i64)> {
        let index = &self.input.index;
        self.frames[self.input.plan.runs[run].frames.clone()]
            .iter()
            .map(move |&frame| (frame, clock.of_wanted(index.first_presented + frame as u32)))
    }
}

/// Matches the picks and pictures of a decoder with the `wanted` frames and their timestamps.
struct Delivery<W> {
    wanted: W,
    /// Frames that ffmpeg picked, in the order of their pictures.
    picked: VecDeque<usize>,
    pictures: VecDeque<Picture>,
    /// Number of pictures sent so far.
    delivered: usize,
}

impl<W: Iterator<Item = (usize, i64)>> Delivery<W> {
    fn new(wanted: W) -> Self {
        Self {
            wanted,
            picked: VecDeque::new(),
            pictures: VecDeque::new(),
            delivered: 0,
        }
    }

    /// Takes the next event of the decode.
    fn take(&mut self, event: Event) -> Result<(), Stopped> {
        match event {
            Event::Picked { pts, .. } => match self.wanted.next() {
                Some((frame, wanted)) if wanted == pts => self.picked.push_back(frame),
                Some((frame, wanted)) => {
                    let text = format!("timestamp {pts} instead of {wanted} for frame {frame}");
                    return Err(Interruption::plan_failed(text));
                }
                None => {
                    return Err(Interruption::plan_failed(
                        "ffmpeg returned a picture that was not picked",
                    ));
                }
            },
            Event::Picture { bytes, width, height } => self.pictures.push_back(Picture {
                frame: 0,
                bytes,
                width,
                height,
            }),
            Event::Decoded(_) | Event::Encoded { .. } | Event::Compared(_) | Event::Paused => {}
        }
        Ok(())
    }

    /// Sends the pictures whose picks have arrived. Pictures and their log lines arrive on two pipes in either
    /// order.
    fn send(&mut self, send: SendPicture<'_>) -> Result<(), ExtractError> {
        while let (Some(&frame), Some(_)) = (self.picked.front(), self.pictures.front()) {
            self.picked.pop_front();
            if let Some(picture) = self.pictures.pop_front() {
                send(Picture { frame, ..picture })?;
                self.delivered += 1;
            }
        }
        Ok(())
    }
}

/// Returns the outcome of a decoder thread.
fn joined(outcome: std::thread::Result<Result<ExtractReport, Stopped>>) -> Result<ExtractReport, Stopped> {
    outcome.unwrap_or_else(|_| {
        Err(ExtractError::DecoderFailed("the thread of a decoder panicked".to_owned()).into())
    })
}

/// Task that feeds a decoder; aborted on drop.
struct Feeding(Option<JoinHandle<Result<Fed, FeedError>>>);

impl Feeding {
    fn start(runtime: &Handle, feeder: Feeder, runs: Vec<usize>) -> Self {
        Self(Some(runtime.spawn(async move { feeder.feed(&runs).await })))
    }

    /// Returns the outcome of feeding after the decoder has reached the end of its input.
    fn end(mut self, runtime: &Handle) -> Result<Fed, Stopped> {
        let Some(task) = self.0.take() else {
            return Ok(Fed::All);
        };
        match runtime.block_on(task) {
            Ok(Ok(fed)) => Ok(fed),
            Ok(Err(FeedError::Source(error))) => Err(ExtractError::SourceFailed(error).into()),
            Ok(Err(FeedError::Plan(why))) => Err(Interruption::plan_failed(why)),
            Err(error) => Err(ExtractError::DecoderFailed(error.to_string()).into()),
        }
    }
}

impl Drop for Feeding {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
