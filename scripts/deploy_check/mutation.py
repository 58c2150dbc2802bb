"""Tests of the rules: changes that have to break them, and the removal of each property of each resource."""

import fnmatch
import re
from pathlib import Path

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from . import template
from .rules import rules_of

# A dot inside a key, in a path.
BACKSLASH_DOT = r"\."
UNGUARDED = Path(__file__).with_name("unguarded.txt")


def reports(rule, stack):
    """Returns whether a rule reports a problem. A rule may fail where a removed property has to exist."""
    try:
        return bool(rule.problems(stack))
    except (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError):
        return True


def problems(stack, title):
    """Yields the problems that the rules report."""
    for rule in rules_of(stack.name):
        for problem in rule.problems(stack):
            yield f"{stack.name} ({title}): {problem} [{rule.name}]"


def check_rules(name):
    """Yields the problems of a stack in each environment, and with each allowed value of each parameter."""
    for environment in template.ENVIRONMENTS:
        yield from problems(template.resolve(name, environment), environment)
    for parameters in template.choices(name):
        title = ", ".join(f"{key}={value}" for key, value in parameters.items())
        yield from problems(template.resolve(name, "production", **parameters), title)


def check_breaks(stack):
    """Yields the changes that have to break a rule and do not."""
    for rule in rules_of(stack.name):
        for change in rule.breaks.get(stack.name, []):
            try:
                changed = stack.changed(change)
            except (IndexError, KeyError, TypeError):
                yield f"{stack.name}: the template cannot be changed: {change.text} [{rule.name}]"
                continue
            if not reports(rule, changed):
                yield f"{stack.name}: the rule accepts a template {change.text} [{rule.name}]"


def schema_at(schema, root):
    """Returns a schema without references to definitions."""
    while "$ref" in schema:
        schema = template.at(root, schema["$ref"].removeprefix("#/").split("/"))
    return schema


def removable(name, resource):
    """Yields the resource, its attributes of protection, and the path of each property that CloudFormation does not
    require. Elements of lists count as properties. The consumer sends True to skip what is below a path."""
    root = PROVIDER_SCHEMA_MANAGER.get_resource_schema(template.REGION, resource["Type"]).schema

    def below(path, node, schema):
        schema = schema_at(schema, root)
        required = set(schema.get("required", []))
        steps = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for step, each in steps:
            part = schema.get("items") if isinstance(node, list) else schema.get("properties", {}).get(step)
            inner = f"{path}.{str(step).replace('.', BACKSLASH_DOT)}"
            if step in required or not (yield inner):
                yield from below(inner, each, part or {})

    yield name
    for attribute in ("DeletionPolicy", "UpdateReplacePolicy"):
        if attribute in resource:
            yield f"{name}:{attribute}"
    yield from below(name, resource.get("Properties", {}), root)


class Unguarded:
    """The properties that no rule guards: lines of stack, path with wildcards, and reason."""

    def __init__(self, stack):
        lines = UNGUARDED.read_text().splitlines() if UNGUARDED.exists() else []
        rows = [re.split(r"\s+", line, maxsplit=2) for line in lines if line and not line.startswith("#")]
        self.patterns = {row[1]: row[2] for row in rows if row[0] == stack and len(row) == 3}
        self.incomplete = [" ".join(row) for row in rows if row[0] == stack and len(row) < 3]
        self.used = set()

    def has(self, path):
        """Returns whether a pattern matches the path, or a node above the path."""
        for pattern in self.patterns:
            if fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, f"{pattern}.*"):
                self.used.add(pattern)
                return True
        return False


def check_removals(stack, report):
    """Removes one property at a time, and yields those whose removal no rule reports. `report` gets the numbers."""
    rules = [rule for rule in rules_of(stack.name) if not rule.problems(stack)]
    unguarded = Unguarded(stack.name)
    guarded = listed = 0
    for name, resource in stack.resources.items():
        paths = removable(name, resource)
        path = next(paths)
        while path:
            is_guarded = any(reports(rule, stack.changed(template.remove(path))) for rule in rules)
            guarded += is_guarded
            if not is_guarded and unguarded.has(path):
                listed += 1
            elif not is_guarded:
                yield f"{stack.name}: no rule reports the removal of {path}"
            try:
                # A property without a guard stands for everything below.
                path = paths.send(not is_guarded and path != name)
            except StopIteration:
                break
    for line in unguarded.incomplete:
        yield f"{UNGUARDED.name}: a line has no reason: {line}"
    for pattern in sorted(set(unguarded.patterns) - unguarded.used):
        yield f"{UNGUARDED.name}: remove the line of {stack.name} {pattern}: rules report its removal"
    report(f"{stack.name}: the rules report the removal of {guarded} properties; {listed} are in {UNGUARDED.name}")
