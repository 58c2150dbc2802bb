"""Helpers of the drills: commands, requests to a worker, and conditions with a time limit."""

import subprocess
import sys
import time
import urllib.error
import urllib.request


def run(*command, env=None):
    """Runs a command and returns its output; exits with its code if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=env)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout.strip()


def get(address, path):
    """Returns the status and the body of a response."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def wait(what, holds, seconds=60):
    """Waits until a condition holds, and exits if it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"error: not within {seconds} s: {what}")
        time.sleep(0.25)
