"""Exceptions, one for each exit code of vf that a caller may handle, and the category of its warnings."""

from __future__ import annotations


class VideoFramesError(Exception):
    """An error of vf.

    Attributes:
        message: what is wrong with which video.
        hint: what to do, or None.
        exit_code: the exit code of vf; None if vf did not run.
    """

    def __init__(self, message: str, hint: str | None = None, exit_code: int | None = None) -> None:
        super().__init__(message if hint is None else f"{message} ({hint})")
        self.message = message
        self.hint = hint
        self.exit_code = exit_code


class VideoFramesWarning(UserWarning):
    """A warning of vf, such as that of a range beyond the end of the video."""


class ProgramMissingError(VideoFramesError):
    """The program vf is missing."""


class InvalidRequestError(VideoFramesError, ValueError):
    """An argument is invalid, or a time is outside the video."""


class UnreadableVideoError(VideoFramesError, OSError):
    """The video is missing or cannot be read."""


class NotAVideoError(VideoFramesError):
    """The file is not a video."""


class NoVideoStreamError(VideoFramesError):
    """The file has no video stream."""


class DamagedVideoError(VideoFramesError):
    """The video is damaged."""


class LimitExceededError(VideoFramesError):
    """A limit was exceeded."""


class FfmpegMissingError(VideoFramesError):
    """ffmpeg is missing, too old, or lacks a component."""


class DecoderError(VideoFramesError):
    """ffmpeg failed or stalled."""


class UnsupportedRequestError(VideoFramesError):
    """The request is unsupported for this video."""


class CancelledError(VideoFramesError):
    """A signal has ended vf."""


_ERRORS: dict[int, type[VideoFramesError]] = {
    2: InvalidRequestError,
    3: UnreadableVideoError,
    4: NotAVideoError,
    5: NoVideoStreamError,
    6: DamagedVideoError,
    8: LimitExceededError,
    10: FfmpegMissingError,
    12: DecoderError,
    13: UnsupportedRequestError,
    130: CancelledError,
}


def error_of(exit_code: int, lines: list[str]) -> VideoFramesError:
    """Returns the exception for an exit code and the lines that vf has written to stderr."""
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    hints = [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]
    # A program that was killed reports nothing. A negative code is the number of a signal.
    fallback = lines[-1] if lines else f"vf ended with exit code {exit_code}"
    kind = CancelledError if exit_code < 0 else _ERRORS.get(exit_code, VideoFramesError)
    return kind(errors[0] if errors else fallback, hints[0] if hints else None, exit_code)
