"""Reads CloudFormation templates."""

import yaml


class _Loader(yaml.SafeLoader):
    """YAML with the short forms of intrinsic functions."""


def _short_form(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def load_template(path):
    """Returns a template with the long forms of intrinsic functions."""
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, _Loader)  # noqa: S506 a safe loader
