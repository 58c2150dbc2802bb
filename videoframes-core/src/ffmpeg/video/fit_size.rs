//! A video of a given size: two passes, and more where the first try misses.

use super::args::Rate;
use super::encode::{Frames, Run, Stopped};
use crate::compress::{Codec, CompressError};
use crate::extract::ExtractError;
use crate::ffmpeg::process::interruption::Interruption;
use crate::units::approximate_seconds;

/// What a size that is met may fall short of its limit by.
const SHORT: f64 = 0.03;
/// Tries at most.
const TRIES: u32 = 8;
/// Bits a second that a pass is told that only looks at frames.
const GUESS: u64 = 1_000_000;
/// Bits a second of pictures below which no encoder goes.
const LEAST_RATE: f64 = 1_000.0;
/// Bits a second of pictures above which SVT-AV1 takes no target.
const MOST_AV1: f64 = 100e6;
/// Growth that a higher rate has to bring to be worth another try.
const GROWTH: f64 = 1.01;

/// Bytes of a container for each frame of pictures, and for what it says of itself.
const PER_FRAME: f64 = 14.0;
const FIXED: f64 = 3_000.0;

/// Encodes to `limit` bytes: not more, and at most [`SHORT`] less, unless the pictures cannot use as
/// much.
///
/// # Errors
/// [`CompressError::SizeOutOfReach`].
pub(super) fn meet(run: &Run<'_>, limit: u64, claimed_s: Option<f64>) -> Result<Frames, Stopped> {
    if run.settings.codec != Codec::Vp9 {
        return match meet_with(run, limit, claimed_s) {
            Err(Interruption::Error(CompressError::StatisticsTooLarge(most))) if run.settings.notes_trees => {
                tracing::info!(most, "it is begun again with fewer notes, which do not fit");
                run.forget_notes()?;
                let mut settings = run.settings.clone();
                settings.notes_trees = false;
                let run = Run {
                    settings: &settings,
                    ..*run
                };
                meet_with(&run, limit, claimed_s)
            }
            outcome => outcome,
        };
    }
    let ticks = run.survey(GUESS)?.common_tick();
    let settings = run.settings.clone().counting_in(ticks);
    let run = Run {
        settings: &settings,
        ..*run
    };
    meet_with(&run, limit, claimed_s)
}

fn meet_with(run: &Run<'_>, limit: u64, claimed_s: Option<f64>) -> Result<Frames, Stopped> {
    let out_of_reach = |why: String| Stopped::from(CompressError::SizeOutOfReach { limit, why });
    let target = limit as f64 * (1.0 - SHORT / 2.0);
    let two_passes = run.settings.codec != Codec::Av1;
    // The first pass tells the length too, which a container need not know.
    let claimed = claimed_s.or_else(|| run.request.video.duration.map(approximate_seconds));
    let mut surveyed = None;
    run.expect_passes(if two_passes { 2 } else { 1 });
    if two_passes {
        // What the pass is told of the rate matters little for what it learns.
        let guess = claimed.map_or(1e6, |seconds| target * 8.0 / seconds.max(0.04));
        surveyed = Some(run.survey(guess.clamp(1e4, 1e8) as u64)?);
    }
    let counted = surveyed.as_ref().and_then(|frames| frames.seconds(run.settings));
    let seconds = counted.or(claimed).unwrap_or(1.0).max(0.04);
    let frames = surveyed
        .as_ref()
        .map_or(run.request.frames(), |frames| frames.len() as u64) as f64;
    let sound = run.settings.sound_rate() as f64 * seconds / 8.0;
    let around = frames * PER_FRAME + FIXED + sound * 1.02;
    let floor = around + LEAST_RATE * seconds / 8.0;
    if floor > limit as f64 {
        let why = match sound > limit as f64 / 2.0 {
            true => format!("the sound alone takes about {sound:.0} bytes"),
            false => format!("it takes about {floor:.0} bytes at the lowest rate"),
        };
        return Err(out_of_reach(why));
    }
    let mut tries = Tries::default();
    let most_bits = match run.settings.codec {
        Codec::Av1 => MOST_AV1,
        _ => f64::MAX,
    };
    let mut bits = ((target - around).max(floor - around) * 8.0 / seconds).min(most_bits);
    loop {
        let rate = match two_passes {
            true => Rate::Planned(bits as u64),
            false => Rate::Average(bits as u64),
        };
        let (frames, size) = match run.encode(rate) {
            Err(Interruption::Error(error)) if is_too_low(&error) => {
                return Err(out_of_reach("its encoder goes no lower".to_owned()));
            }
            // It is broken off where it is larger than it may be, and above the limit for sure.
            Err(Interruption::Error(CompressError::TooLarge(ceiling))) if ceiling >= limit => {
                (None, ceiling as f64 + 1.0)
            }
            outcome => (Some(outcome?), run.output_size() as f64),
        };
        tracing::debug!(bits, size, limit, "tried");
        match tries.next(bits, size, limit as f64, target, around) {
            Next::Done => match frames {
                Some(frames) => return Ok(frames),
                None => return Err(CompressError::TooLarge(run.request.ceiling).into()),
            },
            Next::Try(rate) => {
                if let (true, Some(frames)) = (bits == most_bits && rate > bits, frames) {
                    return Ok(frames);
                }
                bits = rate.min(most_bits);
                run.expect_passes(1);
            }
            Next::GiveUp(smallest) => {
                let advice = "as small as this encoder goes";
                return Err(out_of_reach(format!("{smallest:.0} bytes is {advice}")));
            }
        }
    }
}

/// Whether an encoder says that it cannot spend as little.
fn is_too_low(error: &CompressError) -> bool {
    matches!(error, CompressError::Decoder(ExtractError::DecoderFailed(said)) if said.contains("bitrate is too low"))
}

/// What to do after a try.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Next {
    Done,
    Try(f64),
    GiveUp(f64),
}

/// The tries so far: rates and sizes.
#[derive(Debug, Default)]
struct Tries {
    count: u32,
    /// The highest rate whose size was within the limit.
    below: Option<(f64, f64)>,
    /// The lowest whose size was not.
    above: Option<(f64, f64)>,
    /// The rate whose result is taken, when it comes again.
    last: Option<f64>,
}

impl Tries {
    fn next(&mut self, bits: f64, size: f64, limit: f64, target: f64, around: f64) -> Next {
        self.count += 1;
        let within = size <= limit;
        if within && (size >= limit * (1.0 - SHORT) || self.last == Some(bits)) {
            return Next::Done;
        }
        let before = if within { self.below } else { self.above };
        let stuck = match before {
            // Twice the rate, or half of it, and hardly another size: the encoder is at its end.
            Some((rate, other)) if within => bits > rate * 1.5 && size < other * GROWTH,
            Some((rate, other)) => bits < rate / 1.5 && size > other / GROWTH,
            None => false,
        };
        let place = if within { &mut self.below } else { &mut self.above };
        *place = Some((bits, size));
        if stuck && within {
            return Next::Done;
        }
        if !within && (stuck || bits <= LEAST_RATE) {
            return self.again_or(Next::GiveUp(size));
        }
        if self.count >= TRIES {
            return match within {
                true => Next::Done,
                false => self.again_or(Next::GiveUp(size)),
            };
        }
        // The pictures' share of the size goes with the rate, more or less.
        let share = |size: f64| (size - around).max(size * 0.05);
        let next = match (self.below, self.above) {
            (Some((low, less)), Some((high, more))) if low < high && less < more => {
                let part = (share(target) / share(less)).ln() / (share(more) / share(less)).ln();
                low * (high / low).powf(part.clamp(0.1, 0.9))
            }
            _ => bits * (share(target) / share(size)).clamp(0.1, 10.0),
        };
        Next::Try(next.max(LEAST_RATE))
    }

    /// The best that was within the limit once more, where there was one.
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

    /// Tries against an encoder whose sizes are `size` of a rate, until it is done.
    fn meet(limit: f64, size: impl Fn(f64) -> f64) -> Result<f64, f64> {
        let mut tries = Tries::default();
        let target = limit * (1.0 - SHORT / 2.0);
        let mut bits = (target - 5_000.0) * 8.0 / 10.0;
        for _ in 0..20 {
            match tries.next(bits, size(bits), limit, target, 5_000.0) {
                Next::Done => return Ok(size(bits)),
                Next::Try(rate) => bits = rate,
                Next::GiveUp(smallest) => return Err(smallest),
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn encoders_that_miss_are_corrected() {
        for error in [0.5, 0.8, 0.95, 1.0, 1.05, 1.3, 2.0] {
            let size = meet(1e6, |bits| 5_000.0 + error * bits * 10.0 / 8.0).unwrap();
            assert!((0.97e6..=1e6).contains(&size), "{error}: {size}");
        }
        // One that grows faster than it is asked to, and one that grows slower.
        let size = meet(1e6, |bits| 20_000.0 + bits.powf(1.8) / 50_000.0).unwrap();
        assert!((0.97e6..=1e6).contains(&size), "{size}");
        let size = meet(1e6, |bits| 20_000.0 + bits.powf(0.9) * 6.0).unwrap();
        assert!((0.97e6..=1e6).contains(&size), "{size}");
    }

    #[test]
    fn pictures_that_cannot_use_the_room_are_done_and_those_that_need_more_are_refused() {
        assert_eq!(meet(1e6, |bits| (bits * 1.2).min(40_000.0)), Ok(40_000.0));
        assert_eq!(meet(1e5, |bits| bits.max(200_000.0)), Err(200_000.0));
        // Steps that no rate between them hits: the one below is taken.
        let steps = |bits: f64| if bits > 600_000.0 { 1.2e6 } else { 0.7e6 };
        assert_eq!(meet(1e6, steps), Ok(0.7e6));
    }
}
