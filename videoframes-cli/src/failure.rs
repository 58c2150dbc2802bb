//! Exit codes and the one line that says what went wrong.

use std::error::Error as StdError;
use std::io::Write;
use std::process::ExitCode;

use videoframes_core::archive::ArchiveError;
use videoframes_core::compress::CompressError;
use videoframes_core::error::chain;
use videoframes_core::extract::ExtractError;
use videoframes_core::pipeline::Error;
use videoframes_core::select::SelectError;
use videoframes_core::storage::StorageError;

use crate::input::VideoInput;

/// All went well.
pub(crate) const SUCCESS: u8 = 0;
/// A defect of this program, or of the machine.
pub(crate) const INTERNAL: u8 = 1;
/// Wrong flags or values (clap uses the same).
pub(crate) const USAGE: u8 = 2;
/// The input is missing or cannot be read.
pub(crate) const NOT_FOUND: u8 = 3;
/// The input is not a video.
pub(crate) const NOT_A_VIDEO: u8 = 4;
/// The input has no video stream.
pub(crate) const NO_VIDEO_STREAM: u8 = 5;
/// The video is damaged and there is no result.
pub(crate) const DAMAGED: u8 = 6;
/// The video is damaged and the result is partial, as asked for.
pub(crate) const PARTIAL: u8 = 7;
/// A limit was reached and there is no result.
pub(crate) const LIMIT: u8 = 8;
/// The output exists and was not to be replaced.
pub(crate) const OUTPUT_EXISTS: u8 = 9;
/// ffmpeg is missing, too old, or lacks what is needed.
pub(crate) const FFMPEG: u8 = 10;
/// The output cannot be written.
pub(crate) const OUTPUT: u8 = 11;
/// ffmpeg failed or hung.
pub(crate) const DECODER: u8 = 12;
/// What was asked for is not possible for this input.
pub(crate) const UNSUPPORTED: u8 = 13;
/// Stopped by Ctrl-C or a signal.
pub(crate) const CANCELLED: u8 = 130;

/// What to do where there is no room for a copy of a video.
pub(crate) const TEMPORARY: &str = "TMPDIR names another folder for temporary files";

/// Listed in `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
   0  done                             7  damaged, partial result (--on-error partial)
   1  internal error                   8  limit exceeded
   2  wrong usage                      9  output exists
   3  input missing or unreadable     10  ffmpeg missing or lacking something
   4  not a video                     11  output cannot be written
   5  no video stream                 12  ffmpeg failed or hung
   6  damaged, no result              13  not possible for this input
                                     130  cancelled";

/// Why the program ends without a result.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// An address of S3, where this build knows none.
    #[cfg(not(feature = "s3"))]
    pub(crate) fn without_s3() -> Self {
        Self::new(USAGE, "this build of vf neither reads nor writes s3:// addresses")
            .hint("build it with them: cargo install --path videoframes-cli --features s3")
    }

    pub(crate) fn internal(error: &dyn StdError) -> Self {
        Self::new(INTERNAL, chain(error))
    }

    /// Prints the line and the hint.
    pub(crate) fn report(self) -> ExitCode {
        let mut stderr = std::io::stderr().lock();
        // Nobody is left to tell if stderr is gone.
        let _ = writeln!(stderr, "error: {}", printable(&self.message));
        if let Some(hint) = self.hint {
            let _ = writeln!(stderr, "hint: {}", printable(&hint));
        }
        ExitCode::from(self.code)
    }

    /// What went wrong with `input`, and why.
    pub(crate) fn about(code: u8, input: &VideoInput, error: &dyn StdError) -> Self {
        Self::new(code, format!("{input}: {}", chain(error)))
    }

    /// What an extraction's error means to the person who asked for `input`.
    pub(crate) fn of(error: &Error, input: &VideoInput) -> Self {
        let about_input = |code| Self::about(code, input, error);
        match error {
            Error::Source(_) => about_input(NOT_FOUND),
            Error::Copy { .. } => about_input(OUTPUT).hint(TEMPORARY),
            Error::Empty => about_input(NOT_A_VIDEO),
            Error::Select(SelectError::TooManyFrames { .. }) => {
                about_input(LIMIT).hint("raise --max-frames, or ask for fewer frames")
            }
            Error::Select(_) => about_input(USAGE).hint("'vf probe' shows how long it is"),
            Error::LimitExceeded(_) => about_input(LIMIT),
            Error::NotPlannable(_) => {
                about_input(UNSUPPORTED).hint("--strategy auto takes whichever way is possible")
            }
            Error::Damaged(_) => about_input(DAMAGED).hint("--on-error partial keeps the frames that decode"),
            Error::Extract(error) => Self::of_decoder(error, input),
            Error::Archive(error) => Self::of_output(error),
            Error::Compress(error) => Self::of_compression(error, input),
            Error::Video(error) => Self::of_store(error),
        }
    }

    fn of_compression(error: &CompressError, input: &VideoInput) -> Self {
        let about_input = |code| Self::about(code, input, error);
        match error {
            CompressError::Decoder(error) => Self::of_decoder(error, input),
            CompressError::Output(_) => Self::new(OUTPUT, chain(error)),
            CompressError::TooLarge(_) => about_input(LIMIT),
            CompressError::NotesTooLarge(_) => {
                about_input(LIMIT).hint("give a --quality instead of a --max-size")
            }
            CompressError::SizeOutOfReach { .. } => {
                about_input(UNSUPPORTED).hint("give a larger --max-size, a --max-height, or --audio none")
            }
            CompressError::NotHeld(_) => about_input(UNSUPPORTED).hint("give another -o, --codec or --audio"),
            CompressError::Differs(_) | CompressError::Apart(_) => about_input(DECODER),
        }
    }

    fn of_decoder(error: &ExtractError, input: &VideoInput) -> Self {
        let about_input = |code| Self::about(code, input, error);
        match error {
            ExtractError::DecoderMissing { .. } => Self::new(FFMPEG, chain(error))
                .hint("install ffmpeg 5.1 or newer (apt install ffmpeg, brew install ffmpeg), or give --ffmpeg PATH"),
            ExtractError::Unsupported(_) => {
                Self::new(FFMPEG, chain(error)).hint("'vf doctor' shows what this ffmpeg can do")
            }
            ExtractError::NotAVideo(_) => about_input(NOT_A_VIDEO),
            ExtractError::NoVideoStream => about_input(NO_VIDEO_STREAM),
            ExtractError::Damaged(_) => about_input(DAMAGED),
            ExtractError::LimitExceeded(_) => about_input(LIMIT),
            ExtractError::TimelineMismatch(_) => about_input(DECODER),
            ExtractError::Cancelled => Self::new(CANCELLED, "cancelled, nothing was written"),
            ExtractError::Stalled(_) => about_input(DECODER).hint("--stall-timeout sets how long it may be silent"),
            ExtractError::SourceFailed(_) => about_input(NOT_FOUND),
            ExtractError::Interlaced | ExtractError::PlanFailed(_) | ExtractError::DecoderFailed(_) => {
                about_input(DECODER)
            }
        }
    }

    pub(crate) fn of_output(error: &ArchiveError) -> Self {
        match error {
            ArchiveError::Storage(error) => Self::of_store(error),
            ArchiveError::NotReplaceable { .. } => {
                Self::new(OUTPUT_EXISTS, chain(error)).hint("give the name of a folder that is not there yet")
            }
            ArchiveError::ForeignDirectory(_) => Self::new(OUTPUT_EXISTS, chain(error))
                .hint("give a new or an empty folder; this tool only replaces folders that it made"),
            _ => Self::new(OUTPUT, chain(error)),
        }
    }

    pub(crate) fn of_store(error: &StorageError) -> Self {
        match error {
            StorageError::AlreadyExists(_) => Self::new(OUTPUT_EXISTS, chain(error)).hint("-y replaces it"),
            StorageError::NotFound(_) => Self::new(OUTPUT, format!("the folder {}", chain(error)))
                .hint("create it first, or give another -o"),
            _ => Self::new(OUTPUT, chain(error)),
        }
    }
}

/// One line without control characters, which file names may hold.
pub(crate) fn printable(text: &str) -> String {
    let clean = |c: char| {
        if c.is_control() {
            c.escape_default().collect()
        } else {
            c.to_string()
        }
    };
    text.chars().map(clean).collect()
}
