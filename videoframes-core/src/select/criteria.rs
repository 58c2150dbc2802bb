//! Criteria for the content of frames: thresholds and filters.

use std::fmt;
use std::str::FromStr;

use num_rational::Ratio;

use crate::units::{ParseUnitError, Rational, approximate_seconds, parse_rational};

/// Difference from the previous frame at which a scene begins: above 0, at most 255.
///
/// The difference is the `content_val` of the `ContentDetector` of PySceneDetect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SceneThreshold(Rational);

impl SceneThreshold {
    /// Creates a threshold; `None` outside 0–255, and for 0.
    #[must_use]
    pub fn new(value: Rational) -> Option<Self> {
        (value > Ratio::from_integer(0) && value <= Ratio::from_integer(255)).then_some(Self(value))
    }

    /// Returns the value as a float.
    pub fn get(self) -> f64 {
        approximate_seconds(self.0)
    }
}

impl Default for SceneThreshold {
    /// Returns 27, the default of PySceneDetect.
    fn default() -> Self {
        Self(Ratio::from_integer(27))
    }
}

impl FromStr for SceneThreshold {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let value = parse_rational(text).ok().and_then(Self::new);
        value.ok_or_else(|| ParseUnitError::new(text, "a threshold above 0 and at most 255, such as 27"))
    }
}

impl fmt::Display for SceneThreshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Minimum sharpness of a frame that is not blurred: the variance of the Laplacian, above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinSharpness(Rational);

impl MinSharpness {
    /// Creates a limit; `None` unless `value` is above 0 and at most a million.
    #[must_use]
    pub fn new(value: Rational) -> Option<Self> {
        (value > Ratio::from_integer(0) && value <= Ratio::from_integer(1_000_000)).then_some(Self(value))
    }

    /// Returns the value as a float.
    pub fn get(self) -> f64 {
        approximate_seconds(self.0)
    }
}

impl Default for MinSharpness {
    /// Returns 100.
    fn default() -> Self {
        Self(Ratio::from_integer(100))
    }
}

impl FromStr for MinSharpness {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let value = parse_rational(text).ok().and_then(Self::new);
        value.ok_or_else(|| ParseUnitError::new(text, "a sharpness above 0 and at most 1000000, such as 100"))
    }
}

impl fmt::Display for MinSharpness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Maximum Hamming distance between the perceptual hashes of frames that count as equal: 0 to 32 of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashDistance(u8);

impl HashDistance {
    /// Creates a distance; `None` above 32.
    #[must_use]
    pub fn new(bits: u8) -> Option<Self> {
        (bits <= 32).then_some(Self(bits))
    }

    /// Returns the number of bits.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for HashDistance {
    /// Returns 4.
    fn default() -> Self {
        Self(4)
    }
}

impl FromStr for HashDistance {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bits = text.parse().ok().and_then(Self::new);
        bits.ok_or_else(|| ParseUnitError::new(text, "a distance from 0 to 32 bits"))
    }
}

impl fmt::Display for HashDistance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Filters that leave out selected frames by their content. Applied in the order of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Filters {
    /// Whether black frames are left out.
    pub skip_black: bool,
    /// Minimum sharpness of the frames.
    pub skip_blurred: Option<MinSharpness>,
    /// Distance up to which a frame is a duplicate of an earlier picture, and is left out.
    pub dedupe: Option<HashDistance>,
}

impl Filters {
    /// Leaves out black frames.
    #[must_use]
    pub fn skip_black(mut self) -> Self {
        self.skip_black = true;
        self
    }

    /// Leaves out frames of less than `sharpness`.
    #[must_use]
    pub fn skip_blurred(mut self, sharpness: MinSharpness) -> Self {
        self.skip_blurred = Some(sharpness);
        self
    }

    /// Leaves out frames whose perceptual hash has at most this distance to that of an earlier picture.
    #[must_use]
    pub fn dedupe(mut self, distance: HashDistance) -> Self {
        self.dedupe = Some(distance);
        self
    }

    /// Returns whether no frame is left out.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the filters in canonical form, such as `skip_blurred=100`.
    #[must_use]
    pub fn canonical(&self) -> Vec<String> {
        let black = self.skip_black.then(|| "skip_black".to_owned());
        let blurred = self.skip_blurred.map(|min| format!("skip_blurred={min}"));
        let dedupe = self.dedupe.map(|distance| format!("dedupe={distance}"));
        black.into_iter().chain(blurred).chain(dedupe).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_outside_their_range_are_refused() {
        for bad in ["0", "-1", "256", "x", ""] {
            assert!(bad.parse::<SceneThreshold>().is_err(), "{bad}");
        }
        assert!("33".parse::<HashDistance>().is_err() && "0".parse::<HashDistance>().is_ok());
        assert!("0".parse::<MinSharpness>().is_err() && "0.5".parse::<MinSharpness>().is_ok());
        assert_eq!("27.0".parse(), Ok(SceneThreshold::default()));
    }

    #[test]
    fn filters_have_a_canonical_form() {
        let all = Filters::default()
            .skip_black()
            .skip_blurred("62.5".parse().unwrap())
            .dedupe(HashDistance::default());
        assert_eq!(all.canonical(), ["skip_black", "skip_blurred=125/2", "dedupe=4"]);
        assert!(Filters::default().canonical().is_empty());
    }
}
