//! Extraction from the samples that a plan names: every picture is known by its timestamp.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::args;
use super::capable::capable_of;
use super::deliver::PictureSender;
use super::feed::{Clock, Fed, FeedError, Feeder};
use crate::extract::{ExtractError, ExtractReport, ExtractRequest, Picture, PlannedInput, Surprise};
use crate::ffmpeg::process::child::Stdin;
use crate::ffmpeg::process::decode::{Decode, DecodeCommand, Event};
use crate::ffmpeg::process::interruption::Interruption;
use crate::ffmpeg::process::memory::Workload;
use crate::ffmpeg::process::program::Programs;
use crate::limits::Limits;

/// Why an extraction ends early.
type Stopped = Interruption<ExtractError>;

/// Parts that wait between the source and ffmpeg's stdin.
const PARTS_IN_FLIGHT: usize = 2;
/// Pictures that wait for those of other decoders, of each decoder.
const PICTURES_IN_FLIGHT: usize = 2;
/// Cores that one decoder uses well: beyond them its threads wait for each other.
const THREADS_OF_ONE: usize = 4;
/// Most decoders that run side by side.
const MOST_JOBS: usize = 64;

/// Sends the pictures of the frames that a plan was made for.
pub(super) fn extract(
    programs: &Programs,
    input: &PlannedInput,
    request: &ExtractRequest,
    pictures: PictureSender<'_>,
) -> Result<ExtractReport, Stopped> {
    let (request, warnings) = capable_of(programs, request)?;
    let runs: Vec<usize> = (0..input.plan.runs.len()).collect();
    let jobs = jobs(input, runs.len());
    let stop = pictures.cancel.child_token();
    let decoders = Decoders {
        programs,
        input,
        request: &request,
        frames: Arc::new(request.frames.clone()),
        limits: &request.limits,
        cancel: &stop,
        threads: if jobs > 1 { (cores() / jobs).max(1) } else { 0 },
        runtime: Handle::current(),
    };
    let mut send = |picture: Picture| pictures.send(picture);
    let mut report = if jobs > 1 {
        decoders.decode_side_by_side(&runs, jobs, &mut send, &stop)?
    } else {
        decoders.decode_all(&runs, &mut send)?
    };
    report.warnings = warnings;
    Ok(report)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// How many decoders run side by side.
fn jobs(input: &PlannedInput, runs: usize) -> usize {
    let wanted = match input.jobs {
        // One decoder keeps about four cores busy by itself.
        0 => cores().div_ceil(THREADS_OF_ONE),
        jobs => jobs,
    };
    wanted.min(MOST_JOBS).min(runs).max(1)
}

/// What all decoders of one extraction share.
struct Decoders<'a> {
    programs: &'a Programs,
    input: &'a PlannedInput,
    request: &'a ExtractRequest,
    frames: Arc<Vec<usize>>,
    limits: &'a Limits,
    cancel: &'a CancellationToken,
    /// Threads of each decoder; 0 leaves it to ffmpeg.
    threads: usize,
    runtime: Handle,
}

type Send<'a> = &'a mut dyn FnMut(Picture) -> Result<(), ExtractError>;

impl Decoders<'_> {
    /// Decodes `runs`, one decoder after the other where one cannot take them all.
    fn decode_all(&self, runs: &[usize], send: Send<'_>) -> Result<ExtractReport, Stopped> {
        let mut report = ExtractReport::default();
        let mut rest = runs;
        while !rest.is_empty() {
            let (done, decoded) = self.decode(rest, send)?;
            report = decoded;
            rest = &rest[done..];
        }
        Ok(report)
    }

    /// Deals `runs` out to as many decoders as there are `jobs`, and sends what they give in order.
    fn decode_side_by_side(
        &self,
        runs: &[usize],
        jobs: usize,
        send: Send<'_>,
        stop: &CancellationToken,
    ) -> Result<ExtractReport, Stopped> {
        std::thread::scope(|scope| {
            // Whatever ends this ends the decoders: their receivers are dropped before they are joined.
            let _stop = stop.clone().drop_guard();
            let mut decoders = Vec::with_capacity(jobs);
            for job in 0..jobs {
                let mine: Vec<usize> = runs.iter().copied().skip(job).step_by(jobs).collect();
                let (sender, receiver) = sync_channel(PICTURES_IN_FLIGHT);
                let decoder = scope.spawn(move || {
                    let sent = |picture| sender.send(picture).map_err(|_| ExtractError::Cancelled);
                    self.decode_all(&mine, &mut { sent })
                });
                decoders.push((receiver, decoder));
            }
            for &run in runs {
                for _ in self.input.plan.runs[run].frames.clone() {
                    match decoders[run % jobs].0.recv() {
                        Ok(picture) => send(picture)?,
                        // It has ended, and says below why.
                        Err(_) => {
                            let (receiver, decoder) = decoders.swap_remove(run % jobs);
                            drop(receiver);
                            return joined(decoder.join()).and_then(|_| {
                                Err(Interruption::plan_failed("fewer pictures came than were picked"))
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

    /// Decodes `runs` with one decoder, as many of them as it can take. Returns how many those were.
    fn decode(&self, runs: &[usize], send: Send<'_>) -> Result<(usize, ExtractReport), Stopped> {
        let clock = Clock::of(self.input, runs);
        let (parts, receiver) = mpsc::channel(PARTS_IN_FLIGHT);
        let memory = Workload::default()
            .decoding(&self.request.video)
            .memory(self.limits);
        let mut decode = Decode::start(
            &self.programs.ffmpeg.with_memory(memory),
            DecodeCommand {
                args: args::extract_planned(self.request, self.threads, self.limits.pixels),
                stdin: Stdin::Parts(receiver),
                format: Some(self.request.picture.format),
            },
            self.limits.stall,
            self.cancel,
        )?;
        let feeder = Feeder {
            input: self.input.clone(),
            frames: Arc::clone(&self.frames),
            clock,
            parts,
        };
        let feeding = Feeding::start(&self.runtime, feeder, runs.to_vec());
        let mut expected = runs.iter().flat_map(|&run| self.wanted(run, clock));
        let mut picked: VecDeque<usize> = VecDeque::new();
        let mut pictures: VecDeque<Picture> = VecDeque::new();
        let mut delivered = 0;
        let total: usize = runs
            .iter()
            .map(|&run| self.input.plan.runs[run].frames.len())
            .sum();
        loop {
            let event = match decode.next() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                // A feed that broke off explains why ffmpeg had too little to go on with.
                Err(error @ (ExtractError::DecoderFailed(_) | ExtractError::Damaged(_))) => {
                    drop(decode);
                    feeding.end(&self.runtime)?;
                    return Err(match error {
                        ExtractError::Damaged(damage) => Interruption::plan_failed(damage),
                        error => self.programs.explain(error).into(),
                    });
                }
                Err(error) => return Err(error.into()),
            };
            match event {
                Event::Picked { interlaced: true, .. } if self.request.looks_for_interlaced() => {
                    return Err(Interruption::Surprise(Surprise::Interlaced));
                }
                Event::Picked { pts, .. } => match expected.next() {
                    Some((frame, wanted)) if wanted == pts => picked.push_back(frame),
                    Some((frame, wanted)) => {
                        let text = format!("timestamp {pts} came, not {wanted} of frame {frame}");
                        return Err(Interruption::plan_failed(text));
                    }
                    None => return Err(Interruption::plan_failed("a picture came unasked")),
                },
                Event::Picture { bytes, width, height } => pictures.push_back(Picture {
                    frame: 0,
                    bytes,
                    width,
                    height,
                }),
                Event::Decoded(_) | Event::Encoded { .. } | Event::Compared(_) | Event::Paused => {}
            }
            // Pictures and what is said of them come by two pipes, either one first.
            while let (Some(&frame), Some(_)) = (picked.front(), pictures.front()) {
                picked.pop_front();
                if let Some(picture) = pictures.pop_front() {
                    send(Picture { frame, ..picture })?;
                    delivered += 1;
                }
            }
            if let Some(damage) = decode.damage(None) {
                return Err(Interruption::plan_failed(damage));
            }
            if delivered == total {
                // Dropping the decode ends it.
                return Ok((runs.len(), decode.report(&[], None)));
            }
        }
        let done = match feeding.end(&self.runtime)? {
            Fed::All => runs.len(),
            Fed::UpTo(run) => run,
        };
        let due: usize = runs[..done]
            .iter()
            .map(|&run| self.input.plan.runs[run].frames.len())
            .sum();
        if delivered != due {
            let text = format!("{delivered} pictures came, not {due}");
            return Err(Interruption::plan_failed(text));
        }
        if let Some(damage) = decode.damage(None) {
            return Err(Interruption::plan_failed(damage));
        }
        Ok((done, decode.report(&[], None)))
    }

    /// The frames of a run with the timestamps that they will carry.
    fn wanted(&self, run: usize, clock: Clock) -> impl Iterator<Item = (usize, i64)> {
        let index = &self.input.index;
        self.frames[self.input.plan.runs[run].frames.clone()]
            .iter()
            .map(move |&frame| (frame, clock.of_wanted(index.first_presented + frame as u32)))
    }
}

/// The outcome of a decoder's thread.
fn joined(outcome: std::thread::Result<Result<ExtractReport, Stopped>>) -> Result<ExtractReport, Stopped> {
    outcome.unwrap_or_else(|_| Err(ExtractError::DecoderFailed("its thread panicked".to_owned()).into()))
}

/// A feed that runs beside its decoder, and ends with it.
struct Feeding(Option<JoinHandle<Result<Fed, FeedError>>>);

impl Feeding {
    fn start(runtime: &Handle, feeder: Feeder, runs: Vec<usize>) -> Self {
        Self(Some(runtime.spawn(async move { feeder.feed(&runs).await })))
    }

    /// How it ended, once the decoder has seen its end.
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
