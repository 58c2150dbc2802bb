"""Measures small clips a second: one process of vf per clip, with each ffmpeg.

small.py VF FOLDER [FFMPEG …]

Each FFMPEG is a path; the ffmpeg on PATH is always measured. Prints clips a second, and the share of the starts of ffmpeg and
ffprobe in the wall time.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time

COUNT, ROUNDS = 40, 5


def timed(argv):
    began = time.perf_counter()
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def clips(folder, ffmpeg):
    """Returns a clip of two seconds for each container."""
    paths = []
    for container in ["mp4", "mkv"]:
        path = os.path.join(folder, f"small.{container}")
        source = "testsrc2=size=320x180:rate=30,noise=alls=8:allf=t"
        subprocess.run([ffmpeg, "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-t", "2",
                        "-pix_fmt", "yuv420p", "-c:v", "libx264", "-g", "30", path], check=True)
        paths.append(path)
    return paths


def beside(ffmpeg):
    """Returns the ffprobe that vf uses with an ffmpeg."""
    path = os.path.join(os.path.dirname(ffmpeg), "ffprobe")
    return path if os.path.exists(path) else shutil.which("ffprobe")


def starts_of(command, programs, folder):
    """Returns how often a command starts each program, counted by scripts in their place."""
    log = os.path.join(folder, "starts")
    for name, program in zip(("ffmpeg", "ffprobe"), programs):
        script = os.path.join(folder, name)
        with open(script, "w") as file:
            file.write(f'#!/bin/sh\necho {name} >> "{log}"\nexec "{program}" "$@"\n')
        os.chmod(script, 0o755)
    open(log, "w").close()
    timed([*command, "--ffmpeg", os.path.join(folder, "ffmpeg")])
    with open(log) as file:
        started = file.read().split()
    return [started.count("ffmpeg"), started.count("ffprobe")]


def main():
    vf, folder, *others = sys.argv[1:]
    default = shutil.which("ffmpeg")
    print("| ffmpeg | container | clips a second | starts of ffmpeg | starts of ffprobe | share of the starts |")
    print("|---|---|--:|--:|--:|--:|")
    paths = clips(folder, default)
    for ffmpeg in [default, *others]:
        programs = (ffmpeg, beside(ffmpeg))
        start = [min(timed([program, "-version"]) for _ in range(10)) for program in programs]
        version = subprocess.run([ffmpeg, "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
        for path in paths:
            command = [vf, "extract", path, "--fps", "1", "--quiet", "-y", "-o", os.path.join(folder, "small.zip")]
            counts = starts_of(command, programs, folder)
            with_ffmpeg = [*command, "--ffmpeg", ffmpeg]
            rounds = [sum(timed(with_ffmpeg) for _ in range(COUNT)) / COUNT for _ in range(ROUNDS)]
            each = statistics.median(rounds)
            share = sum(count * seconds for count, seconds in zip(counts, start)) / each
            cells = [f"{count} × {seconds * 1000:.0f} ms" for count, seconds in zip(counts, start)]
            print(f"| {version} | {path.rsplit('.', 1)[1]} | {1 / each:.1f} | {cells[0]} | {cells[1]} | {share:.0%} |", flush=True)


main()
