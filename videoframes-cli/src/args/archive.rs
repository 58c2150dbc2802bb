//! Arguments for the type and the layout of an archive.

use std::num::NonZeroU64;

use clap::{Args, ValueEnum};
use videoframes_console::options::{Choice, choice, positive_size};
use videoframes_core::archive::{Layout, ManifestFormat};

const LAYOUTS: &[Choice<Layout>] = &[
    ("plain", &[], Layout::Plain),
    ("imagefolder", &[], Layout::ImageFolder),
    ("webdataset", &["wds"], Layout::WebDataset),
];

const MANIFESTS: &[Choice<Option<ManifestFormat>>] = &[
    ("json", &[], Some(ManifestFormat::Json)),
    ("jsonl", &[], Some(ManifestFormat::JsonLines)),
    ("csv", &[], Some(ManifestFormat::Csv)),
    ("none", &[], None),
];

/// Type of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ArchiveType {
    Zip,
    Tar,
}

impl ArchiveType {
    /// Returns the extension of archives of this type.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::Tar => "tar",
        }
    }

    /// Returns the type that an extension implies.
    pub(crate) fn from_extension(extension: &std::ffi::OsStr) -> Option<Self> {
        let types = [Self::Zip, Self::Tar];
        types
            .into_iter()
            .find(|archive| extension.eq_ignore_ascii_case(archive.extension()))
    }
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct ArchiveArgs {
    /// Type of the archive [default: by the extension of -o, otherwise zip, or tar for webdataset]
    #[arg(long, value_name = "TYPE", ignore_case = true)]
    pub(crate) archive: Option<ArchiveType>,
    /// Files of the archive: pictures and a manifest; metadata.jsonl for Hugging Face datasets too; or a JSON file for each
    /// picture in tar archives, as WebDataset reads
    #[arg(long, value_name = "LAYOUT", default_value = "plain", value_parser = choice(LAYOUTS), ignore_case = true)]
    pub(crate) layout: Layout,
    /// Formats of the manifest, separated by commas [default: json, or none for a WebDataset tar]
    #[arg(long, value_name = "FORMATS", value_delimiter = ',', value_parser = choice(MANIFESTS), ignore_case = true)]
    pub(crate) manifest: Vec<Option<ManifestFormat>>,
    /// Maximum number of pictures in each tar of a WebDataset folder
    #[arg(long, value_name = "N")]
    pub(crate) shard_size: Option<NonZeroU64>,
    /// Maximum size of each tar of a WebDataset folder [default: 1GiB, unless --shard-size is given]
    #[arg(long, value_name = "SIZE", value_parser = positive_size)]
    pub(crate) shard_bytes: Option<NonZeroU64>,
}

impl ArchiveArgs {
    /// Returns the type of an archive whose name does not imply one.
    pub(crate) fn default_type(&self) -> ArchiveType {
        self.archive.unwrap_or(match self.layout {
            Layout::WebDataset => ArchiveType::Tar,
            _ => ArchiveType::Zip,
        })
    }

    /// Returns the first given option that only an archive or a folder can satisfy.
    pub(crate) fn needs_archive(&self) -> Option<&'static str> {
        let options = [
            (self.archive.is_some(), "--archive"),
            (self.layout != Layout::Plain, "--layout"),
            (!self.manifest.is_empty(), "--manifest"),
            (self.shard_size.is_some(), "--shard-size"),
            (self.shard_bytes.is_some(), "--shard-bytes"),
        ];
        options
            .into_iter()
            .find_map(|(given, option)| given.then_some(option))
    }
}
