//! Archives of pictures with a manifest, written deterministically.

mod archive;
mod destination;
mod directory;
mod error;
mod layout;
pub mod manifest;
mod name;
mod object_folder;
mod picture;
mod reader;
pub(crate) mod rows;
mod shards;
mod tar;
mod zip;

pub use self::archive::Archive;
pub use self::destination::{Destination, Directory, PictureFile, TarFile, ZipFile, ZipObject};
pub use self::directory::DirectoryArchive;
pub use self::error::ArchiveError;
pub use self::layout::{Layout, ManifestFormat};
pub(crate) use self::layout::{METADATA_NAME, sample_key};
pub use self::manifest::{MANIFEST_NAME, Manifest};
pub use self::name::{InvalidTemplate, NameFields, NameTemplate, portable_name};
pub use self::object_folder::ObjectFolder;
pub use self::picture::PictureArchive;
pub use self::reader::{ArchiveReader, ReadArchiveError};
pub use self::shards::{ShardDirectory, ShardLimits};
pub use self::tar::TarArchive;
pub use self::zip::ZipArchive;
pub use crate::digest::Written;
