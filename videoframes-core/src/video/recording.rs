//! What a container says about the recording of its video. Pure. Nothing in it is trusted.

use std::fmt;

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

use crate::limits::RECORDING_TEXT_BYTES;
use crate::units::Rational;

/// First and last year of a plausible recording. Clocks that were never set are earlier.
const YEARS: std::ops::RangeInclusive<i32> = 1990..=2100;

/// Start, camera and location of a recording, as far as the container has them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Recording {
    /// Start of the recording, if plausible.
    pub start: Option<RecordingTime>,
    /// Manufacturer of the camera.
    pub make: Option<String>,
    /// Model of the camera.
    pub model: Option<String>,
    /// Location of the camera.
    pub location: Option<Location>,
}

/// A point in time with the zone of the camera. Displayed as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingTime(OffsetDateTime);

/// A location on the Earth (WGS 84).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Location {
    /// Degrees, positive in the north.
    pub latitude: Rational,
    /// Degrees, positive in the east.
    pub longitude: Rational,
    /// Metres above sea level.
    pub altitude: Option<Rational>,
}

impl Recording {
    /// Interprets the tags of a container by ffmpeg's names. Names are compared without case.
    pub(crate) fn from_tags<'a>(tags: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Self {
        let first = |names: &[&str]| {
            let value = |name: &&str| {
                let mut tags = tags.clone();
                tags.find(|(found, _)| found.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value)
            };
            names.iter().find_map(value)
        };
        let text = |names: &[&str]| {
            let text = first(names)?.trim();
            let end = text.floor_char_boundary(RECORDING_TEXT_BYTES);
            (!text.is_empty()).then(|| text[..end].to_owned())
        };
        // The first one has the zone of the camera, and the second one is UTC.
        let starts = ["com.apple.quicktime.creationdate", "creation_time"];
        Self {
            start: starts
                .iter()
                .find_map(|name| RecordingTime::parse(first(&[name])?)),
            make: text(&["com.apple.quicktime.make", "com.android.manufacturer", "make"]),
            model: text(&["com.apple.quicktime.model", "com.android.model", "model"]),
            location: first(&["com.apple.quicktime.location.ISO6709", "location"]).and_then(Location::parse),
        }
    }
}

impl RecordingTime {
    /// Parses a plausible time such as `2024-05-01T14:03:22+0200` or `2024-05-01T12:03:22.500000Z`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let number = |from: usize, to: usize| digits(text.get(from..to)?);
        let is =
            |at: usize, separators: &[u8]| text.as_bytes().get(at).is_some_and(|b| separators.contains(b));
        let separated = is(4, b"-") && is(7, b"-") && is(10, b"T ") && is(13, b":") && is(16, b":");
        let month = Month::try_from(u8::try_from(number(5, 7)?).ok()?).ok()?;
        let small = |value: u32| u8::try_from(value).ok();
        let year = i32::try_from(number(0, 4)?).ok()?;
        let date = Date::from_calendar_date(year, month, small(number(8, 10)?)?).ok()?;
        let rest = text.get(19..)?;
        let (fraction, zone) = match rest.strip_prefix('.') {
            Some(rest) => {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                rest.split_at(end)
            }
            None => ("", rest),
        };
        // Digits beyond microseconds are dropped.
        let micros = format!("{fraction:0<6}");
        let micros = digits(micros.get(..6)?)?;
        let (hour, minute) = (small(number(11, 13)?)?, small(number(14, 16)?)?);
        let time = Time::from_hms_micro(hour, minute, small(number(17, 19)?)?, micros).ok()?;
        let time = date.with_time(time).assume_offset(zone_offset(zone)?);
        (separated && YEARS.contains(&year)).then_some(Self(time))
    }

    /// Returns the time this many seconds later, in the same zone.
    pub(crate) fn plus(self, seconds: Rational) -> Option<OffsetDateTime> {
        let nanoseconds = (seconds * Rational::from_integer(1_000_000_000))
            .floor()
            .to_integer();
        let duration = time::Duration::nanoseconds(i64::try_from(nanoseconds).ok()?);
        self.0.checked_add(duration)
    }
}

impl fmt::Display for RecordingTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

/// Parses `Z`, `+02`, `+0200` or `+02:00`.
fn zone_offset(text: &str) -> Option<UtcOffset> {
    if text == "Z" {
        return Some(UtcOffset::UTC);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = (text.get(1..3)?, text.get(3..)?);
    let minutes = match minutes.strip_prefix(':').unwrap_or(minutes) {
        "" => "0",
        minutes => minutes,
    };
    let part = |text: &str| i8::try_from(digits(text)?).ok();
    let (hours, minutes) = (part(hours)?, part(minutes)?);
    (hours < 24 && minutes < 60).then(|| UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok())?
}

/// Parses at most nine decimal digits.
fn digits(text: &str) -> Option<u32> {
    let valid = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| text.parse().ok())?
}

impl Location {
    /// Parses a location by ISO 6709, annex H: `+48.8577+002.2950+035.0/`, also with minutes or seconds.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.split_once('/').map_or(text, |(location, _)| location);
        if text.len() > RECORDING_TEXT_BYTES {
            return None;
        }
        let mut starts: Vec<usize> = text.match_indices(['+', '-']).map(|(at, _)| at).collect();
        starts.push(text.len());
        let parts: Vec<&str> = starts.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
        let (latitude, longitude, altitude) = match parts.as_slice() {
            [latitude, longitude] => (latitude, longitude, None),
            // A name of the coordinate reference system may follow.
            [latitude, longitude, altitude, ..] => {
                let metres = altitude.split("CRS").next().unwrap_or_default();
                (latitude, longitude, signed(metres))
            }
            _ => return None,
        };
        let within = |value: Rational, limit: i128| {
            let limit = Rational::from_integer(limit);
            (-limit <= value && value <= limit).then_some(value)
        };
        Some(Self {
            latitude: within(degrees(latitude, 2)?, 90)?,
            longitude: within(degrees(longitude, 3)?, 180)?,
            altitude: altitude.and_then(|altitude| within(altitude, 100_000)),
        })
    }
}

/// Parses a decimal number with a sign, and at most nine digits on both sides of the point.
fn signed(text: &str) -> Option<Rational> {
    let negative = text.starts_with('-');
    let text = text.strip_prefix(['+', '-'])?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let number =
        Rational::from_integer(digits(whole)?.into()) + Rational::new(digits(fraction)?.into(), scale);
    Some(if negative { -number } else { number })
}

/// Parses an angle: `whole` digits of degrees, then optional minutes and seconds of two digits each.
fn degrees(text: &str, whole: usize) -> Option<Rational> {
    let number = signed(text)?;
    let integer = text.get(1..)?.split('.').next()?.len();
    let hundred = Rational::from_integer(100);
    let sixty = Rational::from_integer(60);
    let (negative, number) = (
        number < Rational::from_integer(0),
        if text.starts_with('-') { -number } else { number },
    );
    // Separates the last two digits before the point.
    let split = |number: Rational| ((number / hundred).floor(), number % hundred);
    let angle = match integer.checked_sub(whole)? {
        0 => number,
        2 => {
            let (degrees, minutes) = split(number);
            degrees + minutes / sixty
        }
        4 => {
            let (rest, seconds) = split(number);
            let (degrees, minutes) = split(rest);
            degrees + minutes / sixty + seconds / sixty / sixty
        }
        _ => return None,
    };
    Some(if negative { -angle } else { angle })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_are_plausible_and_have_a_zone() {
        for (text, expected) in [
            ("2024-05-01T14:03:22+0200", Some("2024-05-01T14:03:22+02:00")),
            ("2024-05-01T14:03:22-03:30", Some("2024-05-01T14:03:22-03:30")),
            ("2024-05-01T12:03:22.500000Z", Some("2024-05-01T12:03:22.5Z")),
            (
                "2024-02-29 12:03:22.123456789Z",
                Some("2024-02-29T12:03:22.123456Z"),
            ),
            ("2023-02-29T12:03:22Z", None),
            ("2024-05-01T24:03:22Z", None),
            ("2024-05-01T12:03:22", None),
            ("2024-05-01T12:03:22+99:00", None),
            ("2024-05-01T12:03:22.Zé", None),
            ("1970-01-01T00:00:00Z", None),
            ("9999-01-01T00:00:00Z", None),
            ("2024é05-01T12:03:22Z", None),
            ("", None),
        ] {
            let found = RecordingTime::parse(text).map(|time| time.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        let end = RecordingTime::parse("2024-12-31T23:59:59+01:00").unwrap();
        let later = end.plus(Rational::new(7, 3)).unwrap();
        assert_eq!(
            later.format(&Rfc3339).unwrap(),
            "2025-01-01T00:00:01.333333333+01:00"
        );
    }

    #[test]
    fn locations_are_parsed() {
        let exact = |n: i128, d: i128| Rational::new(n, d);
        for (text, expected) in [
            (
                "+48.8577+002.295/",
                Some((exact(488_577, 10_000), exact(2_295, 1000), None)),
            ),
            (
                "-90-180.0+035.5/",
                Some((exact(-90, 1), exact(-180, 1), Some(exact(71, 2)))),
            ),
            (
                "+40.5-075.25+350CRSWGS_84/",
                Some((exact(81, 2), exact(-301, 4), Some(exact(350, 1)))),
            ),
            ("-0030.5+00006/", Some((exact(-61, 120), exact(1, 10), None))),
            (
                "+483036-0020530.6",
                Some((exact(4851, 100), exact(-12_551, 6_000), None)),
            ),
            ("+91+000/", None),
            ("+48.8577/", None),
            ("48.8577,2.295", None),
            ("+48.8577+02.295/", None),
            ("+4é+002/", None),
            ("+1.9999999999999999999+002/", None),
        ] {
            let found = Location::parse(text).map(|l| (l.latitude, l.longitude, l.altitude));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn the_tags_of_cameras_are_preferred() {
        let tags = [
            ("creation_time", "2024-05-01T12:03:22.000000Z"),
            ("com.apple.quicktime.creationdate", "2024-05-01T14:03:20+0200"),
            ("MAKE", " Camera\u{e9} "),
            ("com.apple.quicktime.model", "Phone"),
            ("model", "other"),
        ];
        let recording = Recording::from_tags(tags.into_iter());
        assert_eq!(recording.start.unwrap().to_string(), "2024-05-01T14:03:20+02:00");
        assert_eq!(recording.make.as_deref(), Some("Cameraé"));
        assert_eq!(recording.model.as_deref(), Some("Phone"));
        assert_eq!(recording.location, None);
        let long = "é".repeat(1000);
        let recording = Recording::from_tags([("make", long.as_str())].into_iter());
        assert!(recording.make.unwrap().len() <= RECORDING_TEXT_BYTES);
    }
}
