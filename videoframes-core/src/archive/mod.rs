//! Archives of pictures with a manifest, written deterministically.

mod archive;
mod destination;
mod directory;
mod error;
pub mod manifest;
mod name;
mod picture;
mod zip;

pub use self::archive::Archive;
pub use self::destination::{Destination, Directory, PictureFile, ZipFile, ZipObject};
pub use self::directory::DirectoryArchive;
pub use self::error::ArchiveError;
pub use self::manifest::{MANIFEST_NAME, Manifest};
pub use self::name::{InvalidTemplate, NameFields, NameTemplate, portable_name};
pub use self::picture::PictureArchive;
pub use self::zip::ZipArchive;
pub use crate::digest::Written;
