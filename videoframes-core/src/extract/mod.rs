//! The port for decoders: pictures of single frames out of a video.

mod crop;
mod encoder;
mod error;
mod extractor;
mod outcome;
mod picture;
mod pixels;
mod request;

pub use crop::Crop;
pub(crate) use crop::Region;
pub use encoder::{EncodeRequest, EncodeStream, PictureEncoder};
pub use error::ExtractError;
pub use extractor::FrameExtractor;
pub use outcome::{Decoded, ExtractReport, Scan, Surprise};
pub use picture::{
    BurnIn, Deinterlace, EmbeddedMetadata, Picture, PictureFormat, PictureOptions, Quality, Tonemap,
};
pub use pixels::{PixelFormat, Plane};
pub use request::{ExtractRequest, Input, PlannedInput};
