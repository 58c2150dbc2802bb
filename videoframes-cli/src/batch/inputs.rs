//! The videos of a run, from arguments, lists and folders.

use std::path::{Path, PathBuf};

use videoframes_console::{Failure, exit, warn};

use super::folder::{self, EXTENSIONS};
use super::list::{self, Separator};
use crate::args::{BatchArgs, ExtractArgs};
use crate::input::VideoInput;

/// Maximum number of videos in one run.
pub(super) const MAX_VIDEOS: usize = 1_000_000;

/// A video of the run.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) input: VideoInput,
    pub(super) origin: Origin,
}

/// How a video was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// By its own path or URL.
    Given,
    /// In a given folder; with the path of its folder below that.
    Folder(PathBuf),
}

/// The videos of a run, in the order in which extractions start.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    pub(super) entries: Vec<Entry>,
    pub(super) unreadable: Vec<UnreadableFolder>,
}

/// A folder that cannot be read.
#[derive(Debug)]
pub(super) struct UnreadableFolder {
    pub(super) folder: String,
    pub(super) failure: Failure,
}

impl Entry {
    /// Returns the folder of the video: below the given folder, or as written.
    pub(super) fn folder(&self) -> &Path {
        match &self.origin {
            Origin::Folder(below) => below,
            Origin::Given => self.input.path().and_then(Path::parent).unwrap_or(Path::new("")),
        }
    }
}

/// Collects the videos of the arguments.
///
/// # Errors
/// Fails if there are no videos or too many, or if a list cannot be read.
pub(super) fn collect(args: &ExtractArgs) -> Result<Inputs, Failure> {
    let BatchArgs {
        from,
        null,
        recursive,
        ..
    } = &args.batch;
    let mut given = args.files.clone();
    if let Some(path) = from {
        let separator = match null {
            true => Separator::Null,
            false => Separator::Line,
        };
        if path.as_os_str() == "-" && given.iter().any(|input| matches!(input, VideoInput::Stdin)) {
            let text = "stdin cannot be both a video and the list of --from";
            return Err(Failure::new(exit::USAGE, text));
        }
        given.extend(list::read(path, separator)?.into_iter().map(VideoInput::parse));
    }
    let mut inputs = Inputs::default();
    let mut empty = Vec::new();
    for (index, input) in given.into_iter().enumerate() {
        match &input {
            // The URL is not shown, since it may contain secrets.
            VideoInput::Invalid(why) => {
                let text = format!("{input} of video {}: {why}", index + 1);
                return Err(Failure::new(exit::USAGE, text));
            }
            VideoInput::File(path) if path.is_dir() => {
                let hint = inputs.add_folder(path, *recursive);
                empty.extend(hint.map(|hint| (format!("{input}: no videos in this folder"), hint)));
            }
            _ => inputs.entries.push(Entry {
                input,
                origin: Origin::Given,
            }),
        }
        if inputs.entries.len() > MAX_VIDEOS {
            let text = format!("there are more than {MAX_VIDEOS} videos");
            return Err(Failure::new(exit::LIMIT, text).hint("give the videos to several runs, in lists"));
        }
    }
    if inputs.entries.is_empty() && inputs.unreadable.is_empty() {
        return Err(match empty.into_iter().next() {
            Some((text, hint)) => Failure::new(exit::NOT_FOUND, text).hint(hint),
            None => Failure::new(exit::NOT_FOUND, "the list has no videos"),
        });
    }
    if !args.output.report.quiet {
        empty.iter().for_each(|(text, _)| warn(text));
    }
    Ok(inputs)
}

impl Inputs {
    /// Adds the videos in a folder. Returns a hint if there are none in a readable folder.
    fn add_folder(&mut self, root: &Path, recursive: bool) -> Option<String> {
        let found = folder::videos(root, recursive, MAX_VIDEOS);
        let unreadable = found.unreadable.iter();
        self.unreadable.extend(unreadable.map(|unreadable| {
            let (folder, error) = (unreadable.folder.display().to_string(), &unreadable.error);
            UnreadableFolder {
                failure: Failure::new(exit::NOT_FOUND, format!("{folder}: {error}")),
                folder,
            }
        }));
        let is_empty = found.videos.is_empty() && found.unreadable.is_empty();
        self.entries.extend(found.videos.iter().map(|path| Entry {
            input: VideoInput::File(root.join(path)),
            origin: Origin::Folder(path.parent().unwrap_or(Path::new("")).to_owned()),
        }));
        is_empty.then(|| match found.has_subfolders {
            true => "--recursive includes subfolders".to_owned(),
            false => format!(
                "videos in folders have one of the extensions {}",
                EXTENSIONS.join(", ")
            ),
        })
    }
}
