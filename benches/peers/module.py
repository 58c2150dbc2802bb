"""Measures the Python module beside PyAV and torchcodec: 32 random frames of a clip as one array (32, height, width, 3).

    python3 benches/peers/module.py CLIP [CLIP …]   ROUNDS=5  FRAMES=32

Each reader makes two calls in a new process: the first includes imports. The module runs the `vf` of VIDEOFRAMES_VF or of the path.
Prints medians of the times of both calls, and of CPU time and peak memory of the whole process with its children. Fails if the frames
differ. Measures the readers whose packages are installed.
"""

import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

import measure

ROUNDS = int(os.environ.get("ROUNDS", "5"))
FRAMES = int(os.environ.get("FRAMES", "32"))


def videoframes(path, times):
    import videoframes as module

    return module.frames_at(path, times)


def pyav(path, times):
    """Seeks to the keyframe before each time, and decodes on to the displayed frame."""
    import av
    import numpy as np

    found = {}
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        first = stream.start_time or 0
        shown, following, frames = None, None, None
        for wanted in sorted(set(times)):
            pts = first + int(wanted / stream.time_base)
            # A time less than a second later is decoded without a seek.
            if shown is None or pts - shown.pts > 1 / stream.time_base:
                container.seek(pts, stream=stream, backward=True)
                frames, following = container.decode(stream), None
            # A frame is displayed until the next one.
            while following is None or following.pts <= pts:
                shown, following = following or next(frames, shown), next(frames, None)
                if following is None:
                    break
            found[wanted] = shown.to_ndarray(format="rgb24")
    return np.stack([found[each] for each in times])


def torchcodec(path, times):
    from torchcodec.decoders import VideoDecoder

    video = VideoDecoder(path, num_ffmpeg_threads=0, dimension_order="NHWC")
    return video.get_frames_played_at(seconds=times).data.numpy()


READERS = {"videoframes": videoframes, "PyAV": pyav, "torchcodec": torchcodec}
PACKAGES = {"videoframes": "videoframes", "PyAV": "av", "torchcodec": "torchcodec"}


def duration(path):
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=duration", "-of", "csv=p=0", path]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def call(reader, path, times, result):
    """Calls one reader twice, and writes the times and a small version of each frame."""
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        frames = READERS[reader](path, times)
        seconds.append(time.perf_counter() - started)
    small = [frame[::40, ::40].astype(int).ravel().tolist() for frame in frames]
    with open(result, "w") as file:
        json.dump({"shape": list(frames.shape), "first": seconds[0], "second": seconds[1], "small": small}, file)


def measured(reader, path, times):
    """Calls one reader in a new process."""
    with tempfile.NamedTemporaryFile() as result:
        command = [sys.executable, __file__, "--call", reader, path, json.dumps(times), result.name]
        _, cpu, memory = measure.run(command)
        return {**json.load(result), "cpu": cpu, "memory": memory}


def difference(one, other):
    """Returns the sum of the differences of all channels."""
    return sum(abs(x - y) for x, y in zip(one, other, strict=True))


def other_frames(ours, theirs):
    """Returns the positions of frames that are more similar to a frame of another time.

    The readers convert colours differently if the video does not tell its matrix, so equal frames are not equal pixels.
    """
    nearest = ([difference(one, each) for each in theirs] for one in ours)
    return [number for number, distances in enumerate(nearest) if distances[number] > min(distances)]


def compare(path):
    last = duration(path)
    randomness = random.Random(32)
    times = [round(randomness.uniform(0, last * 0.99), 3) for _ in range(FRAMES)]
    readers = [name for name in READERS if importlib.util.find_spec(PACKAGES[name])]
    if "videoframes" not in readers:
        sys.exit("error: the module videoframes is not installed")
    results = {name: [] for name in readers}
    for _ in range(ROUNDS):
        for name in readers:
            results[name].append(measured(name, path, times))
    expected = results["videoframes"][0]
    print(f"{os.path.basename(path)}: {FRAMES} frames {expected['shape'][1:]}")
    print(f"{'':12} {'first s':>8} {'second s':>9} {'ratio':>6} {'CPU s':>7} {'MiB':>6}")
    for name, runs in results.items():
        if runs[0]["shape"] != expected["shape"]:
            sys.exit(f"{name} returns {runs[0]['shape']}")
        if others := other_frames(expected["small"], runs[0]["small"]):
            sys.exit(f"{name} returns other frames at the positions {others}")
        median = {key: statistics.median(run[key] for run in runs) for key in ("first", "second", "cpu", "memory")}
        ratio = statistics.median(ours["second"] / run["second"] for ours, run in zip(results["videoframes"], runs, strict=True))
        print(f"{name:12} {median['first']:8.3f} {median['second']:9.3f} {ratio:6.2f} {median['cpu']:7.2f} {median['memory']:6.0f}")


def main():
    if sys.argv[1:2] == ["--call"]:
        call(sys.argv[2], sys.argv[3], json.loads(sys.argv[4]), sys.argv[5])
        return
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    for path in sys.argv[1:]:
        compare(path)


if __name__ == "__main__":
    main()
