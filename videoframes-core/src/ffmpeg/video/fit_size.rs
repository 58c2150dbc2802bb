//! Encoding to a given size: two passes, and further attempts if the size is missed.

use super::args::Rate;
use super::encode::{Frames, Run, Stopped};
use crate::compress::{Codec, CompressError};
use crate::extract::ExtractError;
use crate::ffmpeg::process::interruption::Interruption;
use crate::units::approximate_seconds;

/// Maximum fraction by which a file may be smaller than the limit.
const SHORT: f64 = 0.03;
/// Maximum number of attempts.
const MAX_ATTEMPTS: u32 = 8;
/// Bit rate for a first pass that only collects timestamps.
const GUESS: u64 = 1_000_000;
/// Minimum bit rate of a video in bits per second; no encoder supports less.
const MIN_RATE: f64 = 1_000.0;
/// Maximum target bit rate of SVT-AV1 in bits per second.
const MAX_AV1_RATE: f64 = 100e6;
/// Minimum growth of the file at a higher rate that justifies another attempt.
const GROWTH: f64 = 1.01;

/// Bytes of container overhead for each frame, and per file.
const PER_FRAME: f64 = 14.0;
const FIXED: f64 = 3_000.0;

/// Encodes to at most `limit` bytes and at least a fraction of 1 − [`SHORT`] of them, unless the frames do not
/// need as much.
///
/// # Errors
/// Fails with [`CompressError::SizeOutOfReach`] if the encoder cannot reach the size.
pub(super) fn encode_to_size(run: &Run<'_>, limit: u64, claimed_s: Option<f64>) -> Result<Frames, Stopped> {
    if run.settings.codec != Codec::Vp9 {
        return match attempt(run, limit, claimed_s) {
            Err(Interruption::Error(CompressError::StatisticsTooLarge(max)))
                if run.settings.macroblock_tree =>
            {
                tracing::info!(most = max, "encoding again with smaller two-pass statistics");
                run.remove_statistics()?;
                let mut settings = run.settings.clone();
                settings.macroblock_tree = false;
                let run = Run {
                    settings: &settings,
                    ..*run
                };
                attempt(&run, limit, claimed_s)
            }
            outcome => outcome,
        };
    }
    let ticks = run.first_pass(GUESS)?.common_tick();
    let settings = run.settings.clone().counting_in(ticks);
    let run = Run {
        settings: &settings,
        ..*run
    };
    attempt(&run, limit, claimed_s)
}

fn attempt(run: &Run<'_>, limit: u64, claimed_s: Option<f64>) -> Result<Frames, Stopped> {
    let out_of_reach = |why: String| Stopped::from(CompressError::SizeOutOfReach { limit, why });
    let target = limit as f64 * (1.0 - SHORT / 2.0);
    let two_passes = run.settings.codec != Codec::Av1;
    // The first pass also measures the duration, which the container need not contain.
    let claimed = claimed_s.or_else(|| run.request.video.duration.map(approximate_seconds));
    let mut first_pass = None;
    run.expect_passes(if two_passes { 2 } else { 1 });
    if two_passes {
        // The bit rate of the first pass hardly affects its statistics.
        let guess = claimed.map_or(1e6, |seconds| target * 8.0 / seconds.max(0.04));
        first_pass = Some(run.first_pass(guess.clamp(1e4, 1e8) as u64)?);
    }
    let counted = first_pass
        .as_ref()
        .and_then(|frames| frames.seconds(run.settings));
    let seconds = counted.or(claimed).unwrap_or(1.0).max(0.04);
    let frames = first_pass
        .as_ref()
        .map_or(run.request.frames(), |frames| frames.len() as u64) as f64;
    let audio = run.settings.audio_bit_rate() as f64 * seconds / 8.0;
    let around = frames * PER_FRAME + FIXED + audio * 1.02;
    let floor = around + MIN_RATE * seconds / 8.0;
    if floor > limit as f64 {
        let why = match audio > limit as f64 / 2.0 {
            true => format!("the audio alone takes about {audio:.0} bytes"),
            false => format!("the video takes about {floor:.0} bytes at the lowest rate"),
        };
        return Err(out_of_reach(why));
    }
    let mut attempts = Attempts::new(Goal {
        limit: limit as f64,
        target,
        around,
    });
    let max_bits = match run.settings.codec {
        Codec::Av1 => MAX_AV1_RATE,
        _ => f64::MAX,
    };
    let mut bits = ((target - around).max(floor - around) * 8.0 / seconds).min(max_bits);
    loop {
        let rate = match two_passes {
            true => Rate::Planned(bits as u64),
            false => Rate::Average(bits as u64),
        };
        let (frames, size) = match run.encode(rate) {
            Err(Interruption::Error(error)) if is_too_low(&error) => {
                return Err(out_of_reach(
                    "the encoder does not support a lower bit rate".to_owned(),
                ));
            }
            // An encode is stopped as soon as its output is too large, and then certainly above the limit.
            Err(Interruption::Error(CompressError::TooLarge(ceiling))) if ceiling >= limit => {
                (None, ceiling as f64 + 1.0)
            }
            outcome => (Some(outcome?), run.output_size() as f64),
        };
        tracing::debug!(bits, size, limit, "encoded");
        match attempts.next(bits, size) {
            Next::Done => match frames {
                Some(frames) => return Ok(frames),
                None => return Err(CompressError::TooLarge(run.request.ceiling).into()),
            },
            Next::Try(rate) => {
                if let (true, Some(frames)) = (bits == max_bits && rate > bits, frames) {
                    return Ok(frames);
                }
                bits = rate.min(max_bits);
                run.expect_passes(1);
            }
            Next::GiveUp(smallest) => {
                let why = format!("the smallest output of this encoder is {smallest:.0} bytes");
                return Err(out_of_reach(why));
            }
        }
    }
}

/// Returns whether the encoder rejected the bit rate as too low.
fn is_too_low(error: &CompressError) -> bool {
    matches!(error, CompressError::Decoder(ExtractError::DecoderFailed(said)) if said.contains("bitrate is too low"))
}

/// Action after an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Next {
    Done,
    Try(f64),
    GiveUp(f64),
}

/// Sizes in bytes that an attempt has to meet.
#[derive(Debug, Clone, Copy)]
struct Goal {
    /// Maximum size.
    limit: f64,
    /// Size that the next attempt aims at.
    target: f64,
    /// Part of the size that does not depend on the bit rate of the video.
    around: f64,
}

/// Rates and sizes of the previous attempts.
#[derive(Debug)]
struct Attempts {
    goal: Goal,
    count: u32,
    /// Highest rate whose size was within the limit.
    below: Option<(f64, f64)>,
    /// Lowest rate whose size exceeded the limit.
    above: Option<(f64, f64)>,
    /// Rate whose result is accepted at its second attempt.
    last: Option<f64>,
}

impl Attempts {
    fn new(goal: Goal) -> Self {
        Self {
            goal,
            count: 0,
            below: None,
            above: None,
            last: None,
        }
    }

    /// Returns the action after an attempt at a rate of `bits` that resulted in `size` bytes.
    fn next(&mut self, bits: f64, size: f64) -> Next {
        let Goal {
            limit,
            target,
            around,
        } = self.goal;
        self.count += 1;
        let within = size <= limit;
        if within && (size >= limit * (1.0 - SHORT) || self.last == Some(bits)) {
            return Next::Done;
        }
        let before = if within { self.below } else { self.above };
        let stuck = match before {
            // The rate was doubled or halved, but the size hardly changed: the encoder has reached its limit.
            Some((rate, other)) if within => bits > rate * 1.5 && size < other * GROWTH,
            Some((rate, other)) => bits < rate / 1.5 && size > other / GROWTH,
            None => false,
        };
        let slot = if within { &mut self.below } else { &mut self.above };
        *slot = Some((bits, size));
        if stuck && within {
            return Next::Done;
        }
        if !within && (stuck || bits <= MIN_RATE) {
            return self.again_or(Next::GiveUp(size));
        }
        if self.count >= MAX_ATTEMPTS {
            return match within {
                true => Next::Done,
                false => self.again_or(Next::GiveUp(size)),
            };
        }
        // The size of the video is roughly proportional to the rate.
        let video = |size: f64| (size - around).max(size * 0.05);
        let next = match (self.below, self.above) {
            (Some((low, less)), Some((high, more))) if low < high && less < more => {
                let part = (video(target) / video(less)).ln() / (video(more) / video(less)).ln();
                low * (high / low).powf(part.clamp(0.1, 0.9))
            }
            _ => bits * (video(target) / video(size)).clamp(0.1, 10.0),
        };
        Next::Try(next.max(MIN_RATE))
    }

    /// Repeats the best attempt within the limit, if there was one.
    fn again_or(&mut self, otherwise: Next) -> Next {
        match self.below {
            Some((bits, _)) if self.last.is_none() => {
                self.last = Some(bits);
                Next::Try(bits)
            }
            _ => otherwise,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Simulates attempts against an encoder with `size` as a function of the rate.
    fn meet(limit: f64, size: impl Fn(f64) -> f64) -> Result<f64, f64> {
        let target = limit * (1.0 - SHORT / 2.0);
        let mut attempts = Attempts::new(Goal {
            limit,
            target,
            around: 5_000.0,
        });
        let mut bits = (target - 5_000.0) * 8.0 / 10.0;
        for _ in 0..20 {
            match attempts.next(bits, size(bits)) {
                Next::Done => return Ok(size(bits)),
                Next::Try(rate) => bits = rate,
                Next::GiveUp(smallest) => return Err(smallest),
            }
        }
        panic!("the attempts never end");
    }

    #[test]
    fn corrects_encoders_that_miss_the_target() {
        for error in [0.5, 0.8, 0.95, 1.0, 1.05, 1.3, 2.0] {
            let size = meet(1e6, |bits| 5_000.0 + error * bits * 10.0 / 8.0).unwrap();
            assert!((0.97e6..=1e6).contains(&size), "{error}: {size}");
        }
        // Sizes that grow faster than the rate, and sizes that grow slower.
        let size = meet(1e6, |bits| 20_000.0 + bits.powf(1.8) / 50_000.0).unwrap();
        assert!((0.97e6..=1e6).contains(&size), "{size}");
        let size = meet(1e6, |bits| 20_000.0 + bits.powf(0.9) * 6.0).unwrap();
        assert!((0.97e6..=1e6).contains(&size), "{size}");
    }

    #[test]
    fn accepts_small_outputs_and_rejects_unreachable_sizes() {
        assert_eq!(meet(1e6, |bits| (bits * 1.2).min(40_000.0)), Ok(40_000.0));
        assert_eq!(meet(1e5, |bits| bits.max(200_000.0)), Err(200_000.0));
        // Steps that no rate between them hits: the lower step is chosen.
        let steps = |bits: f64| if bits > 600_000.0 { 1.2e6 } else { 0.7e6 };
        assert_eq!(meet(1e6, steps), Ok(0.7e6));
    }
}
