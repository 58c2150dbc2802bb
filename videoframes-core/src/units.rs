//! Rational time: frame rates, time bases and seconds, without floating-point numbers.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use num_rational::Ratio;
use num_traits::CheckedAdd;

/// An exact rational number of seconds (or a plain ratio), for all time arithmetic.
pub type Rational = Ratio<i128>;

/// Limit of numbers that [`parse_rational`] accepts.
const LIMIT: i128 = 10i128.pow(13);
/// Maximum numerator of such a number.
const MAX_NUMERATOR: i128 = 10i128.pow(21);
/// Maximum denominator of such a number: nanoseconds, given in milliseconds.
const MAX_DENOMINATOR: i128 = 10i128.pow(12);

/// Error for a text that is not a number, time or rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {expected}")]
pub struct ParseUnitError {
    text: String,
    expected: &'static str,
}

impl ParseUnitError {
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            expected,
        }
    }
}

/// Parses `7`, `7/3` or `29.97` (a decimal fraction, exactly) as a non-negative rational. Accepts the text of every value that it
/// returns, since jobs are stored as text.
///
/// # Errors
/// Fails for anything else, more than nine decimals, a zero denominator, or a number of 10¹³ or more.
pub(crate) fn parse_rational(text: &str) -> Result<Rational, ParseUnitError> {
    let value = parse_ratio(text).and_then(bounded);
    value.ok_or_else(|| ParseUnitError::new(text, "a non-negative number such as 2, 0.5 or 30000/1001"))
}

/// Parses a rational whose numerator and denominator are below 10²².
fn parse_ratio(text: &str) -> Option<Rational> {
    let digits = |part: &str, max: usize| -> Option<i128> {
        if part.is_empty() || part.len() > max || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        part.parse().ok()
    };
    let (numerator, denominator) = if let Some((n, d)) = text.split_once('/') {
        (digits(n, 22)?, digits(d, 22)?)
    } else if let Some((whole, fraction)) = text.split_once('.') {
        if fraction.len() > 9 || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let scale = 10i128.pow(fraction.len() as u32);
        let part = |part: &str| match part.is_empty() {
            true => Some(0),
            false => digits(part, 13),
        };
        (part(whole)? * scale + part(fraction)?, scale)
    } else {
        (digits(text, 13)?, 1)
    };
    (denominator != 0).then(|| Ratio::new(numerator, denominator))
}

/// Returns a value within the limits: arithmetic with it does not overflow, and its text can be parsed.
fn bounded(value: Rational) -> Option<Rational> {
    let (numerator, denominator) = (*value.numer(), *value.denom());
    let is_exact = numerator <= MAX_NUMERATOR && denominator <= MAX_DENOMINATOR;
    (is_exact && numerator < LIMIT * denominator).then_some(value)
}

/// Parses a number of bytes: `1500`, `25MB`, `2GiB`.
///
/// # Errors
/// Fails for anything else, and for numbers that exceed 64 bits.
pub fn parse_size(text: &str) -> Result<u64, ParseUnitError> {
    let fail = || ParseUnitError::new(text, "a size such as 1500, 25MB or 2GiB");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(fail()),
    };
    let number: Option<u64> = text[..digits].parse().ok();
    number
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(fail)
}

/// Parses a time: seconds (`1.5`, `7/3`), `MM:SS`, `HH:MM:SS.mmm`, or units (`1h5m2.5s`, `250ms`, `2d`).
///
/// # Errors
/// Fails for anything else, and for negative times.
pub fn parse_time(text: &str) -> Result<Rational, ParseUnitError> {
    let fail = || ParseUnitError::new(text, "a time such as 1.5, 00:01:10.123 or 5m2s");
    if text.contains(':') {
        let parts: Vec<&str> = text.split(':').collect();
        if parts.len() > 3 {
            return Err(fail());
        }
        let mut total = Ratio::from_integer(0);
        for (index, part) in parts.iter().enumerate() {
            let value = parse_rational(part).map_err(|_| fail())?;
            let last = index + 1 == parts.len();
            if (!last && !value.is_integer()) || (index > 0 && value >= Ratio::from_integer(60)) {
                return Err(fail());
            }
            total = add(total * Ratio::from_integer(60), value).ok_or_else(fail)?;
        }
        return Ok(total);
    }
    if !text.bytes().any(|b| b.is_ascii_alphabetic()) {
        return parse_rational(text).map_err(|_| fail());
    }
    let mut rest = text;
    let mut total = Ratio::from_integer(0);
    let mut previous = Ratio::from_integer(i128::from(u32::MAX));
    while !rest.is_empty() {
        let split = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(fail)?;
        let value = parse_rational(&rest[..split]).map_err(|_| fail())?;
        rest = &rest[split..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "d" => Ratio::from_integer(86_400),
            "h" => Ratio::from_integer(3600),
            "m" | "min" => Ratio::from_integer(60),
            "s" => Ratio::from_integer(1),
            "ms" => Ratio::new(1, 1000),
            _ => return Err(fail()),
        };
        if unit >= previous {
            return Err(fail());
        }
        previous = unit;
        rest = &rest[end..];
        total = add(total, value * unit).ok_or_else(fail)?;
    }
    Ok(total)
}

/// Returns a sum within the limits.
fn add(total: Rational, value: Rational) -> Option<Rational> {
    total.checked_add(&value).and_then(bounded)
}

/// Frames per second, an exact positive rational.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRate(Rational);

impl FrameRate {
    /// Returns a rate of `rate` frames per second; `None` unless `rate` is positive.
    #[must_use]
    pub fn new(rate: Rational) -> Option<Self> {
        (rate > Ratio::from_integer(0)).then_some(Self(rate))
    }

    /// Returns the rate of one frame every `seconds`; `None` unless `seconds` is positive.
    #[must_use]
    pub fn every(seconds: Rational) -> Option<Self> {
        (seconds > Ratio::from_integer(0)).then(|| Self(seconds.recip()))
    }

    /// Returns the seconds between two frames.
    #[must_use]
    pub fn interval(self) -> Rational {
        self.0.recip()
    }
}

impl FromStr for FrameRate {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The limits apply to the rate, or to the interval from which the rate was computed.
        let is_bounded = |rate: &Self| bounded(rate.0).or_else(|| bounded(rate.interval())).is_some();
        let rate = parse_ratio(text).and_then(Self::new).filter(is_bounded);
        rate.ok_or_else(|| ParseUnitError::new(text, "a frame rate above 0 such as 1, 1/10 or 29.97"))
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Seconds per tick of a stream's timestamps: `numerator / denominator`, both above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBase {
    numerator: u32,
    denominator: u32,
}

impl TimeBase {
    /// Returns a time base; `None` if either part is 0.
    #[must_use]
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        (numerator > 0 && denominator > 0).then_some(Self {
            numerator,
            denominator,
        })
    }

    /// Returns the denominator.
    pub fn denominator(self) -> u32 {
        self.denominator
    }

    /// Returns a time base whose tick is `ticks` times as long; `None` if it is out of range.
    pub(crate) fn times(self, ticks: u32) -> Option<Self> {
        let tick = Ratio::new(
            u64::from(self.numerator) * u64::from(ticks),
            u64::from(self.denominator),
        );
        Self::new(
            u32::try_from(*tick.numer()).ok()?,
            u32::try_from(*tick.denom()).ok()?,
        )
    }

    /// Returns `ticks` as exact seconds.
    #[must_use]
    pub fn seconds(self, ticks: i128) -> Rational {
        Ratio::new(ticks * i128::from(self.numerator), i128::from(self.denominator))
    }

    /// Returns the number of whole ticks in `seconds`, rounded down; `None` if it does not fit.
    #[must_use]
    pub(crate) fn whole_ticks(self, seconds: Rational) -> Option<i128> {
        let scaled = seconds.numer().checked_mul(i128::from(self.denominator))?;
        let per = seconds.denom().checked_mul(i128::from(self.numerator))?;
        Some(scaled.div_euclid(per))
    }
}

impl fmt::Display for TimeBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

impl FromStr for TimeBase {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = || ParseUnitError::new(text, "a time base such as 1/90000");
        let (n, d) = text.split_once('/').ok_or_else(fail)?;
        Self::new(n.parse().map_err(|_| fail())?, d.parse().map_err(|_| fail())?).ok_or_else(fail)
    }
}

/// Returns seconds as a float, for display and JSON only.
#[must_use]
pub fn approximate_seconds(value: Rational) -> f64 {
    *value.numer() as f64 / *value.denom() as f64
}

/// Returns a time as a duration, at most a billion seconds; `None` for a negative time.
#[must_use]
pub fn approximate_duration(time: Rational) -> Option<Duration> {
    Duration::try_from_secs_f64(approximate_seconds(time).min(1e9)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimal_or_binary_units() {
        for (text, bytes) in [("1500", 1500), ("25MB", 25_000_000), ("2 GiB", 2 << 30), ("0", 0)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "-1", "1.5MB", "5 parsecs", "99999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn decimals_are_exact_fractions() {
        assert_eq!(parse_rational("29.97").unwrap(), Ratio::new(2997, 100));
        assert_eq!(parse_rational("30000/1001").unwrap(), Ratio::new(30000, 1001));
        for bad in [
            "",
            ".",
            "-1",
            "1/0",
            "1e3",
            "nan",
            "1.0000000001",
            "99999999999999",
        ] {
            assert!(parse_rational(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_parsed_in_every_common_format() {
        for (text, expected) in [
            ("1.5", Ratio::new(3, 2)),
            ("2d1h", Ratio::from_integer(176_400)),
            ("00:01:10.123", Ratio::new(70123, 1000)),
            ("5m2s", Ratio::from_integer(302)),
            ("1h", Ratio::from_integer(3600)),
            ("250ms", Ratio::new(1, 4)),
            ("1:02", Ratio::from_integer(62)),
        ] {
            assert_eq!(parse_time(text).unwrap(), expected, "{text}");
        }
        for bad in [
            "1:60",
            "1:2:3:4",
            "5x",
            "s",
            "2s1m",
            "1.5:10",
            "-3",
            "9999999999999d",
            "9999999999999:00",
            "1/999999999937d1/999999999959h1/999999999961m1/999999999989s",
        ] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_text_of_a_number_is_the_same_number() {
        for text in [
            "37205050.737205050",
            "100000000000.000000001",
            "5h33m20.123456789s",
            "9999999999999",
            "12345678901234/999999999999",
        ] {
            let time = parse_time(text).unwrap();
            assert_eq!(parse_time(&time.to_string()), Ok(time), "{text}");
            let rate = FrameRate::every(time).unwrap();
            assert_eq!(rate.to_string().parse(), Ok(rate), "{text}");
        }
    }
}
