//! Names of the entries, from a template.

use std::fmt;
use std::str::FromStr;

use super::layout::is_metadata;
use crate::extract::PictureFormat;
use crate::text::is_unprintable;

/// A template such as `{stem}_{index:06}_{ms}`, without the extension.
///
/// Fields:
/// - `{index}`: index of the picture, from 0;
/// - `{frame}`: number of the frame among the presented frames of the video, from 0;
/// - `{stem}`: name of the source without its extension;
/// - `{time}`: timestamp of the picture as `00-01-10.123`, rounded down;
/// - `{hh}`, `{mm}`, `{ss}`: hours, minutes and seconds of this time, with two digits;
/// - `{ms}`: timestamp in milliseconds, rounded down;
/// - `{pts}`: timestamp in the stream's ticks.
///
/// A width such as `:06` pads numbers with zeros.
///
/// Rendered names are valid on every system: reserved names such as `CON`, and folders that end with a dot,
/// get an underscore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Stem,
    Time,
    Hours,
    Minutes,
    Seconds,
    Number(Number, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Index,
    Frame,
    Milliseconds,
    Pts,
}

/// Error for an invalid template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{template}' is not a valid name template: {reason}")]
pub struct InvalidTemplate {
    template: String,
    reason: &'static str,
}

impl Default for NameTemplate {
    fn default() -> Self {
        Self {
            text: "frame_{index:06}".to_owned(),
            parts: vec![Part::Literal("frame_".to_owned()), Part::Number(Number::Index, 6)],
        }
    }
}

impl FromStr for NameTemplate {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |reason| InvalidTemplate {
            template: text.to_owned(),
            reason,
        };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            if open > 0 {
                parts.push(literal(&rest[..open]).map_err(fail)?);
            }
            let close = rest
                .find('}')
                .filter(|&c| c > open)
                .ok_or_else(|| fail("a '{' has no matching '}'"))?;
            let (field, width) = match rest[open + 1..close].split_once(':') {
                None => (&rest[open + 1..close], 0),
                Some((field, width)) => {
                    let width = width.parse().ok().filter(|&w| w <= 20);
                    (
                        field,
                        width.ok_or_else(|| fail("a width must be a number up to 20"))?,
                    )
                }
            };
            parts.push(match field {
                "stem" | "time" | "hh" | "mm" | "ss" if width > 0 => {
                    return Err(fail("only numeric fields have a width"));
                }
                "stem" => Part::Stem,
                "time" => Part::Time,
                "hh" => Part::Hours,
                "mm" => Part::Minutes,
                "ss" => Part::Seconds,
                "frame" => Part::Number(Number::Frame, width),
                "index" => Part::Number(Number::Index, width),
                "ms" => Part::Number(Number::Milliseconds, width),
                "pts" => Part::Number(Number::Pts, width),
                _ => {
                    return Err(fail(
                        "the fields are {index}, {frame}, {stem}, {time}, {hh}, {mm}, {ss}, {ms} and {pts}",
                    ));
                }
            });
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(literal(rest).map_err(fail)?);
        }
        if !parts.iter().any(|p| matches!(p, Part::Number(Number::Index, _))) {
            return Err(fail(
                "{index} is required, so that no two pictures have the same name",
            ));
        }
        if let Some((_, extension)) = text.rsplit_once('.')
            && extension.parse::<PictureFormat>().is_ok()
        {
            return Err(fail(
                "the extension must be left out, since the picture format adds it",
            ));
        }
        if text.len() > 200 {
            return Err(fail("the template is longer than 200 bytes"));
        }
        if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(fail("a folder is empty, '.' or '..'"));
        }
        if text
            .split_once('/')
            .is_some_and(|(folder, _)| is_metadata(folder))
        {
            return Err(fail("a folder has the name of a manifest"));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }
}

impl NameTemplate {
    /// Returns whether names contain frame numbers.
    pub(crate) fn has_frame_numbers(&self) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Number(Number::Frame, _)))
    }
}

fn literal(text: &str) -> Result<Part, &'static str> {
    if text.contains('}') {
        return Err("a '}' has no matching '{'");
    }
    if text.chars().any(|c| is_hidden(c) || matches!(c, '\\' | ':')) {
        return Err("the template contains a character that some systems do not allow in file names");
    }
    Ok(Part::Literal(text.to_owned()))
}

impl fmt::Display for NameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// The properties of a picture that its name may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameFields<'a> {
    /// Name of the source.
    pub source: &'a str,
    /// Index of the picture in the archive, counted from 0.
    pub index: usize,
    /// Number of the frame among the presented frames, counted from 0.
    pub frame: usize,
    /// Time of the frame in milliseconds.
    pub milliseconds: i128,
    /// Presentation timestamp of the frame.
    pub pts: i64,
}

impl NameTemplate {
    /// Returns the name of a picture without its extension, safe inside an archive.
    #[must_use]
    pub(crate) fn render(&self, fields: &NameFields<'_>) -> String {
        let mut name = String::new();
        let seconds = fields.milliseconds.div_euclid(1000);
        for part in &self.parts {
            match part {
                Part::Literal(text) => name.push_str(text),
                Part::Stem => name.push_str(&stem(fields.source)),
                Part::Time => name.push_str(&time(fields.milliseconds)),
                Part::Hours => name.push_str(&format!("{:02}", seconds / 3600)),
                Part::Minutes => name.push_str(&format!("{:02}", seconds / 60 % 60)),
                Part::Seconds => name.push_str(&format!("{:02}", seconds % 60)),
                Part::Number(number, width) => {
                    let value = match number {
                        Number::Index => fields.index as i128,
                        Number::Frame => fields.frame as i128,
                        Number::Milliseconds => fields.milliseconds,
                        Number::Pts => i128::from(fields.pts),
                    };
                    name.push_str(&format!("{value:0width$}"));
                }
            }
        }
        let last = name.matches('/').count();
        let components = name.split('/').enumerate();
        let components = components.map(|(index, component)| portable(component, index == last));
        let name = components.collect::<Vec<_>>().join("/");
        match name.split_once('/') {
            Some((folder, rest)) if is_metadata(folder) => format!("{folder}_/{rest}"),
            _ => name,
        }
    }
}

/// Formats a time as `00-01-10.123`: some systems do not allow colons.
fn time(milliseconds: i128) -> String {
    let (seconds, rest) = (milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000));
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}-{minutes:02}-{:02}.{rest:03}", seconds % 60)
}

/// Makes a component of a path valid on every system. An extension follows the last component.
fn portable(component: &str, is_last: bool) -> String {
    let stem = component.split('.').next().unwrap_or_default();
    let rest = &component[stem.len()..];
    let mut name = match is_device(stem.trim_end()) {
        true => format!("{stem}_{rest}"),
        false => component.to_owned(),
    };
    if !is_last && name.ends_with(['.', ' ']) {
        name.push('_');
    }
    name
}

/// Returns whether Windows reserves the name for a device, with any extension.
fn is_device(stem: &str) -> bool {
    let stem = stem.to_ascii_uppercase();
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) || number.is_some_and(|number| {
        let mut digits = number.chars();
        matches!(
            (digits.next(), digits.next()),
            (Some('0'..='9' | '¹' | '²' | '³'), None)
        )
    })
}

/// Returns whether a character is invisible and not allowed in names. Joiners are parts of words and emoji.
fn is_hidden(c: char) -> bool {
    is_unprintable(c) && !matches!(c, '\u{200c}' | '\u{200d}')
}

/// Returns the name without its extension, limited in length, without path separators.
fn stem(source_name: &str) -> String {
    let stem = match source_name.rfind('.') {
        Some(dot) if dot > 0 => &source_name[..dot],
        _ => source_name,
    };
    clean(stem)
}

/// Returns `name` as one component of a path: limited in length, without path separators, and valid on every system.
#[must_use]
pub fn portable_name(name: &str) -> String {
    portable(&clean(name), false)
}

fn clean(name: &str) -> String {
    let allowed = |c: char| {
        if is_hidden(c) || matches!(c, '/' | '\\' | ':' | '\u{fffd}') {
            '_'
        } else {
            c
        }
    };
    let clean: String = name.chars().take(100).map(allowed).collect();
    if matches!(clean.as_str(), "" | "." | "..") {
        "video".to_owned()
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &NameTemplate, source: &str, numbers: (usize, i128, i64)) -> String {
        let (index, milliseconds, pts) = numbers;
        template.render(&NameFields {
            source,
            index,
            frame: 10 * index,
            milliseconds,
            pts,
        })
    }

    #[test]
    fn template_renders_every_field() {
        let template: NameTemplate = "{stem}_{index:04}_{time}_{ms}_{pts}".parse().unwrap();
        assert_eq!(
            render(&template, "a.b.mp4", (7, 1500, 23)),
            "a.b_0007_00-00-01.500_1500_23"
        );
        let time: NameTemplate = "{time}-{index}".parse().unwrap();
        assert_eq!(render(&time, "x", (0, 3_723_004, 0)), "01-02-03.004-0");
        assert_eq!(render(&time, "x", (0, 360_000_000, 0)), "100-00-00.000-0");
        let parts: NameTemplate = "{hh}h{mm}m{ss}_{frame:05}-{index}".parse().unwrap();
        assert_eq!(render(&parts, "x", (4, 3_723_004, 0)), "01h02m03_00040-4");
    }

    #[test]
    fn template_cannot_leave_the_archive_or_collide() {
        for bad in [
            "x",
            "../{index}",
            "{index}/../y",
            "/{index}",
            "{index",
            "{foo}{index}",
            "a}{index}",
            "manifest.json/{index}",
            "{index:4}/{stem}.jpg",
            "{index}.JPEG",
            "{time:3}{index}",
            "a\u{202e}{index}",
        ] {
            assert!(bad.parse::<NameTemplate>().is_err(), "{bad}");
        }
        let template: NameTemplate = "{stem}/{index}".parse().unwrap();
        assert_eq!(render(&template, "...mp4", (0, 0, 0)), "video/0");
    }

    #[test]
    fn names_are_valid_on_every_system() {
        let template: NameTemplate = "{stem}/{stem}/{index}".parse().unwrap();
        for (source, folder) in [
            ("CON.mp4", "CON_"),
            ("nul.tar.mp4", "nul_.tar"),
            ("lpt1.mp4", "lpt1_"),
            ("com.mp4", "com"),
            ("console.mp4", "console"),
            ("a..mp4", "a._"),
            ("a .mp4", "a _"),
            ("evil\u{202e}gpj.mp4", "evil_gpj"),
            ("esc\u{1b}[2J\u{9b}.mp4", "esc_[2J_"),
            ("👩\u{200d}🚀.mp4", "👩\u{200d}🚀"),
        ] {
            assert_eq!(
                render(&template, source, (3, 0, 0)),
                format!("{folder}/{folder}/3")
            );
        }
        for (name, component) in [
            ("..", "video"),
            ("a/../b", "a_.._b"),
            ("nul", "nul_"),
            ("a.", "a._"),
        ] {
            assert_eq!(portable_name(name), component);
        }
        let folder: NameTemplate = "{stem}/{index}".parse().unwrap();
        let manifest = render(&folder, "manifest.csv.mp4", (0, 0, 0));
        assert_eq!(manifest, "manifest.csv_/0");
        let last: NameTemplate = "{index}/{stem}".parse().unwrap();
        assert_eq!(render(&last, "aux.mp4", (0, 0, 0)), "0/aux_");
        assert_eq!(render(&last, "a .mp4", (0, 0, 0)), "0/a ");
    }
}
