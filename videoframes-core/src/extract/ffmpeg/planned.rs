//! Extraction from the samples that a plan names: every picture is known by its timestamp.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::args;
use super::child::Stdin;
use super::decode::{Decode, Event};
use super::feed::{Clock, Fed, FeedError, Feeder};
use super::program::Programs;
use crate::extract::{ExtractError, ExtractReport, ExtractRequest, Picture, PlannedInput};
use crate::limits::Limits;

/// Parts that wait between the source and ffmpeg's stdin.
const PARTS_IN_FLIGHT: usize = 2;

pub(super) fn extract(
    programs: &Programs,
    input: &PlannedInput,
    request: &ExtractRequest,
    limits: &Limits,
    pictures: &mpsc::Sender<Picture>,
    cancel: &CancellationToken,
) -> Result<ExtractReport, ExtractError> {
    let (request, warnings) = programs.capable_of(request)?;
    let decoders = Decoders {
        programs,
        input,
        request: &request,
        frames: Arc::new(request.frames.clone()),
        limits,
        cancel,
        threads: 0,
    };
    let mut report = ExtractReport::default();
    let runs: Vec<usize> = (0..input.plan.runs.len()).collect();
    let mut rest = &runs[..];
    while !rest.is_empty() {
        let (done, decoded) = decoders.decode(rest, &mut |picture| {
            pictures
                .blocking_send(picture)
                .map_err(|_| ExtractError::Cancelled)
        })?;
        report = decoded;
        rest = &rest[done..];
    }
    report.warnings = warnings;
    Ok(report)
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
}

impl Decoders<'_> {
    /// Decodes `runs` with one decoder, as many of them as it can take. Returns how many those were.
    fn decode(
        &self,
        runs: &[usize],
        send: &mut dyn FnMut(Picture) -> Result<(), ExtractError>,
    ) -> Result<(usize, ExtractReport), ExtractError> {
        let clock = Clock::of(self.input, runs);
        let (parts, receiver) = mpsc::channel(PARTS_IN_FLIGHT);
        let mut decode = Decode::start(
            &self.programs.ffmpeg,
            args::extract_planned(self.request, self.threads),
            Stdin::Parts(receiver),
            Some(self.request.picture.format),
            self.limits.stall,
            self.cancel,
        )?;
        let feeder = Feeder {
            input: self.input.clone(),
            frames: Arc::clone(&self.frames),
            clock,
            parts,
        };
        let feeding = Feeding::start(feeder, runs.to_vec());
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
                Err(error @ ExtractError::DecoderFailed(_)) => {
                    drop(decode);
                    feeding.end()?;
                    return Err(self.programs.explain(error));
                }
                Err(error) => return Err(error),
            };
            match event {
                Event::Picked { interlaced: true, .. } if self.request.looks_for_interlaced() => {
                    return Err(ExtractError::Interlaced);
                }
                Event::Picked { pts, .. } => match expected.next() {
                    Some((frame, wanted)) if wanted == pts => picked.push_back(frame),
                    Some((frame, wanted)) => {
                        let text = format!("timestamp {pts} came, not {wanted} of frame {frame}");
                        return Err(ExtractError::PlanFailed(text));
                    }
                    None => return Err(ExtractError::PlanFailed("a picture came unasked".to_owned())),
                },
                Event::Picture { bytes, width, height } => pictures.push_back(Picture {
                    frame: 0,
                    bytes,
                    width,
                    height,
                }),
                Event::Decoded { .. } => {}
            }
            // Pictures and what is said of them come by two pipes, either one first.
            while let (Some(&frame), Some(_)) = (picked.front(), pictures.front()) {
                picked.pop_front();
                if let Some(picture) = pictures.pop_front() {
                    send(Picture { frame, ..picture })?;
                    delivered += 1;
                }
            }
            if let Some(damage) = &decode.damage {
                return Err(ExtractError::PlanFailed(damage.clone()));
            }
            if delivered == total {
                // Dropping the decode ends it.
                return Ok((runs.len(), decode.report(&[])?));
            }
        }
        let done = match feeding.end()? {
            Fed::All => runs.len(),
            Fed::UpTo(run) => run,
        };
        let due: usize = runs[..done]
            .iter()
            .map(|&run| self.input.plan.runs[run].frames.len())
            .sum();
        if delivered != due {
            let text = format!("{delivered} pictures came, not {due}");
            return Err(ExtractError::PlanFailed(text));
        }
        if let Some(damage) = &decode.damage {
            return Err(ExtractError::PlanFailed(damage.clone()));
        }
        Ok((done, decode.report(&[])?))
    }

    /// The frames of a run with the timestamps that they will carry.
    fn wanted(&self, run: usize, clock: Clock) -> impl Iterator<Item = (usize, i64)> {
        let index = &self.input.index;
        self.frames[self.input.plan.runs[run].frames.clone()]
            .iter()
            .map(move |&frame| (frame, clock.of_wanted(index.first_presented + frame as u32)))
    }
}

/// A feed that runs beside its decoder, and ends with it.
struct Feeding(Option<JoinHandle<Result<Fed, FeedError>>>);

impl Feeding {
    fn start(feeder: Feeder, runs: Vec<usize>) -> Self {
        Self(Some(
            Handle::current().spawn(async move { feeder.feed(&runs).await }),
        ))
    }

    /// How it ended, once the decoder has seen its end.
    fn end(mut self) -> Result<Fed, ExtractError> {
        let Some(task) = self.0.take() else {
            return Ok(Fed::All);
        };
        match Handle::current().block_on(task) {
            Ok(Ok(fed)) => Ok(fed),
            Ok(Err(FeedError::Source(error))) => Err(ExtractError::SourceFailed(error)),
            Ok(Err(FeedError::Plan(why))) => Err(ExtractError::PlanFailed(why.to_owned())),
            Err(error) => Err(ExtractError::DecoderFailed(error.to_string())),
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
