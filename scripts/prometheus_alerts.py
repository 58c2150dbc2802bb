"""Queries of a Prometheus for the drills of alerts."""

import json
import sys
import time
import urllib.parse
import urllib.request


def firing(address):
    """Returns the names of the firing alerts."""
    with urllib.request.urlopen(f"{address}/api/v1/alerts", timeout=5) as answer:
        alerts = json.load(answer)["data"]["alerts"]
    return sorted({each["labels"]["alertname"] for each in alerts if each["state"] == "firing"})


def samples(address, expression):
    """Returns the samples of an expression."""
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{address}/api/v1/query?{query}", timeout=5) as answer:
        return json.load(answer)["data"]["result"]


def until(address, expected, seconds):
    """Waits until exactly the expected alerts fire, and returns the seconds until then."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        now = firing(address)
        if now == expected:
            return time.monotonic() - began
        time.sleep(0.25)
    sys.exit(f"error: after {seconds} s, {now or 'no alerts'} fire instead of {expected or 'none'}")


def quiet(address, expected, seconds):
    """Fails if other alerts than the expected ones fire within a time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = firing(address)
        if now != expected:
            sys.exit(f"error: {now or 'no alerts'} fire instead of {expected or 'none'}")
        time.sleep(0.5)
