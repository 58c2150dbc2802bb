"""Describes resources with the API of their service, in the form of CloudFormation properties: one module per service.

To add a type, write a function in the module of its service. The function gets a source of clients, the physical ID and the
properties of the template; the properties only serve to find the resource where the ID is not enough:

    @describes("AWS::SQS::Queue")
    def queue(client, physical_id, properties):
        return client("sqs").get_queue_attributes(QueueUrl=physical_id, AttributeNames=["All"])["Attributes"]
"""

import importlib
import json
import pkgutil

KNOWN = {}


def describes(kind):
    """Registers a function that describes the resources of a type."""

    def register(function):
        KNOWN[kind] = function
        return function

    return register


def describer_of(kind):
    """Returns the function for a type."""
    if not KNOWN:
        for module in pkgutil.iter_modules(__path__):
            importlib.import_module(f"{__name__}.{module.name}")
    if kind not in KNOWN:
        raise ValueError(f"no function in scripts/deploy_check/describe/ describes {kind}")
    return KNOWN[kind]


def upper(node):
    """Returns a node whose keys start with a capital letter, as in CloudFormation."""
    if isinstance(node, dict):
        return {key[:1].upper() + key[1:]: upper(each) for key, each in node.items()}
    if isinstance(node, list):
        return [upper(each) for each in node]
    return node


def document(value):
    """Returns a policy that an API returns as text."""
    return json.loads(value) if isinstance(value, str) else value
