//! Display times of the frames of an animated picture.

use super::format::PreviewFormat;
use crate::units::Rational;

/// How long frames are displayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timing {
    /// Each frame until the time of the next one.
    RealTime {
        /// End of the video, in seconds from the first frame.
        end: Rational,
    },
    /// Every frame for this number of seconds.
    Constant(Rational),
}

/// Returns the display time of each frame in ticks of the format, or the number of seconds that is too long for the format.
/// `targets` are the times of the frames in order.
///
/// The ends of the frames are rounded, not their display times, so that rounding errors do not add up. A frame that is too
/// short for the format shortens the frames after it.
pub(crate) fn display_times(
    format: PreviewFormat,
    timing: Timing,
    targets: &[Rational],
) -> Result<Vec<u32>, Rational> {
    let per_second = Rational::new(1000, format.tick().into());
    let mut start = 0;
    let times = targets.iter().enumerate().map(|(index, target)| {
        let length = match timing {
            Timing::Constant(delay) => delay,
            Timing::RealTime { end } => length(targets, index, end),
        };
        let end = match timing {
            Timing::Constant(delay) => delay * Rational::from_integer(index as i128 + 1),
            Timing::RealTime { .. } => *target - targets[0] + length,
        };
        let end = (end * per_second).round().to_integer();
        let ticks = (end - start).max(format.min_ticks().into());
        start += ticks;
        let ticks = u32::try_from(ticks).ok();
        ticks.filter(|ticks| *ticks <= format.max_ticks()).ok_or(length)
    });
    times.collect()
}

/// Returns the number of seconds until the next frame. The last frame lasts until the end of the video, but not longer than
/// the frame before it.
fn length(targets: &[Rational], index: usize, end: Rational) -> Rational {
    match targets.get(index + 1) {
        Some(next) => *next - targets[index],
        None => {
            let rest = end - targets[index];
            let before = index
                .checked_sub(1)
                .map(|before| targets[index] - targets[before]);
            before.map_or(rest, |before| before.min(rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PreviewFormat::{Gif, Webp};

    fn seconds(numerator: i128, denominator: i128) -> Rational {
        Rational::new(numerator, denominator)
    }

    fn grid(count: i128, rate: i128) -> Vec<Rational> {
        (0..count).map(|k| seconds(k, rate) + seconds(7, 3)).collect()
    }

    #[test]
    fn display_times_follow_the_targets_without_drift() {
        let long = Timing::RealTime {
            end: seconds(1000, 1),
        };
        for (format, targets, timing, expected) in [
            (Webp, grid(4, 10), long, vec![100, 100, 100, 100]),
            (Webp, grid(4, 30), long, vec![33, 34, 33, 33]),
            (Gif, grid(7, 30), long, vec![3, 4, 3, 3, 4, 3, 3]),
            (Gif, grid(4, 15), long, vec![7, 6, 7, 7]),
            // Faster than the format allows.
            (Gif, grid(3, 100), long, vec![2, 2, 2]),
            (Webp, grid(3, 120), long, vec![11, 11, 11]),
            // Short frames shorten later frames.
            (
                Gif,
                vec![seconds(0, 1), seconds(0, 1), seconds(1, 100), seconds(1, 1)],
                long,
                vec![2, 2, 96, 99],
            ),
            // The last frame ends with the video.
            (
                Webp,
                vec![seconds(1, 1), seconds(2, 1)],
                Timing::RealTime { end: seconds(9, 4) },
                vec![1000, 250],
            ),
            (
                Webp,
                vec![seconds(1, 1)],
                Timing::RealTime { end: seconds(5, 4) },
                vec![250],
            ),
            (Webp, vec![], long, vec![]),
            (
                Gif,
                vec![seconds(1, 1); 3],
                Timing::Constant(seconds(1, 24)),
                vec![4, 4, 5],
            ),
            (
                Webp,
                vec![seconds(1, 1); 2],
                Timing::Constant(seconds(1, 2)),
                vec![500, 500],
            ),
        ] {
            assert_eq!(
                display_times(format, timing, &targets),
                Ok(expected),
                "{format:?} {targets:?}"
            );
        }
    }

    #[test]
    fn a_frame_that_is_displayed_too_long_is_an_error() {
        let (targets, end) = ([seconds(0, 1), seconds(656, 1)], seconds(657, 1));
        let timing = Timing::RealTime { end };
        assert_eq!(display_times(Gif, timing, &targets), Err(seconds(656, 1)));
        assert_eq!(display_times(Webp, timing, &targets), Ok(vec![656_000, 1000]));
        let delay = Timing::Constant(seconds(20_000, 1));
        assert_eq!(display_times(Webp, delay, &targets), Err(seconds(20_000, 1)));
    }
}
