//! Conversion of core errors to messages, hints and exit codes.

use std::error::Error as StdError;
use std::io;
use std::path::Path;

use videoframes_console::{Failure, INSTALL_FFMPEG, exit};
use videoframes_core::Error;
use videoframes_core::compress::CompressError;
use videoframes_core::error::{ErrorKind, chain};
use videoframes_core::extract::ExtractError;
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

/// Returns the exit code for a kind of error: the only table from kinds to exit codes.
fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::SourceUnavailable => exit::NOT_FOUND,
        ErrorKind::EmptySource | ErrorKind::NotAVideo => exit::NOT_A_VIDEO,
        ErrorKind::NoVideoStream => exit::NO_VIDEO_STREAM,
        ErrorKind::Damaged => exit::DAMAGED,
        ErrorKind::SelectionOutOfRange => exit::USAGE,
        ErrorKind::LimitExceeded | ErrorKind::StatisticsTooLarge => exit::LIMIT,
        ErrorKind::OutputExists => exit::OUTPUT_EXISTS,
        ErrorKind::NoSpace
        | ErrorKind::InvalidName
        | ErrorKind::StoreUnavailable
        | ErrorKind::ArchiveFailed => exit::OUTPUT,
        ErrorKind::DecoderMissing | ErrorKind::DecoderUnsupported => exit::FFMPEG,
        ErrorKind::DecoderFailed | ErrorKind::DecoderStalled | ErrorKind::VerificationFailed => exit::DECODER,
        ErrorKind::NotPlannable | ErrorKind::NotCompressible => exit::UNSUPPORTED,
        ErrorKind::Cancelled => exit::CANCELLED,
        _ => exit::INTERNAL,
    }
}

/// Returns a hint for an error that has one.
fn hint(error: &Error) -> Option<String> {
    let hint = match error {
        Error::Copy { .. } => TEMPORARY,
        Error::Select(SelectError::TooManyFrames { .. }) => "raise --max-frames, or select fewer frames",
        Error::Select(SelectError::TooFine { .. }) => {
            "select fewer pictures, or set --max-frames to allow this number"
        }
        Error::Select(SelectError::EmptyRange { .. }) => "--end must be after --start",
        Error::Select(SelectError::BeyondEnd { .. } | SelectError::BeforeStart { .. }) => {
            "'vf probe' shows the duration of the video"
        }
        Error::OutsidePicture { .. } => "'vf probe' shows the size of the pictures",
        Error::NotPlannable(_) => "--strategy auto selects a strategy that is possible",
        Error::Damaged(_) => "--on-error partial keeps the frames that decode",
        Error::Compress(CompressError::StatisticsTooLarge(_)) => "use --quality instead of --max-size",
        Error::Compress(CompressError::SizeOutOfReach { .. }) => {
            "give a larger --max-size, a --max-height, or --audio none"
        }
        Error::Compress(CompressError::NotHeld(_)) => "give another -o, --codec or --audio",
        Error::Extract(ExtractError::DecoderMissing { source, .. })
            if source.kind() == io::ErrorKind::Unsupported =>
        {
            "use a kernel with Landlock and seccomp, or --sandbox auto"
        }
        Error::Extract(ExtractError::DecoderMissing { .. }) => {
            return Some(format!("{INSTALL_FFMPEG}, or give --ffmpeg PATH"));
        }
        Error::Extract(ExtractError::Unsupported(_)) => "'vf doctor' shows what this ffmpeg can do",
        Error::Extract(ExtractError::Stalled(_)) => "--stall-timeout sets the maximum time without progress",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Converts an error of the compression of `input` into `output`.
pub(crate) fn of_compression(error: &Error, input: &VideoInput, output: &Path) -> Failure {
    match error {
        Error::Compress(CompressError::Output(source)) => {
            let text = format!("failed to write '{}': {source}", output.display());
            Failure::new(code(error.kind()), text)
        }
        error => of(error, input),
    }
}

/// Converts an error of the pipeline for `input`.
pub(crate) fn of(error: &Error, input: &VideoInput) -> Failure {
    let failure = match error {
        Error::Archive(error) => return Failure::of_archive(error),
        Error::Video(error) => return Failure::of_output(error),
        Error::Extract(ExtractError::Cancelled) => return cancelled(),
        // Errors that do not concern the input.
        Error::Extract(ExtractError::DecoderMissing { .. } | ExtractError::Unsupported(_)) => {
            Failure::new(code(error.kind()), chain(error))
        }
        error => about(code(error.kind()), input, error),
    };
    match hint(error) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
