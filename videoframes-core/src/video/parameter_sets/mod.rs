//! Description of a stream by the sequence parameter sets of H.264 and HEVC.

mod h264;
mod hevc;
mod parameters;

pub(super) use self::parameters::SequenceParameters;
