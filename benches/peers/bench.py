"""Runs every case with every tool in several rounds, then writes the table and the chart."""

import glob
import importlib.metadata
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import zipfile

import cv2
import numpy

from cases import CASES
from clips import clip
from measure import run
from report import write
from server import serve

VF, FOLDER = os.environ["VF"], os.environ["BENCH_DIR"]
ROUNDS = int(os.environ.get("ROUNDS", "5"))


def pictures(out):
    """Returns the pictures that a tool wrote, in order."""
    archive, joined = os.path.join(out, "out.zip"), os.path.join(out, "out.mjpeg")
    if os.path.exists(joined):
        # The markers of end and start are no part of the data of a picture.
        parts = open(joined, "rb").read().split(b"\xff\xd9\xff\xd8")
        return [b"\xff\xd8" + part.removeprefix(b"\xff\xd8").removesuffix(b"\xff\xd9") + b"\xff\xd9" for part in parts]
    if not os.path.exists(archive):
        return [open(path, "rb").read() for path in sorted(glob.glob(out + "/f/*.jpg"))]
    with zipfile.ZipFile(archive) as names:
        return [names.read(name) for name in sorted(names.namelist()) if name.endswith(".jpg")]


def differences(ours, theirs):
    """Returns a note on pictures that show another frame than those of vf; empty if there are none."""
    if len(ours) != len(theirs):
        return f"{len(theirs)} pictures for {len(ours)}"
    other = 0
    for a, b in zip(ours, theirs):
        # Small and grey, since noise and colours differ between encoders, but motion does not.
        a, b = (cv2.resize(cv2.imdecode(numpy.frombuffer(x, numpy.uint8), cv2.IMREAD_GRAYSCALE), (480, 270),
                           interpolation=cv2.INTER_AREA).astype(int) for x in (a, b))
        moved = numpy.abs(a - a.mean() - b + b.mean()) > 40
        other += moved.mean() > 0.001
    return f"{other} of {len(ours)} show another frame" if other else ""


def measure(case):
    path = clip(case.clip, FOLDER)
    if not case.remote:
        return compare(case, path)
    with serve(FOLDER, 0.030) as server:
        return compare(case, f"{server.address}/{os.path.basename(path)}", server)


def compare(case, path, server=None):
    """Returns the number of pictures, and the costs of each tool for the clip at a path or URL."""
    costs, notes, ours = {}, {}, []
    for number in range(ROUNDS):
        for tool in case.tools(VF, path, ""):
            with tempfile.TemporaryDirectory(dir=FOLDER) as out:
                before = server.served() if server else (0, 0)
                costs.setdefault(tool, []).append(run(case.tools(VF, path, out)[tool]))
                if number == 0:
                    made = pictures(out)
                    ours = made if tool == "vf" else ours
                    notes[tool] = differences(ours, made)
                    if server:
                        requests, sent = (now - then for now, then in zip(server.served(), before))
                        read = f"{requests} requests, {sent / 1e6:.1f} MB"
                        notes[tool] = f"{notes[tool]}; {read}" if notes[tool] else read
        print(f"{case.name}: round {number + 1}/{ROUNDS}", file=sys.stderr)
    results = {}
    for tool, runs in costs.items():
        medians = [statistics.median(column) for column in zip(*runs)]
        # Ratios compare two runs of the same round.
        ratios = [statistics.median(a[i] / max(b[i], 1e-9) for a, b in zip(costs["vf"], runs)) for i in range(3)]
        results[tool] = (medians, ratios, notes[tool])
    return len(ours), results


def versions():
    first = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout
    vf = subprocess.run([VF, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    packages = [("OpenCV", "opencv-python-headless"), ("PyAV", "av"), ("decord", "decord")]
    packages += [("torchcodec", "torchcodec")] * ("TORCHCODEC" in os.environ)
    return ", ".join([vf, " ".join(first.split()[:3])]
                     + [f"{name} {importlib.metadata.version(package)}" for name, package in packages])


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for stale in glob.glob(FOLDER + "/tmp*"):
        shutil.rmtree(stale)
    wanted = re.compile(os.environ.get("CASES", ""))
    cases = [case for case in CASES if wanted.search(case.name)]
    for case in cases:
        clip(case.clip, FOLDER)
    # The report keeps earlier results of other cases, if the tools are the same.
    facts = f"{versions()}; {len(os.sched_getaffinity(0))} cores; medians of {ROUNDS} rounds"
    store = os.path.join(FOLDER, "peers.json")
    known = json.load(open(store)) if os.path.exists(store) else {}
    results = known["results"] if known.get("facts") == facts else {}
    for case in cases:
        results[case.name] = measure(case)
        with open(store, "w") as file:
            json.dump({"facts": facts, "results": results}, file, indent=1)
    write([(case, *results[case.name]) for case in CASES if case.name in results], facts, FOLDER)


main()
