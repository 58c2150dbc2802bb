//! The output of each video. All outputs are known, and differ, before anything is decoded.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use videoframes_console::{Failure, exit};
use videoframes_core::storage::IfExists;

use super::inputs::{Entry, Origin};
use super::template::{Fields, OutputTemplate, has_fields};
use crate::args::{ArchiveType, ExtractArgs};
use crate::input::VideoInput;
use crate::output::{Output, output_uri, replaces};

const SEVERAL: &str = "give a template such as -o 'frames/{stem}.zip', or a folder such as -o frames/";

/// A video and its output.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) input: VideoInput,
    pub(super) output: Output,
}

/// How outputs are named.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Naming {
    /// One output with this path.
    Fixed(PathBuf),
    Template(OutputTemplate),
    /// By the name of each video, in folders as below the given folder.
    Mirrored {
        root: PathBuf,
        suffix: String,
    },
}

/// Returns the videos with their outputs.
///
/// # Errors
/// Fails if two videos have the same output, if an output is inside another or would replace a video, or if the type of the
/// output is unknown.
pub(super) fn assign(entries: Vec<Entry>, args: &ExtractArgs) -> Result<Vec<Job>, Failure> {
    let output = args.output.output.as_deref();
    let archive = args.output.archive.default_type();
    let naming = naming(
        output,
        output.is_some_and(Path::is_dir),
        args.are_several(),
        archive,
    )?;
    if let Naming::Fixed(path) = &naming {
        only_one(&entries, path, &args.files)?;
    }
    let paths: Vec<PathBuf> = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| naming.path(index, entry))
        .collect();
    if let Some(conflict) = conflict(&paths) {
        return Err(conflict.failure(&entries, &paths));
    }
    let jobs = entries.into_iter().zip(paths).map(|(entry, path)| {
        let input = entry.input;
        let output = Output::at(path, args).map_err(|failure| failure.naming(&input.to_string()))?;
        Ok(Job { input, output })
    });
    let jobs = jobs.collect::<Result<Vec<_>, Failure>>()?;
    if args.output.replace.if_exists() == IfExists::Replace {
        keeps_videos(&jobs)?;
    }
    Ok(jobs)
}

/// Returns how outputs are named. `is_folder` says whether `output` is an existing folder, `several` whether there may be any number of
/// videos, and `archive` the type of archives without a given name.
fn naming(
    output: Option<&Path>,
    is_folder: bool,
    several: bool,
    archive: ArchiveType,
) -> Result<Naming, Failure> {
    let usage = |text: String| Failure::new(exit::USAGE, text);
    let Some(path) = output else {
        return Ok(Naming::Mirrored {
            root: PathBuf::new(),
            suffix: format!(".frames.{}", archive.extension()),
        });
    };
    let text = path.to_string_lossy();
    if text == "-" {
        let text = match several {
            true => "several videos cannot be written to stdout",
            false => "--skip-existing needs an output with a name",
        };
        return Err(usage(text.to_owned()).hint(SEVERAL));
    }
    if has_fields(path) || several && text.contains('{') {
        let template = OutputTemplate::parse(&text);
        let template = template.map_err(|why| usage(format!("-o {text}: not a valid template: {why}")))?;
        return Ok(Naming::Template(template));
    }
    let is_uri = output_uri(path)?.is_some();
    let is_folder = is_folder || text.ends_with('/') || path.extension().is_none();
    Ok(match several && is_folder && !is_uri {
        true => Naming::Mirrored {
            root: path.to_owned(),
            suffix: "/".to_owned(),
        },
        false => Naming::Fixed(path.to_owned()),
    })
}

/// Fails unless there is one video, which has the output `path`.
fn only_one(entries: &[Entry], path: &Path, given: &[VideoInput]) -> Result<(), Failure> {
    let shown = path.display();
    match (given, entries) {
        // The frequent mistake of giving a folder in place of a video.
        ([VideoInput::File(folder)], [first, ..]) if first.origin != Origin::Given => {
            let text = format!(
                "{}: is a directory, and -o {shown} is for one video",
                folder.display()
            );
            Err(Failure::new(exit::NOT_FOUND, text).hint(SEVERAL))
        }
        (_, [_, _, ..]) => {
            let text = format!("{} videos cannot have the same output: -o {shown}", entries.len());
            Err(Failure::new(exit::USAGE, text).hint(SEVERAL))
        }
        _ => Ok(()),
    }
}

impl Naming {
    fn path(&self, index: usize, entry: &Entry) -> PathBuf {
        let name = entry.input.name();
        let (name, stem) = (name.to_string_lossy(), entry.input.stem());
        let fields = Fields {
            name: &name,
            stem: &stem.to_string_lossy(),
            folder: entry.folder(),
            index,
        };
        match self {
            Self::Fixed(path) => path.clone(),
            Self::Template(template) => template.render(&fields),
            Self::Mirrored { root, suffix } => {
                let below = match &entry.origin {
                    Origin::Folder(below) => below.as_path(),
                    Origin::Given => Path::new(""),
                };
                let mirrored = OutputTemplate::mirrored(suffix);
                root.join(mirrored.render(&Fields {
                    folder: below,
                    ..fields
                }))
            }
        }
    }
}

/// Two videos whose outputs cannot both exist, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conflict {
    Same(usize, usize),
    /// The output of the second video is inside the output of the first.
    Inside(usize, usize),
}

/// Returns a conflict between outputs, if there is one.
fn conflict(paths: &[PathBuf]) -> Option<Conflict> {
    // Components, since `a//b/` is `a/b`. The usual file systems of macOS ignore case.
    let key = |path: &Path| -> PathBuf {
        let parts = path
            .components()
            .filter(|part| *part != std::path::Component::CurDir);
        let path: PathBuf = parts.collect();
        match cfg!(target_vendor = "apple") {
            true => path.to_string_lossy().to_lowercase().into(),
            false => path,
        }
    };
    let mut owners = HashMap::with_capacity(paths.len());
    for (index, path) in paths.iter().enumerate() {
        if let Some(first) = owners.insert(key(path), index) {
            return Some(Conflict::Same(first, index));
        }
    }
    paths.iter().enumerate().find_map(|(index, path)| {
        let key = key(path);
        let outer = key.ancestors().skip(1).find_map(|folder| owners.get(folder));
        outer.map(|&outer| Conflict::Inside(outer, index))
    })
}

impl Conflict {
    fn failure(self, entries: &[Entry], paths: &[PathBuf]) -> Failure {
        let (Self::Same(one, other) | Self::Inside(one, other)) = self;
        let (first, second) = (&entries[one].input, &entries[other].input);
        let path = paths[one].display();
        let failure = |text| Failure::new(exit::USAGE, text);
        match self {
            Self::Same(..) if is_same_input(first, second) => {
                failure(format!("{second}: the video is given twice")).hint("give each video once")
            }
            Self::Same(..) => failure(format!("{first} and {second} have the same output: {path}"))
                .hint("tell them apart in -o with {folder}, {name} or {index}"),
            Self::Inside(..) => failure(format!(
                "the output of {second} would be inside the output of {first}: {}",
                paths[other].display()
            ))
            .hint("give each video an archive, as in -o 'frames/{folder}/{stem}.zip'"),
        }
    }
}

fn is_same_input(a: &VideoInput, b: &VideoInput) -> bool {
    match (a.path(), b.path()) {
        (Some(a), Some(b)) => a == b || identity(a).is_some_and(|a| identity(b) == Some(a)),
        _ => a.to_string() == b.to_string(),
    }
}

/// Returns device and inode of a file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let meta = path.metadata().ok()?;
    Some((meta.dev(), meta.ino()))
}

/// Fails if an output would replace a video of the run.
fn keeps_videos(jobs: &[Job]) -> Result<(), Failure> {
    let inputs = jobs.iter().filter_map(|job| identity(job.input.path()?));
    let inputs: HashSet<_> = inputs.collect();
    let replaced = jobs.iter().find(|job| {
        let existing = job.output.path().and_then(identity);
        existing.is_some_and(|existing| inputs.contains(&existing))
    });
    replaced.map_or(Ok(()), |job| Err(replaces(&job.output.name())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn given(path: &str) -> Entry {
        Entry {
            input: VideoInput::File(path.into()),
            origin: Origin::Given,
        }
    }

    fn below(root: &str, folder: &str, name: &str) -> Entry {
        Entry {
            input: VideoInput::File(Path::new(root).join(folder).join(name)),
            origin: Origin::Folder(folder.into()),
        }
    }

    #[test]
    fn outputs_are_named_by_template_or_folder() {
        let several = true;
        for (output, is_folder, entry, expected) in [
            (None, false, given("d/a.mp4"), "a.frames.zip"),
            (None, false, below("d", "x", "a.mp4"), "x/a.frames.zip"),
            (Some("o/"), false, given("d/a.mp4"), "o/a/"),
            (Some("o"), false, below("d", "x/y", "a.mp4"), "o/x/y/a/"),
            (Some("o.d"), true, below("d", "", "a.mp4"), "o.d/a/"),
            (Some("o/{stem}.jpg"), false, given("d/a.mp4"), "o/a.jpg"),
            (
                Some("o/{folder}/{stem}.zip"),
                false,
                given("../d/a.mp4"),
                "o/d/a.zip",
            ),
            (
                Some("o/{folder}/{stem}.zip"),
                false,
                below("d", "x", "a.mp4"),
                "o/x/a.zip",
            ),
            (Some("o.zip"), false, given("d/a.mp4"), "o.zip"),
        ] {
            let naming = naming(output.map(Path::new), is_folder, several, ArchiveType::Zip).unwrap();
            let path = naming.path(0, &entry);
            assert_eq!(path.to_str().unwrap(), expected, "{output:?}");
        }
        for bad in ["-", "{stme}.zip", "s3://bucket/{stem"] {
            assert!(
                naming(Some(bad.as_ref()), false, several, ArchiveType::Zip).is_err(),
                "{bad}"
            );
        }
        let single = naming(Some("a{b}.zip".as_ref()), false, false, ArchiveType::Tar).unwrap();
        assert_eq!(single, Naming::Fixed("a{b}.zip".into()));
    }

    #[test]
    fn outputs_must_not_conflict() {
        for (paths, expected) in [
            (&["a.zip", "b.zip"][..], None),
            (&["a.zip", "b.zip", "./a.zip"], Some(Conflict::Same(0, 2))),
            (&["o/a/b/", "o/a/"], Some(Conflict::Inside(1, 0))),
            (&["o/a/", "o/ab/"], None),
            (&["o/a.zip", "o/a/b.zip"], None),
        ] {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            assert_eq!(conflict(&paths), expected, "{paths:?}");
        }
    }
}
