"""Creates missing clips: moving test pictures with noise like that of cameras."""

import os
import subprocess

H264 = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-refs", "3"]
HEVC = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:bframes=3"]

# Name: size, codec, frames between keyframes, seconds, number of repetitions.
CLIPS = {
    "h264-1080p-gop250": ("1920x1080", H264, 250, 60, 1),
    "h264-1080p-gop30": ("1920x1080", H264, 30, 60, 2),
    "hevc-1080p-gop250": ("1920x1080", HEVC, 250, 30, 1),
    "h264-4k-gop250": ("3840x2160", H264, 250, 20, 1),
    "h264-4k-gop30": ("3840x2160", H264, 30, 20, 1),
    "ten-minutes": ("1920x1080", H264, 250, 60, 10),
}
RATE = 30


def ffmpeg(*args):
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *args], check=True)


def clip(name, folder):
    """Returns the path of a clip, and creates a missing clip."""
    size, codec, gop, seconds, times = CLIPS[name]
    path = os.path.join(folder, name + ".mp4")
    if os.path.exists(path):
        return path
    once = os.path.join(folder, f"{size}-{codec[1]}-{gop}-{seconds}.mp4")
    if not os.path.exists(once):
        source = f"testsrc2=size={size}:rate={RATE},noise=alls=8:allf=t"
        group = ["-g", str(gop), "-keyint_min", str(gop), "-sc_threshold", "0"]
        ffmpeg("-f", "lavfi", "-i", source, "-t", str(seconds), "-pix_fmt", "yuv420p",
               *codec, *group, "-f", "mp4", once + ".part")
        os.rename(once + ".part", once)
    if times == 1:
        os.link(once, path)
    else:
        ffmpeg("-stream_loop", str(times - 1), "-i", once, "-c", "copy", "-f", "mp4", path + ".part")
        os.rename(path + ".part", path)
    return path
