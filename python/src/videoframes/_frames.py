"""Extraction of frames."""

from __future__ import annotations

import json
import math
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from numbers import Rational, Real
from typing import IO, TYPE_CHECKING, Any, Literal, TypedDict

import numpy
from numpy.lib import format as npy

from ._errors import InvalidRequestError
from ._program import Progress, output_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

Video = str | os.PathLike[str]
Number = float | Decimal | Rational
Time = Number | str
Pixels = Literal["rgb24", "gray8", "yuv420p", "rgb48", "gray16"]

# Linux limits the length of one argument to 128 KiB.
_MAX_ARGUMENT = 100_000
# Limits of vf for the parts of a number.
_MAX_NUMERATOR, _MAX_DENOMINATOR = 10**21, 10**12
# Time bases have smaller denominators.
_MAX_SIMPLE = 10**7


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame with its pixels."""

    pixels: numpy.ndarray[Any, numpy.dtype[Any]]
    """Pixels: shape (height, width, 3) and type uint8, unless other `pixels` are requested."""
    index: int
    """Position in the result, from 0."""
    number: int | None
    """Number of the frame in the video, from 0; None if it is unknown, as in a remote video that is read in parts."""
    time: float
    """Time in seconds at which a player shows the frame, from the start of the video."""
    duration: float | None
    """Duration in seconds, if known."""
    requested: Fraction | None
    """Requested time in seconds; None for a selection without times."""
    pts: int
    """Presentation timestamp of the container, in units of `time_base`."""
    time_base: Fraction
    """Unit of `pts` in seconds."""


class Options(TypedDict, total=False):
    """Selection, pictures and execution. Every option has the meaning of the option of `vf extract`."""

    every: Time
    """One frame per interval: seconds, or a text such as "1m"."""
    count: int
    """Number of frames, evenly spaced."""
    at: Iterable[Time]
    """Frames displayed at these times, sorted: seconds, or texts such as "50%"."""
    numbers: Iterable[int]
    """Frames with these numbers, from 0."""
    random: int
    """Number of different frames, chosen at random."""
    seed: int
    """Seed of `random`."""
    all: bool
    """Every frame."""
    keyframes: bool
    """Keyframes."""
    start: Time
    """Start of the range."""
    end: Time
    """End of the range (exclusive)."""
    width: int
    """Maximum width."""
    height: int
    """Maximum height."""
    crop: str
    """Rectangle to keep: "WxH+X+Y", or an aspect ratio such as "16:9"."""
    pixels: Pixels
    """Format of the pixels."""
    ffmpeg: Video
    """Path of ffmpeg."""
    progress: Callable[[Progress], None]
    """Called by another thread while frames are decoded."""


_SELECTIONS = ("fps", "every", "count", "at", "numbers", "random", "all", "keyframes")


def extract(video: Video, fps: Time | None = None, **options: Unpack[Options]) -> list[Frame]:
    """Returns the selected frames of a video, by default one per second.

    Raises:
        VideoFramesError: the video or the request is wrong; see the subclasses.
    """
    return list(stream(video, fps, **options))


def stream(video: Video, fps: Time | None = None, **options: Unpack[Options]) -> Iterator[Frame]:
    """Yields the selected frames of a video while it is decoded, by default one per second.

    A consumer that stops early ends the decoding.

    Raises:
        VideoFramesError: the video or the request is wrong; see the subclasses.
    """
    given: dict[str, Any] = {"fps": fps, **options}
    selected = [name for name in _SELECTIONS if given.get(name) not in (None, False)]
    if len(selected) > 1:
        raise InvalidRequestError(f"{selected[0]} and {selected[1]} contradict each other")
    if not selected:
        given["fps"] = 1
    # Not a generator function, so that a wrong argument is reported by the call.
    arguments = ["-o", "-", "-f", "npy", "--archive", "tar", "--layout", "webdataset", *_arguments(given)]
    return _streamed([*arguments, "--", _path(video)], options.get("progress"))


def _streamed(arguments: Sequence[str], progress: Callable[[Progress], None] | None) -> Iterator[Frame]:
    with output_of(arguments, progress) as output:
        yield from _frames(output)


def frames_at(video: Video, times: Iterable[Number], **options: Unpack[Options]) -> numpy.ndarray[Any, numpy.dtype[Any]]:
    """Returns the frames displayed at times, in the order of the times, as one array.

    The shape is (number of times, height, width, 3), and the type uint8, unless other `pixels` are requested.

    Args:
        video: path or URL.
        times: seconds from the start of the video, in any order, also repeated.
        options: pictures and execution; no selection.

    Raises:
        VideoFramesError: the video or the request is wrong; see the subclasses.
    """
    for name in (*_SELECTIONS, "start", "end", "seed"):
        if name in options:
            raise InvalidRequestError(f"{name} selects frames, but the times do")
    exact = [_exact(time) for time in times]
    if not exact:
        raise InvalidRequestError("there are no times")
    for time in exact:
        if time < 0:
            raise InvalidRequestError(f"the time {float(time)} is negative")
    ordered = sorted(set(exact))
    given: dict[str, Any] = dict(options)
    parts = []
    for texts in _chunks([_number(time) for time in ordered]):
        arguments = ["-o", "-", "-f", "npy", "--at", ",".join(texts), *_arguments(given)]
        with output_of([*arguments, "--", _path(video)], options.get("progress")) as output:
            array = _read_array(output)
            # A selection of one picture has no dimension for the number of frames.
            parts.append(array[numpy.newaxis] if len(texts) == 1 else array)
    frames = parts[0] if len(parts) == 1 else numpy.concatenate(parts)
    if ordered == exact:
        return frames
    places = {time: place for place, time in enumerate(ordered)}
    return frames[[places[time] for time in exact]]


def _chunks(texts: list[str]) -> Iterator[list[str]]:
    """Splits texts into lists that fit into one argument each."""
    chunk: list[str] = []
    length = 0
    for text in texts:
        if chunk and length + len(text) >= _MAX_ARGUMENT:
            yield chunk
            chunk, length = [], 0
        chunk.append(text)
        length += len(text) + 1
    yield chunk


def _path(video: Video) -> str:
    path = os.fspath(video)
    if path == "-":
        raise InvalidRequestError("a video from stdin is not supported: write it to a file first")
    return path


def _exact(value: Number) -> Fraction:
    """Returns the number of a value. A float is the simplest fraction near it that has the same float, or a decimal fraction."""
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise InvalidRequestError(f"not a number: {value!r}")
    if isinstance(value, Rational | Decimal):
        return Fraction(value)
    number = float(value)
    if not math.isfinite(number):
        raise InvalidRequestError(f"not a finite number: {value!r}")
    # Times of frames are multiples of a time base, which a float cannot hold: 0.03336666666666667 is 1001/30000.
    simple = Fraction(number).limit_denominator(_MAX_SIMPLE)
    return simple if float(simple) == number else Fraction(Decimal(repr(number)))


def _text(value: Time) -> str:
    return value if isinstance(value, str) else _number(_exact(value))


def _number(value: Fraction) -> str:
    """Returns a number as vf reads it, rounded down to nanoseconds if it has more digits."""
    if value.denominator > _MAX_DENOMINATOR or abs(value.numerator) > _MAX_NUMERATOR:
        value = Fraction(math.floor(value * 10**9), 10**9)
    return str(value)


def _list(name: str, values: Iterable[Time]) -> str:
    texts = [_text(value) for value in values]
    if not texts:
        raise InvalidRequestError(f"{name} is empty")
    joined = ",".join(texts)
    if len(joined) >= _MAX_ARGUMENT:
        raise InvalidRequestError(f"{name} has too many values ({len(texts)})", "split them into several calls")
    return joined


def _arguments(given: dict[str, Any]) -> list[str]:
    """Returns the arguments of vf for options."""
    arguments: list[str] = []
    for name, value in given.items():
        if value is None or value is False or name == "progress":
            continue
        match name:
            case "at" | "numbers":
                option = "--frames" if name == "numbers" else "--at"
                arguments.append(f"{option}={_list(name, value)}")
            case "all" | "keyframes":
                arguments.append(f"--{name}")
            case "fps" | "every" | "start" | "end":
                arguments.append(f"--{name}={_text(value)}")
            case "count" | "random" | "seed" | "width" | "height" | "crop" | "pixels":
                arguments.append(f"--{name}={value}")
            case "ffmpeg":
                arguments.append(f"--ffmpeg={os.fspath(value)}")
            case _:
                raise TypeError(f"unexpected option {name!r}")
    return arguments


def _frames(output: IO[bytes]) -> Iterator[Frame]:
    """Yields the frames of a tar: for each the pixels, then a JSON with the same name."""
    pixels: numpy.ndarray[Any, numpy.dtype[Any]] | None = None
    try:
        with tarfile.open(fileobj=output, mode="r|", bufsize=1 << 18) as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is None:
                    continue
                if member.name.endswith(".npy"):
                    pixels = _read_array(content)
                elif pixels is not None:
                    yield _frame(pixels, json.load(content))
                    pixels = None
    except tarfile.ReadError as cause:
        raise EOFError("the archive is incomplete") from cause


def _frame(pixels: numpy.ndarray[Any, numpy.dtype[Any]], fields: dict[str, Any]) -> Frame:
    target = fields.get("target")
    return Frame(
        pixels=pixels,
        index=fields["index"],
        number=fields.get("frame"),
        time=fields["timestamp_s"],
        duration=fields.get("duration_s"),
        requested=None if target is None else Fraction(target),
        pts=fields["pts"],
        time_base=Fraction(fields["time_base"]),
    )


def _read_array(source: IO[bytes]) -> numpy.ndarray[Any, numpy.dtype[Any]]:
    """Reads one array without a copy.

    Raises:
        EOFError: the array is incomplete.
    """
    try:
        version = npy.read_magic(source)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(source)
    except ValueError as cause:
        raise EOFError("there is no array") from cause
    array = numpy.empty(shape, dtype)
    rest = array.reshape(-1).view(numpy.uint8).data
    while rest:
        number = source.readinto(rest)  # type: ignore[attr-defined]
        if not number:
            raise EOFError("the array is incomplete")
        rest = rest[number:]
    return array
