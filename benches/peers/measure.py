"""Measures one command with all its child processes."""

import os
import subprocess
import sys
import threading
import time

PAGE = os.sysconf("SC_PAGE_SIZE")


def tree(pid):
    """Returns a process and all its descendants."""
    pids = [pid]
    for parent in pids:
        try:
            for thread in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{thread}/children") as children:
                    pids.extend(map(int, children.read().split()))
        except OSError:
            pass
    return pids


def resident(pid):
    try:
        with open(f"/proc/{pid}/statm") as statm:
            return int(statm.read().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def run(argv):
    """Returns wall and CPU seconds, and the peak of total resident memory in MiB, sampled every 5 ms."""
    peak, done = 0, threading.Event()

    def watch(pid):
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, sum(map(resident, tree(pid))))

    start = time.perf_counter()
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    watcher = threading.Thread(target=watch, args=[child.pid])
    watcher.start()
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    done.set()
    watcher.join()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit("error: %s failed:\n%s" % (" ".join(argv), errors.decode(errors="replace")))
    return wall, usage.ru_utime + usage.ru_stime, peak / 2**20
