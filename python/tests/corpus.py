"""Clips whose frames show their numbers, as 16 bits in grey stripes."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy

WIDTH, HEIGHT, BITS = 256, 144, 16
# Codecs decode a stripe of 16 pixels without errors that reach the middle of the range.
STRIPES = f"geq=lum='16+219*mod(floor(N/pow(2,floor(X/{WIDTH // BITS}))),2)':cb=128:cr=128"
SOURCE = f"nullsrc=size={WIDTH}x{HEIGHT}:rate=30000/1001:duration=11.5,{STRIPES}"


@dataclass(frozen=True)
class Clip:
    """A clip, and the time in seconds at which each frame is displayed, from the first."""

    path: Path
    times: list[Fraction]

    def displayed(self, time: Fraction | float) -> int:
        """Returns the number of the frame that is displayed at a time."""
        return max(number for number, begin in enumerate(self.times) if begin <= time)


CLIPS = {
    "h264-b-frames.mp4": "-c:v libx264 -g 48 -bf 3",
    "h264-irregular.mkv": "-vf setpts='PTS+mod(N\\,3)*0.01/TB' -fps_mode passthrough -c:v libx264 -g 60 -bf 2",
    "hevc.mp4": "-c:v libx265 -x265-params log-level=none:keyint=50",
    "vp9.webm": "-c:v libvpx-vp9 -deadline realtime -g 40",
    "mpeg2.ts": "-c:v mpeg2video -g 15 -bf 2 -q:v 2",
    "late-start.mp4": "-c:v libx264 -g 48 -output_ts_offset 5",
}


def make(folder: Path, name: str) -> Clip:
    """Generates a clip."""
    path = folder / name
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", SOURCE, "-pix_fmt", "yuv420p"]
    subprocess.run([*command, *CLIPS[name].replace("'", "").split(), path], check=True)
    fields = ["-select_streams", "v:0", "-show_entries", "stream=time_base:frame=pts", "-of", "default=noprint_wrappers=1"]
    probed = subprocess.run(["ffprobe", "-v", "error", *fields, path], check=True, capture_output=True, text=True).stdout
    values = [line.split("=", 1) for line in probed.splitlines()]
    base = next(Fraction(value) for key, value in values if key == "time_base")
    stamps = sorted(int(value) for key, value in values if key == "pts")
    return Clip(path, [(stamp - stamps[0]) * base for stamp in stamps])


def number_in(pixels: numpy.ndarray) -> int:
    """Returns the number that a frame shows."""
    luma = pixels.reshape(*pixels.shape[:2], -1).mean(axis=(0, 2))
    stripes = luma.reshape(BITS, -1).mean(axis=1)
    return sum(1 << bit for bit, level in enumerate(stripes) if level > 127)
