"""Policies of docs/iam: reads a document with the names of a deployment, and evaluates requests.

Both scripts/iam-server, which enforces a policy, and scripts/iam-check, which removes parts of a policy, use this
module. Follows https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html for the
policies of one identity.
"""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
POLICIES = ROOT / "docs" / "iam"
# A word in capitals is a name of the deployment: at least two capitals, and maybe hyphens.
NAME = re.compile(r"(?<![A-Za-z0-9])[A-Z][A-Z-]*[A-Z](?![A-Za-z0-9])")


def as_list(value):
    return value if isinstance(value, list) else [value]


def replaced(value, names):
    """Returns a value with the names replaced. An unknown name is an error."""
    if isinstance(value, str):
        return NAME.sub(lambda found: names[found[0]], value)
    if isinstance(value, list):
        return [replaced(each, names) for each in value]
    return {key: replaced(each, names) for key, each in value.items()}


def load(name, names):
    """Returns the document `name` with lists for single actions and resources."""
    policy = json.loads((POLICIES / f"{name}.json").read_text())
    for statement in policy["Statement"]:
        statement["Action"] = as_list(statement["Action"])
        for element in ("Resource", "Condition"):
            if element in statement:
                statement[element] = replaced(statement[element], names)
        if "Resource" in statement:
            statement["Resource"] = as_list(statement["Resource"])
    return policy


def matches(pattern, text):
    parts = re.split(r"([*?])", pattern)
    regex = "".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in parts)
    return re.fullmatch(regex, text, re.DOTALL) is not None


OPERATORS = {
    "StringEquals": lambda expected, actual: expected == actual,
    "StringLike": matches,
    "ArnEquals": matches,
    "ArnLike": matches,
    "Bool": lambda expected, actual: expected.lower() == actual.lower(),
}


def holds(condition, context):
    """Returns whether each key has one of its values. A key that the request lacks does not hold."""
    for operator, keys in condition.items():
        for key, values in keys.items():
            actual = context.get(key)
            if actual is None or not any(OPERATORS[operator](value, actual) for value in as_list(values)):
                return False
    return True


def applies(statement, action, resource, context):
    return (
        any(matches(each.lower(), action.lower()) for each in as_list(statement["Action"]))
        and any(matches(each, resource) for each in as_list(statement["Resource"]))
        and holds(statement.get("Condition", {}), context)
    )


def permits(policies, action, resource, context):
    """Returns whether a statement allows the request and none denies it."""
    effects = {
        statement["Effect"]
        for policy in policies
        for statement in as_list(policy["Statement"])
        if applies(statement, action, resource, context)
    }
    return effects == {"Allow"}
