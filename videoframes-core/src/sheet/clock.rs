//! Times as hours, minutes, seconds and milliseconds.

use crate::units::Rational;

/// Milliseconds of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Milliseconds(u64);

impl Milliseconds {
    /// Rounds down to milliseconds. Negative times become 0.
    pub(crate) fn floor(seconds: Rational) -> Self {
        Self::from_rounded((seconds * Rational::from_integer(1000)).floor())
    }

    /// Rounds up to milliseconds. Negative times become 0.
    pub(crate) fn ceil(seconds: Rational) -> Self {
        Self::from_rounded((seconds * Rational::from_integer(1000)).ceil())
    }

    fn from_rounded(milliseconds: Rational) -> Self {
        Self(u64::try_from(milliseconds.to_integer().max(0)).unwrap_or(u64::MAX))
    }

    /// Returns `HH:MM:SS.mmm`, as in WebVTT.
    pub(crate) fn hours(self) -> String {
        let (hours, rest) = (self.0 / 3_600_000, Self(self.0 % 3_600_000));
        format!("{hours:02}:{}", rest.minutes())
    }

    /// Returns `MM:SS.mmm`.
    fn minutes(self) -> String {
        format!("{}.{:03}", self.seconds(), self.0 % 1000)
    }

    /// Returns `MM:SS`.
    fn seconds(self) -> String {
        format!("{:02}:{:02}", self.0 / 60_000, self.0 / 1000 % 60)
    }

    /// Returns the time in shorter and shorter forms. Only the last one lacks the milliseconds.
    pub(crate) fn forms(self) -> [String; 3] {
        match self.0 < 3_600_000 {
            true => [self.hours(), self.minutes(), self.seconds()],
            false => {
                let [hours, minutes] = [self.0 / 3_600_000, self.0 / 60_000 % 60];
                let short = format!("{hours}:{minutes:02}:{:02}", self.0 / 1000 % 60);
                [self.hours(), format!("{short}.{:03}", self.0 % 1000), short]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_several_forms() {
        for (milliseconds, forms) in [
            (0, ["00:00:00.000", "00:00.000", "00:00"]),
            (62_345, ["00:01:02.345", "01:02.345", "01:02"]),
            (3_723_004, ["01:02:03.004", "1:02:03.004", "1:02:03"]),
            (360_000_000, ["100:00:00.000", "100:00:00.000", "100:00:00"]),
        ] {
            assert_eq!(Milliseconds(milliseconds).forms(), forms);
        }
        assert_eq!(Milliseconds::floor(Rational::new(2, 3)), Milliseconds(666));
        assert_eq!(Milliseconds::ceil(Rational::new(2, 3)), Milliseconds(667));
        assert_eq!(Milliseconds::floor(Rational::from_integer(-1)), Milliseconds(0));
    }
}
