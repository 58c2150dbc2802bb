"""Frames are those that a player shows at the requested times, in every clip of the numbered corpus."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction

import numpy
import pytest

import videoframes
from corpus import HEIGHT, WIDTH, Clip, number_in


def test_every_frame_is_returned_once(clip: Clip) -> None:
    frames = videoframes.extract(clip.path, all=True)
    assert [number_in(frame.pixels) for frame in frames] == list(range(len(clip.times)))
    assert [frame.index for frame in frames] == list(range(len(clip.times)))
    start = frames[0].pts * frames[0].time_base
    assert [frame.pts * frame.time_base - start for frame in frames] == clip.times
    assert frames[0].pixels.shape == (HEIGHT, WIDTH, 3) and frames[0].pixels.dtype == numpy.uint8


def test_frames_at_times_are_those_displayed(clip: Clip) -> None:
    chosen = random.Random(1)
    last = float(clip.times[-1])
    times = [chosen.uniform(0, last) for _ in range(32)]
    # The moment at which a frame begins, and the last moment before.
    for number in chosen.sample(range(1, len(clip.times)), 8):
        times += [clip.times[number], clip.times[number] - Fraction(1, 10**6)]
    batch = videoframes.frames_at(clip.path, times)
    assert batch.shape == (48, HEIGHT, WIDTH, 3)
    assert [number_in(pixels) for pixels in batch] == [clip.displayed(time) for time in times]


def test_one_frame_per_second_is_the_default(clip: Clip) -> None:
    frames = videoframes.extract(clip.path)
    assert [frame.requested for frame in frames] == list(range(12))
    assert [number_in(frame.pixels) for frame in frames] == [clip.displayed(second) for second in range(12)]


def test_frames_are_those_of_pyav(clip: Clip) -> None:
    av = pytest.importorskip("av")
    numbers = random.Random(2).sample(range(len(clip.times)), 32)
    with av.open(str(clip.path)) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    # Times inside the frames: a float cannot hold the exact beginning.
    batch = videoframes.frames_at(clip.path, [clip.times[number] + Fraction(1, 1000) for number in numbers])
    for number, pixels in zip(numbers, batch, strict=True):
        assert number_in(pixels) == number_in(decoded[number]) == number


def test_frames_are_those_of_torchcodec(clip: Clip) -> None:
    decoders = pytest.importorskip("torchcodec.decoders")
    decoder = decoders.VideoDecoder(str(clip.path))
    begin = Fraction(decoder.metadata.begin_stream_seconds_from_content).limit_denominator(90_000)
    times = [float(time) + 0.001 for time in random.Random(3).sample(clip.times, 32)]
    theirs = decoder.get_frames_played_at([float(begin) + time for time in times]).data.numpy().transpose(0, 2, 3, 1)
    ours = videoframes.frames_at(clip.path, times)
    numbers = [number_in(pixels) for pixels in ours]
    assert numbers == [clip.displayed(time) for time in times]
    # torchcodec 0.17 returns later frames of MPEG transport streams for some times.
    if clip.path.suffix != ".ts":
        assert numbers == [number_in(pixels) for pixels in theirs]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"fps": "1/2"}, [0, 60, 120, 180, 240, 300]),
        ({"fps": 0.5}, [0, 60, 120, 180, 240, 300]),
        ({"every": Decimal(4)}, [0, 120, 240]),
        ({"count": 3}, [0, 115, 230]),
        ({"at": [Fraction(1001, 30000), "50%"]}, [1, 172]),
        ({"numbers": [200, 7]}, [7, 200]),
        ({"every": 1, "start": 2, "end": "4s"}, [60, 90]),
    ],
)
def test_selections_are_those_of_the_program(usual: Clip, options: dict, numbers: list[int]) -> None:
    found = [number_in(frame.pixels) for frame in videoframes.extract(usual.path, **options)]
    # The frame displayed at a full second is the 30th or the 29.97th.
    assert all(abs(one - other) <= 1 for one, other in zip(found, numbers, strict=True)), found


def test_random_frames_are_repeatable(usual: Clip) -> None:
    first, second = (
        [frame.number for frame in videoframes.extract(usual.path, random=32, seed=5)] for _ in range(2)
    )
    assert first == second and len(set(first)) == 32


def test_the_order_and_repetitions_of_times_are_kept(usual: Clip) -> None:
    batch = videoframes.frames_at(usual.path, [5, 1, 5, 0.5])
    assert [number_in(pixels) for pixels in batch] == [usual.displayed(time) for time in (5, 1, 5, 0.5)]


def test_the_time_of_a_frame_gives_this_frame(clip: Clip) -> None:
    frames = videoframes.extract(clip.path, all=True)
    batch = videoframes.frames_at(clip.path, [frame.time for frame in frames])
    assert [number_in(pixels) for pixels in batch] == [frame.number for frame in frames]


def test_one_time_gives_an_array_of_one_frame(usual: Clip) -> None:
    assert videoframes.frames_at(usual.path, [1]).shape == (1, HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("pixels", "shape", "kind"),
    [
        ("rgb24", (HEIGHT, WIDTH, 3), numpy.uint8),
        ("gray8", (HEIGHT, WIDTH), numpy.uint8),
        ("yuv420p", (HEIGHT * 3 // 2, WIDTH), numpy.uint8),
        ("rgb48", (HEIGHT, WIDTH, 3), numpy.uint16),
    ],
)
def test_pixel_formats_have_their_shapes(usual: Clip, pixels: str, shape: tuple[int, ...], kind: type) -> None:
    batch = videoframes.frames_at(usual.path, [1, 2], pixels=pixels)
    assert batch.shape == (2, *shape) and batch.dtype == kind
    assert videoframes.extract(usual.path, count=2, pixels=pixels)[1].pixels.shape == shape


def test_pictures_are_resized_and_cropped(usual: Clip) -> None:
    assert videoframes.frames_at(usual.path, [1, 2], width=128).shape == (2, HEIGHT // 2, 128, 3)
    assert videoframes.frames_at(usual.path, [1, 2], crop="64x32+8+4").shape == (2, 32, 64, 3)


def test_thousands_of_times_are_one_array(usual: Clip) -> None:
    # More than one argument of a program can hold.
    times = [Fraction(number, 2_000) for number in range(20_000)]
    batch = videoframes.frames_at(usual.path, times, width=32)
    assert len(batch) == 20_000
    assert (batch[1_999] == batch[1_990]).all() and not (batch[0] == batch[19_999]).all()
