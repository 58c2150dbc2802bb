//! Conversion of core errors to messages, hints and exit codes.

use std::error::Error as StdError;

use videoframes_console::{Failure, INSTALL_FFMPEG, exit};
use videoframes_core::archive::ArchiveError;
use videoframes_core::compress::CompressError;
use videoframes_core::error::chain;
use videoframes_core::extract::ExtractError;
use videoframes_core::pipeline::Error;
use videoframes_core::select::SelectError;

use crate::input::VideoInput;

/// Hint if there is no space for a copy of a video.
pub(crate) const TEMPORARY: &str = "set TMPDIR to another folder for temporary files";

/// Creates the failure for an S3 URI in a build without S3.
#[cfg(not(feature = "s3"))]
pub(crate) fn without_s3() -> Failure {
    Failure::new(exit::USAGE, "this build of vf does not support s3:// URLs")
        .hint("build vf with S3 support: cargo install --path videoframes-cli --features s3")
}

/// Creates the failure for a cancelled run.
pub(crate) fn cancelled() -> Failure {
    Failure::new(exit::CANCELLED, "cancelled, nothing was written")
}

/// Creates a failure that names `input`, the error and its causes.
pub(crate) fn about(code: u8, input: &VideoInput, error: &dyn StdError) -> Failure {
    Failure::new(code, format!("{input}: {}", chain(error)))
}

/// Converts an error of the pipeline for `input`.
pub(crate) fn of(error: &Error, input: &VideoInput) -> Failure {
    let about_input = |code| about(code, input, error);
    match error {
        Error::Source(_) => about_input(exit::NOT_FOUND),
        Error::Copy { .. } => about_input(exit::OUTPUT).hint(TEMPORARY),
        Error::Empty => about_input(exit::NOT_A_VIDEO),
        Error::Select(SelectError::TooManyFrames { .. }) => {
            about_input(exit::LIMIT).hint("raise --max-frames, or select fewer frames")
        }
        Error::Select(SelectError::TooFine { .. }) => {
            about_input(exit::LIMIT).hint("select fewer pictures, or set --max-frames to allow this number")
        }
        Error::Select(SelectError::EmptyRange { .. }) => {
            about_input(exit::USAGE).hint("--end must be after --start")
        }
        Error::Select(SelectError::OutOfRange) => about_input(exit::USAGE),
        Error::Select(SelectError::BeyondEnd { .. } | SelectError::BeforeStart { .. }) => {
            about_input(exit::USAGE).hint("'vf probe' shows the duration of the video")
        }
        Error::LimitExceeded(_) => about_input(exit::LIMIT),
        Error::NotPlannable(_) => {
            about_input(exit::UNSUPPORTED).hint("--strategy auto selects a strategy that is possible")
        }
        Error::Damaged(_) => {
            about_input(exit::DAMAGED).hint("--on-error partial keeps the frames that decode")
        }
        Error::Extract(error) => of_decoder(error, input),
        Error::Archive(error) => of_archive(error),
        Error::Compress(error) => of_compression(error, input),
        Error::Video(error) => Failure::of_output(error),
    }
}

fn of_compression(error: &CompressError, input: &VideoInput) -> Failure {
    let about_input = |code| about(code, input, error);
    match error {
        CompressError::Decoder(error) => of_decoder(error, input),
        CompressError::Output(_) => Failure::new(exit::OUTPUT, chain(error)),
        CompressError::TooLarge(_) => about_input(exit::LIMIT),
        CompressError::NotesTooLarge(_) => {
            about_input(exit::LIMIT).hint("use --quality instead of --max-size")
        }
        CompressError::SizeOutOfReach { .. } => {
            about_input(exit::UNSUPPORTED).hint("give a larger --max-size, a --max-height, or --audio none")
        }
        CompressError::NotHeld(_) => {
            about_input(exit::UNSUPPORTED).hint("give another -o, --codec or --audio")
        }
        CompressError::Differs(_) | CompressError::Apart(_) => about_input(exit::DECODER),
    }
}

fn of_decoder(error: &ExtractError, input: &VideoInput) -> Failure {
    let about_input = |code| about(code, input, error);
    match error {
        ExtractError::DecoderMissing { .. } => {
            Failure::new(exit::FFMPEG, chain(error)).hint(format!("{INSTALL_FFMPEG}, or give --ffmpeg PATH"))
        }
        ExtractError::Unsupported(_) => {
            Failure::new(exit::FFMPEG, chain(error)).hint("'vf doctor' shows what this ffmpeg can do")
        }
        ExtractError::NotAVideo(_) => about_input(exit::NOT_A_VIDEO),
        ExtractError::NoVideoStream | ExtractError::NoSuchStream(_) => about_input(exit::NO_VIDEO_STREAM),
        ExtractError::Damaged(_) => about_input(exit::DAMAGED),
        ExtractError::LimitExceeded(_) => about_input(exit::LIMIT),
        ExtractError::TimelineMismatch(_) => about_input(exit::DECODER),
        ExtractError::Cancelled => cancelled(),
        ExtractError::Stalled(_) => {
            about_input(exit::DECODER).hint("--stall-timeout sets the maximum time without progress")
        }
        ExtractError::SourceFailed(_) => about_input(exit::NOT_FOUND),
        ExtractError::Interlaced | ExtractError::PlanFailed(_) | ExtractError::DecoderFailed(_) => {
            about_input(exit::DECODER)
        }
    }
}

pub(crate) fn of_archive(error: &ArchiveError) -> Failure {
    match error {
        ArchiveError::Storage(error) => Failure::of_output(error),
        ArchiveError::NotReplaceable { .. } => {
            Failure::new(exit::OUTPUT_EXISTS, chain(error)).hint("give the name of a new folder")
        }
        ArchiveError::ForeignDirectory(_) => Failure::new(exit::OUTPUT_EXISTS, chain(error))
            .hint("give a new or an empty folder; vf replaces only folders written by vf"),
        _ => Failure::new(exit::OUTPUT, chain(error)),
    }
}
