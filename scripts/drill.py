"""Helpers of the drills: commands, the environment of a worker, requests to it, and conditions with a time limit."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request


def stop_servers_on_signals():
    """Lets a termination run the `finally` blocks, which stop the servers of a drill."""
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, lambda number, _: sys.exit(128 + number))


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


def wait(what, holds, seconds=60, state=lambda: ""):
    """Waits until a condition holds, and exits with the state if it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"error: not within {seconds} s: {what} {state()}".rstrip())
        time.sleep(0.25)


def wait_ready(what, addresses, seconds=60):
    """Waits until workers are ready, and exits with their reasons if they are not in time."""
    def answers():
        return [get(address, "/readyz") for address in addresses]
    wait(what, lambda: all(status == 200 for status, _ in answers()), seconds, answers)


def end(commands):
    """Runs the commands that stop servers, last started first."""
    for command in reversed(commands):
        subprocess.run(command, check=False)


def job_options(number):
    """Returns the options of a job: one of three lengths."""
    return (("-n", "5"), ("--fps", "5"), ("--fps", "12"))[number % 3]


def deployment(folder, database, store, queue, **more):
    """Returns the environment of a worker with Postgres, S3 and SQS on loopback."""
    return {
        "PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder, "DATABASE_URL": database,
        "VF_STORAGE": "s3://vf-frames", "VF_SOURCES": "vf-frames", "VF_INPUT_QUEUE": "sqs:vf-input",
        "VF_NOTIFIER_QUEUE": "sqs:vf-notifier", "VF_DEAD_LETTER_QUEUE": "sqs:vf-dead-letters",
        "AWS_ENDPOINT_URL_S3": store, "AWS_ENDPOINT_URL_SQS": queue, "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "videoframes", "AWS_SECRET_ACCESS_KEY": "videoframes-secret",
        # Below the default, which makes workers on a nearly full disk unready.
        "VF_LOG_FORMAT": "json", "VF_REUSE": "off", "VF_SCRATCH_QUOTA": "2GiB", **more,
    }
