"""Predicts the wall time of vf on many cores from the CPU time of its parts, and checks the prediction on one and two cores.

scaling.py VF CLIP [OPTION …]

Runs `vf extract CLIP OPTION …` with as many decoders as cores. Decoders are child processes and share the cores. All other work
(reads, checksums, the archive) is that of vf itself, and is counted as if it had one core only.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")
ROUNDS = 5


def cpu(pid):
    """Returns the CPU seconds of a process and of its children that ended."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    user, system, child_user, child_system = map(int, fields[11:15])
    return (user + system) / TICK, (child_user + child_system) / TICK


def run(vf, clip, options, cores):
    """Returns the wall time of a run, the CPU time of vf, and the CPU time of its decoders, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [vf, "extract", clip, *options, "-j", str(cores), "--quiet", "-o", f"{folder}/out.zip"]
        start = time.perf_counter()
        process = subprocess.Popen(command, preexec_fn=lambda: os.sched_setaffinity(0, USABLE[:cores]))
        # A process that has ended keeps its times until it is waited for.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        wall = time.perf_counter() - start
        own, decoders = cpu(process.pid)
        if process.wait() != 0:
            sys.exit("error: vf failed")
    return wall, own, decoders


def medians(vf, clip, options, cores):
    runs = [run(vf, clip, options, cores) for _ in range(ROUNDS)]
    return [statistics.median(column) for column in zip(*runs)]


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    vf, clip, *options = sys.argv[1:]
    # One picture of the first frame: mostly the time until the first decoder runs.
    latency, *_ = medians(vf, clip, ["--at", "0"], 1)
    wall, own, decoders = medians(vf, clip, options, 1)
    work = own + decoders
    print(f"start {latency:.2f} s; vf {own:.2f} CPU-s; decoders {decoders:.2f} CPU-s; one core {wall:.2f} s")
    print(f"vf itself is the limit above {work / own:.0f} cores")
    # The work of one core includes the start.
    rest = max(wall - latency, 0)
    print("| cores | predicted, s | measured, s | times faster than one core |")
    print("|--:|--:|--:|--:|")
    for cores in (1, 2, 4, 16, 64):
        predicted = latency + max(rest / cores, own)
        measured = ""
        if cores <= len(USABLE):
            measured = f"{medians(vf, clip, options, cores)[0]:.2f}"
        print(f"| {cores} | {predicted:.2f} | {measured} | {wall / predicted:.1f} |")


USABLE = sorted(os.sched_getaffinity(0))
main()
