"""Creates missing clips: moving test pictures with noise like that of cameras."""

import os
import subprocess
from dataclasses import dataclass

RATE = 30
H264 = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-refs", "3"]
HEVC = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:bframes=3"]
HEVC_ONE_REFERENCE = [*HEVC[:-1], "log-level=error:bframes=3:ref=1"]
VP9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-row-mt", "1", "-b:v", "4M"]
AV1 = ["-c:v", "libsvtav1", "-preset", "10", "-crf", "40"]


@dataclass
class Clip:
    size: str
    codec: list
    # Frames between keyframes.
    gop: int
    # Seconds of the encoded part, and number of its repetitions.
    seconds: int
    repetitions: int = 1
    container: str = "mp4"

    @property
    def frames(self):
        return self.seconds * self.repetitions * RATE


CLIPS = {
    "h264-1080p-gop250": Clip("1920x1080", H264, 250, 60),
    "h264-1080p-gop30": Clip("1920x1080", H264, 30, 60, 2),
    "h264-1080p-gop30-mkv": Clip("1920x1080", H264, 30, 60, 2, "mkv"),
    "h264-1080p-gop30-ts": Clip("1920x1080", H264, 30, 60, 2, "ts"),
    "h264-1080p-gop30-flv": Clip("1920x1080", H264, 30, 60, 2, "flv"),
    "hevc-1080p-gop250": Clip("1920x1080", HEVC, 250, 30),
    "hevc-1080p-one-reference": Clip("1920x1080", HEVC_ONE_REFERENCE, 250, 30),
    "vp9-1080p-gop30-webm": Clip("1920x1080", VP9, 30, 30, 2, "webm"),
    "av1-1080p-gop250": Clip("1920x1080", AV1, 250, 30),
    "h264-4k-gop250": Clip("3840x2160", H264, 250, 20),
    "h264-4k-gop30": Clip("3840x2160", H264, 30, 20),
    "ten-minutes": Clip("1920x1080", H264, 250, 60, 10),
}


def ffmpeg(*args):
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *args], check=True)


def clip(name, folder):
    """Returns the path of a clip, and creates a missing clip."""
    wanted = CLIPS[name]
    path = os.path.join(folder, f"{name}.{wanted.container}")
    if os.path.exists(path):
        return path
    settings = "".join(wanted.codec[1:]).replace("/", "-").replace(":", "-")
    once = os.path.join(folder, f"{wanted.size}-{settings}-{wanted.gop}-{wanted.seconds}.mp4")
    if not os.path.exists(once):
        source = f"testsrc2=size={wanted.size}:rate={RATE},noise=alls=8:allf=t"
        group = ["-g", str(wanted.gop), "-keyint_min", str(wanted.gop)]
        if wanted.codec is not AV1:
            group += ["-sc_threshold", "0"]
        ffmpeg("-f", "lavfi", "-i", source, "-t", str(wanted.seconds), "-pix_fmt", "yuv420p",
               *wanted.codec, *group, "-f", "mp4", once + ".part")
        os.rename(once + ".part", once)
    if wanted.repetitions == 1 and wanted.container == "mp4":
        os.link(once, path)
    else:
        muxer = {"mkv": "matroska", "ts": "mpegts"}.get(wanted.container, wanted.container)
        ffmpeg("-stream_loop", str(wanted.repetitions - 1), "-i", once, "-c", "copy", "-f", muxer, path + ".part")
        os.rename(path + ".part", path)
    return path
