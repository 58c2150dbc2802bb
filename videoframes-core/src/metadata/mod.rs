//! Metadata inside of pictures: Exif and XMP.

mod embed;
mod exif;
mod frame;
mod xmp;

pub(crate) use embed::embed;
pub(crate) use frame::FrameMetadata;
