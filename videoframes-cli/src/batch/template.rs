//! Templates of outputs, such as `frames/{stem}.zip`. Pure.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use videoframes_core::archive::portable_name;

/// The known fields, as listed in errors.
const FIELDS: &str = "the fields are {stem}, {name}, {folder} and {index}";

/// A template of an output path or URL.
///
/// Fields:
/// - `{stem}`: name of the video without its extension;
/// - `{name}`: name of the video;
/// - `{folder}`: folder of the video, as a separate component;
/// - `{index}`: index of the video, from 0; `{index:06}` pads.
///
/// A field never leads out of the folder that the template names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutputTemplate {
    parts: Vec<Part>,
    /// Whether the outputs are folders.
    folders: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Stem,
    Name,
    Folder,
    Index(usize),
}

/// The properties of a video that its output may contain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    /// Name of the video.
    pub(super) name: &'a str,
    /// Name of the video without its extension.
    pub(super) stem: &'a str,
    pub(super) folder: &'a Path,
    pub(super) index: usize,
}

/// Returns whether `path` has a field of a template.
pub(crate) fn has_fields(path: &Path) -> bool {
    let text = path.to_string_lossy();
    ["{stem}", "{name}", "{folder}", "{index}", "{index:"]
        .iter()
        .any(|field| text.contains(field))
}

impl OutputTemplate {
    /// Parses a template.
    ///
    /// # Errors
    /// Returns the reason why the template is not valid.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, field) = rest.split_at(open);
            let (field, after) = field[1..].split_once('}').ok_or("a '{' has no matching '}'")?;
            push_literal(&mut parts, before)?;
            let part = match field.split_once(':') {
                None => match field {
                    "stem" => Part::Stem,
                    "name" => Part::Name,
                    "folder" => Part::Folder,
                    "index" => Part::Index(0),
                    _ => return Err(FIELDS),
                },
                Some(("index", width)) => {
                    let width = width.parse().ok().filter(|&width| width <= 20);
                    Part::Index(width.ok_or("a width must be a number up to 20")?)
                }
                Some(_) => return Err(FIELDS),
            };
            let is_component =
                (before.is_empty() && parts.is_empty() || before.ends_with('/')) && after.starts_with('/');
            if part == Part::Folder && !is_component {
                return Err("{folder} must be a separate folder, as in {folder}/{stem}.zip");
            }
            parts.push(part);
            rest = after;
        }
        push_literal(&mut parts, rest)?;
        let last = rest.rsplit('/').next().unwrap_or_default();
        Ok(Self {
            parts,
            folders: !last.contains('.'),
        })
    }

    /// Returns the template `{folder}/{stem}` with a suffix.
    pub(super) fn mirrored(suffix: &str) -> Self {
        let literal = |text: &str| Part::Literal(text.to_owned());
        Self {
            parts: vec![Part::Folder, literal("/"), Part::Stem, literal(suffix)],
            folders: suffix.ends_with('/'),
        }
    }

    /// Returns the output of a video. Outputs that are folders end with a slash.
    pub(super) fn render(&self, fields: &Fields<'_>) -> PathBuf {
        let mut path = String::new();
        let mut omit_slash = false;
        for part in &self.parts {
            match part {
                Part::Literal(text) if omit_slash => path.push_str(&text[1..]),
                Part::Literal(text) => path.push_str(text),
                Part::Stem => path.push_str(&portable_name(fields.stem)),
                Part::Name => path.push_str(&portable_name(fields.name)),
                Part::Folder => path.push_str(&portable_folder(fields.folder)),
                Part::Index(width) => {
                    // Writing to a string cannot fail.
                    let _ = write!(path, "{:0width$}", fields.index);
                }
            }
            // Without a folder, its slash would make the path absolute.
            omit_slash = *part == Part::Folder && portable_folder(fields.folder).is_empty();
        }
        if self.folders && !path.ends_with('/') {
            path.push('/');
        }
        path.into()
    }
}

fn push_literal(parts: &mut Vec<Part>, text: &str) -> Result<(), &'static str> {
    if text.contains('}') {
        return Err("a '}' has no matching '{'");
    }
    if !text.is_empty() {
        parts.push(Part::Literal(text.to_owned()));
    }
    Ok(())
}

/// Returns the folder without a root and without `..`, valid on every system.
fn portable_folder(folder: &Path) -> String {
    let names = folder.components().filter_map(|component| match component {
        Component::Normal(name) => Some(portable_name(&name.to_string_lossy())),
        _ => None,
    });
    names.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn render(template: &str, name: &str, folder: &str) -> String {
        let stem = Path::new(name).file_stem().unwrap().to_str().unwrap();
        let fields = Fields {
            name,
            stem,
            folder: folder.as_ref(),
            index: 7,
        };
        let path = OutputTemplate::parse(template).unwrap().render(&fields);
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn every_field_is_rendered() {
        for (template, folder, path) in [
            ("frames/{stem}.zip", "", "frames/talk.de.zip"),
            ("{name}.zip", "", "talk.de.mp4.zip"),
            ("frames/{stem}", "", "frames/talk.de/"),
            ("frames.d/{stem}/", "", "frames.d/talk.de/"),
            ("{stem}/all.zip", "", "talk.de/all.zip"),
            ("{index:03}_{stem}.jpg", "", "007_talk.de.jpg"),
            ("{folder}/{stem}.zip", "", "talk.de.zip"),
            ("{folder}/{stem}.zip", "a/b", "a/b/talk.de.zip"),
            ("/x/{folder}/{stem}.zip", "", "/x/talk.de.zip"),
            ("/x/{folder}/{stem}.zip", "/r/../a", "/x/r/a/talk.de.zip"),
            (
                "s3://bucket/{folder}/{stem}.zip",
                "a",
                "s3://bucket/a/talk.de.zip",
            ),
        ] {
            assert_eq!(render(template, "talk.de.mp4", folder), path, "{template}");
        }
    }

    #[test]
    fn fields_do_not_lead_out_of_the_folder() {
        for (name, path) in [
            ("...mp4", "o/video.zip"),
            ("a\\..\\b:c.mp4", "o/a_.._b_c.zip"),
            ("esc\u{1b}[2J.mp4", "o/esc_[2J.zip"),
            ("nul.mp4", "o/nul_.zip"),
        ] {
            assert_eq!(render("o/{stem}.zip", name, ""), path);
        }
    }

    #[test]
    fn invalid_templates_are_refused() {
        for bad in [
            "{stme}.zip",
            "{stem.zip",
            "stem}.zip",
            "{stem:3}.zip",
            "{index:99}.zip",
            "{index:x}.zip",
            "x{folder}/{stem}.zip",
            "{folder}{stem}.zip",
            "{stem}{folder}/x.zip",
            "{stem}/{folder}",
        ] {
            assert!(OutputTemplate::parse(bad).is_err(), "{bad}");
        }
        assert!(has_fields("a/{index:3}.zip".as_ref()) && !has_fields("a/{b}.zip".as_ref()));
    }
}
