//! Arrangement of pictures and metadata as entries.

use super::manifest::MANIFEST_NAME;

/// Name of the metadata file of [`Layout::ImageFolder`].
pub(crate) const METADATA_NAME: &str = "metadata.jsonl";

/// Arrangement of pictures and metadata as entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Layout {
    /// Pictures and manifests.
    #[default]
    Plain,
    /// Pictures, `metadata.jsonl` with a line per picture, and manifests: the layout that `load_dataset("imagefolder")` of
    /// Hugging Face `datasets` reads.
    ImageFolder,
    /// For each picture `KEY.jpg` and `KEY.json`, one after the other: the layout of WebDataset. Names of pictures
    /// have no dots before the extension, since a key ends at the first dot.
    WebDataset,
}

/// Format of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ManifestFormat {
    /// `manifest.jsonl`: a [`FrameInfo`](super::manifest::FrameInfo) per line, as JSON.
    JsonLines,
    /// `manifest.csv`: a header, and a line per picture (RFC 4180).
    Csv,
    /// `manifest.json`: the whole [`Manifest`](super::Manifest).
    Json,
}

impl ManifestFormat {
    /// Returns the name of the manifest.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::JsonLines => "manifest.jsonl",
            Self::Csv => "manifest.csv",
            Self::Json => MANIFEST_NAME,
        }
    }
}

/// Returns whether `name` is reserved for the metadata of all pictures.
pub(crate) fn is_metadata(name: &str) -> bool {
    [
        MANIFEST_NAME,
        ManifestFormat::JsonLines.file_name(),
        ManifestFormat::Csv.file_name(),
        METADATA_NAME,
    ]
    .contains(&name)
}

/// Returns the key of a WebDataset sample for the name of a picture without its extension: dots of the last component
/// become underscores.
pub(crate) fn sample_key(name: &str) -> String {
    match name.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/{}", name.replace('.', "_")),
        None => name.replace('.', "_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_no_dots_in_their_last_component() {
        for (name, key) in [
            ("frame_000000", "frame_000000"),
            ("0_00-00-01.200", "0_00-00-01_200"),
            ("a.b/c.d.e", "a.b/c_d_e"),
            (".0", "_0"),
        ] {
            assert_eq!(sample_key(name), key);
        }
    }
}
