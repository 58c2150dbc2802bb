//! Colours of a sheet.

use std::fmt;
use std::str::FromStr;

use crate::units::ParseUnitError;

/// A colour without transparency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour {
    rgb: [u8; 3],
}

impl Colour {
    /// Black.
    pub const BLACK: Self = Self::new(0, 0, 0);
    /// White.
    pub const WHITE: Self = Self::new(255, 255, 255);

    /// Creates a colour from red, green and blue.
    #[must_use]
    pub const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self {
            rgb: [red, green, blue],
        }
    }

    /// Returns red, green and blue.
    #[must_use]
    pub const fn rgb(self) -> [u8; 3] {
        self.rgb
    }
}

impl FromStr for Colour {
    type Err = ParseUnitError;

    /// Parses `black`, `white`, or three or six hexadecimal digits, with or without `#`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "black" => return Ok(Self::BLACK),
            "white" => return Ok(Self::WHITE),
            _ => {}
        }
        let digits: Option<Vec<u8>> = text
            .strip_prefix('#')
            .unwrap_or(text)
            .chars()
            .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        match digits.as_deref() {
            Some(&[r, g, b]) => Ok(Self::new(17 * r, 17 * g, 17 * b)),
            Some(&[r, s, g, h, b, c]) => Ok(Self::new(16 * r + s, 16 * g + h, 16 * b + c)),
            _ => Err(ParseUnitError::new(
                text,
                "a colour such as 1e1e1e, '#fff', black or white",
            )),
        }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [r, g, b] = self.rgb;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_parsed() {
        for (text, colour) in [
            ("black", "#000000"),
            ("White", "#ffffff"),
            ("1e1E1f", "#1e1e1f"),
            ("#f80", "#ff8800"),
        ] {
            assert_eq!(
                text.parse::<Colour>().map(|c| c.to_string()),
                Ok(colour.to_owned())
            );
        }
        for text in ["", "#", "12345", "#1234567", "ggg", "ünü", "red"] {
            assert!(text.parse::<Colour>().is_err(), "{text}");
        }
    }
}
