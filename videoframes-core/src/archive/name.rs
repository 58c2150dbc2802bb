//! Names of the entries, from a template.

use std::fmt;
use std::str::FromStr;

/// A template such as `{stem}_{index:06}_{ms}`, without the extension.
///
/// `{index}` counts from 0, `{stem}` is the source's name without extension, `{ms}` the picture's
/// own time in milliseconds (rounded down), `{pts}` its timestamp in the stream's ticks. A width
/// such as `:06` pads numbers with zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Stem,
    Number(Number, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Index,
    Milliseconds,
    Pts,
}

/// A template that cannot name entries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{template}' is not a name template: {reason}")]
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
                .ok_or_else(|| fail("a '{' is not closed"))?;
            let (field, width) = match rest[open + 1..close].split_once(':') {
                None => (&rest[open + 1..close], 0),
                Some((field, width)) => {
                    let width = width.parse().ok().filter(|&w| w <= 20);
                    (field, width.ok_or_else(|| fail("a width is a number up to 20"))?)
                }
            };
            parts.push(match field {
                "stem" => Part::Stem,
                "index" => Part::Number(Number::Index, width),
                "ms" => Part::Number(Number::Milliseconds, width),
                "pts" => Part::Number(Number::Pts, width),
                _ => return Err(fail("the fields are {index}, {stem}, {ms} and {pts}")),
            });
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(literal(rest).map_err(fail)?);
        }
        if !parts.iter().any(|p| matches!(p, Part::Number(Number::Index, _))) {
            return Err(fail("it needs {index}, so that no two pictures share a name"));
        }
        if text.len() > 200 {
            return Err(fail("it is longer than 200 bytes"));
        }
        if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(fail("a folder in it is empty, '.' or '..'"));
        }
        if text.split('/').next() == Some(super::MANIFEST_NAME) && text.contains('/') {
            return Err(fail("a folder in it is called as the manifest"));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }
}

fn literal(text: &str) -> Result<Part, &'static str> {
    if text.contains('}') {
        return Err("a '}' was never opened");
    }
    if text.chars().any(|c| c.is_control() || matches!(c, '\\' | ':')) {
        return Err("it holds a character that not every system allows in a file name");
    }
    Ok(Part::Literal(text.to_owned()))
}

impl fmt::Display for NameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl NameTemplate {
    /// The name of a picture: no extension, safe inside an archive.
    pub fn render(&self, source_name: &str, index: usize, milliseconds: i128, pts: i64) -> String {
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => name.push_str(text),
                Part::Stem => name.push_str(&stem(source_name)),
                Part::Number(number, width) => {
                    let value = match number {
                        Number::Index => index as i128,
                        Number::Milliseconds => milliseconds,
                        Number::Pts => i128::from(pts),
                    };
                    name.push_str(&format!("{value:0width$}"));
                }
            }
        }
        name
    }
}

/// The name without its extension, cut to a sane length, with nothing that could leave a folder.
fn stem(source_name: &str) -> String {
    let stem = match source_name.rfind('.') {
        Some(dot) if dot > 0 => &source_name[..dot],
        _ => source_name,
    };
    let clean = |c: char| {
        if c.is_control() || matches!(c, '/' | '\\' | ':' | '\u{fffd}') {
            '_'
        } else {
            c
        }
    };
    let clean: String = stem.chars().take(100).map(clean).collect();
    if matches!(clean.as_str(), "" | "." | "..") {
        "video".to_owned()
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_renders_every_field() {
        let template: NameTemplate = "{stem}_{index:04}_{ms}_{pts}".parse().unwrap();
        assert_eq!(template.render("a.b.mp4", 7, 1500, 23), "a.b_0007_1500_23");
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
        ] {
            assert!(bad.parse::<NameTemplate>().is_err(), "{bad}");
        }
        let template: NameTemplate = "{stem}/{index}".parse().unwrap();
        assert_eq!(template.render("...mp4", 0, 0, 0), "video/0");
    }
}
