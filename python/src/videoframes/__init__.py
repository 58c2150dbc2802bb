"""Exact frames from videos, as NumPy arrays.

Every frame is the one that a player shows at the requested time. The program `vf` decodes the frames, and needs ffmpeg 5.1 to 9
with ffprobe.
"""

from ._errors import (
    CancelledError,
    DamagedVideoError,
    DecoderError,
    FfmpegMissingError,
    InvalidRequestError,
    LimitExceededError,
    NotAVideoError,
    NoVideoStreamError,
    ProgramMissingError,
    UnreadableVideoError,
    UnsupportedRequestError,
    VideoFramesError,
    VideoFramesWarning,
)
from ._frames import Frame, extract, frames_at, stream
from ._program import Progress, find_program

__all__ = [
    "CancelledError",
    "DamagedVideoError",
    "DecoderError",
    "FfmpegMissingError",
    "Frame",
    "InvalidRequestError",
    "LimitExceededError",
    "NoVideoStreamError",
    "NotAVideoError",
    "ProgramMissingError",
    "Progress",
    "UnreadableVideoError",
    "UnsupportedRequestError",
    "VideoFramesError",
    "VideoFramesWarning",
    "extract",
    "find_program",
    "frames_at",
    "stream",
]
