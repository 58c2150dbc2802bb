"""The cases: a clip, a selection, and the command of each tool."""

import os
import sys
from dataclasses import dataclass

from clips import CLIPS, RATE

HERE = os.path.dirname(os.path.abspath(__file__))
# Converts to the colours of the JPEG standard: BT.601, full range. vf uses the same filter.
COLOURS = ("colorspace=ispace=bt709:irange=tv:iprimaries=bt709:itrc=bt709"
           ":space=smpte170m:range=pc:primaries=bt709:trc=bt709:fast=1:format=yuv420p")

READERS = ["OpenCV", "PyAV", "decord"] + ["torchcodec"] * ("TORCHCODEC" in os.environ)


@dataclass
class Case:
    """Pictures of the frames with numbers start, start + step, … before stop."""

    name: str
    clip: str
    vf: list
    filter: str
    start: int
    stop: int
    step: int
    seek: bool = False
    same_colours: bool = False
    # Whether the tools read the clip by HTTP, with a delay before each response.
    remote: bool = False
    # Readers that fail or never end with this clip.
    without: tuple = ()

    def tools(self, vf, path, out):
        """Returns a command line for each tool. Each writes pictures or an archive into `out`."""
        archive = os.path.join(out, "out.zip")
        private = ["--allow-private-addresses"] if self.remote else []
        commands = {"vf": [vf, "extract", path, *self.vf, *private, "--quiet", "-o", archive]}
        encode = "-fps_mode passthrough -q:v 2"
        frames = f"mkdir {out}/f && ffmpeg -nostdin -v error"
        if self.seek:
            commands["ffmpeg -ss"] = sh(f"{frames} -ss {self.start / RATE} -i {path} -map 0:V:0 "
                                        f"-frames:v 1 -q:v 2 {out}/f/1.jpg")
        else:
            decode = f"{frames} -i {path} -map 0:V:0 -vf {self.filter}{{}} {encode} {out}/f/%06d.jpg && cd {out}"
            zip_0, zip_r = "zip -0 -q -r out.zip f", "zip -q -r out.zip f"
            commands["ffmpeg + zip"] = sh(f"{decode.format('')} && {zip_0}")
            if self.same_colours:
                commands["ffmpeg, same colours, + zip"] = sh(f"{decode.format(',' + COLOURS)} && {zip_0}")
                commands["ffmpeg, same colours, + zip -r"] = sh(f"{decode.format(',' + COLOURS)} && {zip_r}")
        picks = [self.start, self.stop, self.step, CLIPS[self.clip].gop]
        # Seeks in MPEG transport streams and FLV files do not find the keyframe before a frame.
        if not self.remote and CLIPS[self.clip].container not in ("ts", "flv"):
            limit = [os.environ["LIMIT"], path, os.path.join(out, "out.mjpeg"), *map(str, picks), COLOURS]
            commands["libavcodec, in process"] = limit
        for reader in [reader for reader in READERS if reader not in self.without]:
            script = os.path.join(HERE, "readers.py")
            commands[reader] = [sys.executable, script, reader, path, archive, *map(str, picks)]
        return commands


def sh(line):
    return ["sh", "-c", line]


def per_second(name, clip, **more):
    return Case(name, clip, ["--fps", "1"], "fps=1:round=up", 0, CLIPS[clip].frames, RATE, **more)


def every_10_s(name, clip, **more):
    return Case(name, clip, ["--every", "10s"], "fps=1/10:round=up", 0, CLIPS[clip].frames, 10 * RATE, **more)


CASES = [
    per_second("one a second, keyframes 8.3 s apart", "h264-1080p-gop250"),
    per_second("one a second, on keyframes", "h264-1080p-gop30"),
    Case("every 0.7 s, keyframes 1 s apart", "h264-1080p-gop30", ["--every", "0.7"],
         "fps=10/7:round=up", 0, 3600, 21),
    every_10_s("every 10 s, keyframes 1 s apart", "h264-1080p-gop30"),
    every_10_s("every 10 s, Matroska", "h264-1080p-gop30-mkv"),
    every_10_s("every 10 s, MPEG-TS", "h264-1080p-gop30-ts"),
    every_10_s("every 10 s, FLV", "h264-1080p-gop30-flv"),
    every_10_s("every 10 s, VP9 in WebM", "vp9-1080p-gop30-webm"),
    per_second("one a second by HTTP, 30 ms a request", "h264-1080p-gop30", remote=True, without=("OpenCV", "decord")),
    Case("all frames of 10 s", "h264-1080p-gop250", ["--all", "-t", "10s"],
         "trim=end_frame=300", 0, 300, 1, same_colours=True),
    per_second("one a second, HEVC", "hevc-1080p-gop250"),
    per_second("one a second, HEVC, one reference", "hevc-1080p-one-reference"),
    # The decoders in these wheels do not decode AV1.
    per_second("one a second, AV1", "av1-1080p-gop250", without=("OpenCV", "decord")),
    per_second("one a second, 4K, keyframes 8.3 s apart", "h264-4k-gop250"),
    per_second("one a second, 4K, on keyframes", "h264-4k-gop30"),
    Case("one late frame of ten minutes", "ten-minutes", ["--at", "594.5"], "", 17835, 17836, 1, seek=True),
]
