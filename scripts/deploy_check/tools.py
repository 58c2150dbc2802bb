"""The published tools that check deploy/: cfn-lint, checkov, and the scripts for other files."""

import json
import os
import subprocess
import sys
from pathlib import Path

from . import template

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
TOOLS = (TARGET if TARGET.is_absolute() else template.ROOT / TARGET) / "tools"
CHECKOV = TOOLS / "deploy" / "bin" / "checkov"
# Scripts that check further files of deploy/; each finds its own tools.
SCRIPTS = (["check-image", "--quick"], ["check-kubernetes"], ["check-units"], ["check-workflows"])
# Scripts of the slow half: this one builds an image.
SLOW_SCRIPTS = (["check-image"],)
# Checks of the templates' code and of numbers in documents, which need the packages of this Python.
PYTHON_CHECKS = (["check-hook"], ["check-releases"], ["check-scaling"], ["check-capacity"],
                 ["aws-costs", "--check", template.FOLDER / "README.md"])
# Exit code of a script that needs a tool which is not installed here; the script prints which one.
CANNOT_RUN = 3
# A reason has at least a few words.
SHORTEST_REASON = 20


def templates(stacks, folder):
    return [folder / f"{name}.yaml" for name in stacks]


def cfn_lint(stacks, folder=template.FOLDER):
    """Yields the findings of cfn-lint."""
    command = [Path(sys.executable).with_name("cfn-lint"), "--non-zero-exit-code", "informational", "--format", "parseable",
               "--regions", template.REGION, "--", *templates(stacks, folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        yield from (done.stdout or done.stderr).strip().splitlines()


def skips_of(path):
    """Yields resource, check and reason of each checkov check that a template skips."""
    for resource, terms in template.loaded(path)["Resources"].items():
        for skip in terms.get("Metadata", {}).get("checkov", {}).get("skip", []):
            yield resource, skip.get("id"), skip.get("comment", "")


def checkov(stacks, folder=template.FOLDER):
    """Yields the findings of checkov, and skips without a reason or without an effect."""
    files = [word for path in templates(stacks, folder) for word in ("--file", path)]
    done = subprocess.run([CHECKOV, "--framework", "cloudformation", "--skip-download", "--compact",
                           "--output", "json", *files], capture_output=True, text=True)
    try:
        reports = json.loads(done.stdout)
    except json.JSONDecodeError:
        yield f"checkov failed: {done.stderr[-500:]}"
        return
    results = reports["results"] if isinstance(reports, dict) else {}
    for failed in results.get("failed_checks", []):
        yield f"{Path(failed['file_path']).name}: {failed['resource']}: {failed['check_id']} {failed['check_name']}"
    skipped = {(Path(each["file_path"]).stem, each["resource"].rpartition(".")[2], each["check_id"])
               for each in results.get("skipped_checks", [])}
    for name, path in zip(stacks, templates(stacks, folder)):
        for resource, check, reason in skips_of(path):
            if len(reason) < SHORTEST_REASON:
                yield f"{name}: {resource}: the skip of {check} has no reason"
            if (name, resource, check) not in skipped:
                yield f"{name}: {resource}: the skip of {check} has no effect: remove the skip"


def scripts(slow, say):
    """Yields the scripts that failed. `say` gets the scripts that cannot run on this machine."""
    for name, *arguments in (*SCRIPTS, *(SLOW_SCRIPTS if slow else ())):
        yield from failures(name, [template.ROOT / "scripts" / name, *arguments], say)


def python_checks(say):
    """Yields the failed checks. `say` gets the checks that cannot run on this machine."""
    for name, *arguments in PYTHON_CHECKS:
        yield from failures(name, [sys.executable, template.ROOT / "scripts" / name, *arguments], say)


def failures(name, command, say):
    """Runs a script. Yields its failure."""
    status = subprocess.run(command).returncode
    if status == CANNOT_RUN:
        say(f"scripts/{name} did not run: this machine lacks a tool")
    elif status:
        yield f"scripts/{name} failed with exit code {status}"
