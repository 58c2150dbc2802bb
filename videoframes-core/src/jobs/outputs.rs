//! Results of outputs that a job composes of frames.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Kind of an output that is composed of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputKind {
    /// Sheets of tiles with a WebVTT file, for players.
    Storyboard,
    /// A picture with a grid of frames and their times.
    Sheet,
    /// An animated picture.
    Preview,
}

impl OutputKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Storyboard, Self::Sheet, Self::Preview];

    /// Returns the name of the kind in messages and keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Storyboard => "storyboard",
            Self::Sheet => "sheet",
            Self::Preview => "preview",
        }
    }
}

impl fmt::Display for OutputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A folder of objects in the store that a job composed of frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutputResult {
    /// Kind of the output.
    pub kind: OutputKind,
    /// Key of the main file, in the bucket of the archive: the WebVTT file of a storyboard, or the picture.
    pub key: String,
    /// Media type of the main file.
    pub media_type: String,
    /// SHA-256 of the main file, in hexadecimal.
    pub sha256: String,
    /// Key of the manifest, which lists all files of the folder.
    pub manifest: String,
    /// Number of frames.
    pub frames: u64,
    /// Number of files, the manifest included.
    pub files: u64,
    /// Size of all files in bytes.
    pub size: u64,
    /// Whether the source is damaged, which the request allowed.
    #[serde(default)]
    pub partial: bool,
}
