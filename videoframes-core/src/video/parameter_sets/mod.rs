//! Parameter sets of H.264 and HEVC.

pub(super) mod bits;
mod h264;
mod hevc;
mod hevc_picture;
mod parameters;
mod picture_set;

pub(super) use self::hevc::HevcSequence;
pub(super) use self::hevc_picture::HevcPicture;
pub(super) use self::parameters::SequenceParameters;
pub(super) use self::picture_set::PictureSet;
#[cfg(test)]
pub(super) use self::picture_set::SetEntry;
