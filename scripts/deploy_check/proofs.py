"""Broken input for the checks themselves: each has to be reported."""

import tempfile
from pathlib import Path

from . import template, tools
from .emulator import NotApplied, in_order

BUCKET = """
AWSTemplateFormatVersion: "2010-09-09"
Resources:
  Bucket:
    Type: AWS::S3::Bucket
"""
# By text that has to be reported: a template for cfn-lint, or for checkov.
FOR_CFN_LINT = {
    "E3012": BUCKET + "    Properties: {BucketName: [a]}\n",
    "E1020": BUCKET + "    Properties: {BucketName: !Ref Missing}\n",
}
FOR_CHECKOV = {
    "CKV_AWS_21": BUCKET,
    "has no reason": BUCKET + "    Metadata: {checkov: {skip: [{id: CKV_AWS_21, comment: later}]}}\n",
    "has no effect": BUCKET + "    Metadata: {checkov: {skip: [{id: CKV_AWS_157, comment: a check of another type}]}}\n",
}
# By text that has to be reported: lines of not_applied.txt, of which the emulator has lost Type.Lost.
LISTS = {
    "may not grow": "a limit 1\na Type refused\na Type.Lost lost\n",
    "lower the limit": "a limit 3\na Type refused\na Type.Lost lost\n",
    "remove a Type.Held": "a limit 2\na Type.Held lost\na Type.Lost lost\n",
}


def check_lists():
    """Yields the lists that are accepted although they are not exact."""
    for expected, text in LISTS.items():
        listed = NotApplied("a", text)
        if not listed.has("Type.Lost.Property") or listed.has("Type.Other"):
            yield f"the list does not have what it says: {text!r}"
        if not any(expected in problem for problem in listed.problems("a")):
            yield f"a list is accepted that must be reported with '{expected}'"


def check_order():
    """Yields the stacks that are not applied after all stacks that they need."""
    for name in template.names():
        if in_order([name])[-1] != name:
            yield f"the order of the stacks that {name} needs does not end with {name}"
    if "data" not in in_order(["service"]):
        yield "the service is applied without the data that it imports"


def check_tool(tool, cases):
    """Yields the templates that a tool accepts."""
    with tempfile.TemporaryDirectory(prefix="vf-deploy.") as folder:
        names = [f"broken{index}" for index in range(len(cases))]
        for name, text in zip(names, cases.values()):
            (Path(folder) / f"{name}.yaml").write_text(text)
        found = list(tool(names, Path(folder)))
    for name, expected in zip(names, cases):
        if not any(expected in finding and name in finding for finding in found):
            yield f"{tool.__name__} accepts a template that must be reported with '{expected}'"


def check(slow):
    """Yields what a check accepts although it is broken."""
    yield from check_lists()
    yield from check_order()
    if slow:
        yield from check_tool(tools.cfn_lint, FOR_CFN_LINT)
        if tools.CHECKOV.exists():
            yield from check_tool(tools.checkov, FOR_CHECKOV)
