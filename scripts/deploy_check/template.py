"""CloudFormation templates: reading, resolving for one environment, and changing for the tests of rules.

A resolved template has no functions. A reference to a resource is the text `${Name}`, an attribute `${Name.Attribute}`,
and a value of another stack `${import:NAME}`. Resources whose condition is false are missing.
"""

import copy
import functools
import ipaddress
import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "deploy" / "aws"
ENVIRONMENTS = ("staging", "production")
REGION, ACCOUNT = "eu-central-1", "123456789012"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/videoframes/1",
}
NO_VALUE = object()


class Loader(yaml.SafeLoader):
    """Reads the short forms of functions as their long forms."""


def long_form(loader, suffix, node):
    """Returns `!Name value` as `{"Fn::Name": value}`."""
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", long_form)
# Only `true` and `false` are booleans in CloudFormation; a date, such as the version of a policy, is a text.
Loader.yaml_implicit_resolvers = {
    first: [(tag, expression) for tag, expression in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def names():
    """Returns the names of the stacks."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@functools.cache
def loaded(path):
    """Returns the content of a template with the long forms of functions. Nobody may change the content."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader)


def read(name):
    """Returns the template of a stack, which the caller may change."""
    return copy.deepcopy(loaded(FOLDER / f"{name}.yaml"))


def alarms():
    """Returns the alarms about the workers, which observe.yaml includes."""
    resources = loaded(ROOT / "deploy" / "monitoring" / "cloudwatch" / "alarms.yaml")["Resources"]
    return {name: each["Properties"] for name, each in resources.items() if each["Type"].endswith("Alarm")}


def parameters_of(environment):
    """Returns the parameters of all stacks in an environment."""
    return json.loads((FOLDER / f"{environment}.json").read_text())["Parameters"]


@dataclass
class Stack:
    """The resolved template of one stack."""

    name: str
    environment: str
    resources: dict
    outputs: dict

    def of_type(self, kind):
        """Returns name and properties of each resource of a type, such as `AWS::SQS::Queue`."""
        return [(name, resource.get("Properties", {})) for name, resource in self.resources.items()
                if resource["Type"] == kind]

    def changed(self, change):
        """Returns a copy with a change of one resource."""
        resources = dict(self.resources)
        resources[change.owner] = copy.deepcopy(resources[change.owner])
        change(resources)
        return Stack(self.name, self.environment, resources, self.outputs)


class Resolver:
    """Evaluates the functions of one template."""

    def __init__(self, name, template, values):
        self.template = template
        self.conditions = template.get("Conditions", {})
        self.parameters = dict(PSEUDO, **{"AWS::StackName": f"videoframes-{values['Environment']}-{name}"})
        for parameter, terms in template.get("Parameters", {}).items():
            if parameter not in values and "Default" not in terms:
                raise ValueError(f"{name}: parameter {parameter} has neither a value nor a default")
            value = values.get(parameter, terms.get("Default"))
            is_list = terms["Type"] == "CommaDelimitedList" or terms["Type"].startswith("List<")
            self.parameters[parameter] = [each.strip() for each in value.split(",")] if is_list else str(value)

    def value(self, node):
        """Returns a node without functions."""
        if isinstance(node, list):
            values = [self.value(each) for each in node]
            return [value for value in values if value is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (name, argument), = node.items()
            if name == "Ref":
                return self.reference(argument)
            if name == "Condition" and isinstance(argument, str):
                return self.value(self.conditions[argument])
            if name.startswith("Fn::"):
                return self.function(name[4:], argument)
        values = {key: self.value(each) for key, each in node.items()}
        return {key: value for key, value in values.items() if value is not NO_VALUE}

    def reference(self, name):
        if name == "AWS::NoValue":
            return NO_VALUE
        return self.parameters.get(name, f"${{{name}}}")

    def function(self, name, argument):
        if name == "If":
            condition, yes, no = argument
            return self.value(yes if self.value(self.conditions[condition]) else no)
        if name == "Sub":
            return self.substitute(argument)
        value = self.value(argument)
        if name == "GetAtt":
            return f"${{{value[0]}.{value[1]}}}"
        if name == "ImportValue":
            return f"${{import:{value}}}"
        if name == "Join":
            return value[0].join(value[1])
        if name == "Split":
            return value[1].split(value[0])
        if name == "Select":
            return value[1][int(value[0])]
        if name == "FindInMap":
            return self.template["Mappings"][value[0]][value[1]][value[2]]
        if name == "GetAZs":
            return [f"{REGION}{letter}" for letter in "abc"]
        if name == "Cidr":
            network, count, bits = value
            subnets = ipaddress.ip_network(network).subnets(new_prefix=32 - int(bits))
            return [str(each) for each in itertools.islice(subnets, int(count))]
        return self.decision(name, value)

    @staticmethod
    def decision(name, value):
        if name == "Equals":
            return value[0] == value[1]
        if name == "Not":
            return not value[0]
        if name == "And":
            return all(value)
        if name == "Or":
            return any(value)
        raise ValueError(f"Fn::{name} is not supported by scripts/deploy_check/template.py")

    def substitute(self, argument):
        text, own = argument if isinstance(argument, list) else (argument, {})
        own = {key: self.value(each) for key, each in own.items()}

        def replace(match):
            name = match.group(1)
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            return str(own[name] if name in own else self.parameters.get(name, f"${{{name}}}"))

        return re.sub(r"\$\{([^}]+)\}", replace, text)


def choices(name):
    """Yields each allowed value of each parameter that decides about resources, as changed parameters."""
    source = read(name)
    decisive = set(re.findall(r"\{'Ref': '(\w+)'\}", str(source.get("Conditions", {}))))
    for parameter, terms in source.get("Parameters", {}).items():
        if parameter in decisive - {"Environment"}:
            yield from ({parameter: str(value)} for value in terms.get("AllowedValues", []))


def resolve(name, environment, **parameters):
    """Returns the resolved stack of an environment, whose parameters may be changed."""
    return resolve_source(name, read(name), parameters_of(environment) | parameters)


def resolve_source(name, source, values):
    """Returns the resolved stack of a template, with the values of parameters."""
    resolver = Resolver(name, source, values)
    resources = {}
    for logical, resource in source["Resources"].items():
        if "Condition" in resource and not resolver.value({"Condition": resource["Condition"]}):
            continue
        resources[logical] = resolver.value({key: each for key, each in resource.items() if key != "Condition"})
    outputs = {}
    for logical, output in source.get("Outputs", {}).items():
        if "Condition" not in output or resolver.value({"Condition": output["Condition"]}):
            outputs[logical] = resolver.value({key: each for key, each in output.items() if key != "Condition"})
    return Stack(name, values["Environment"], resources, outputs)


def texts(node):
    """Yields every text of a node, keys excluded."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        yield from itertools.chain.from_iterable(texts(each) for each in node.values())
    elif isinstance(node, list):
        yield from itertools.chain.from_iterable(texts(each) for each in node)


def at(node, steps):
    """Returns the node at the steps; a step is a key or an index."""
    for step in steps:
        node = node[int(step)] if isinstance(node, list) else node[step]
    return node


def parse_path(path):
    """Returns the steps of `Resource.Property.0.Property`, which start below `Properties` of the resource. The path
    `Resource` is the resource itself, and `Resource:DeletionPolicy` an attribute beside its properties. A dot inside a
    key is written as `\\.`."""
    head, _, rest = path.partition(".")
    name, _, attribute = head.partition(":")
    if attribute:
        return [name, attribute]
    steps = [step.replace("\\.", ".") for step in re.split(r"(?<!\\)\.", rest)]
    return [name, "Properties", *steps] if rest else [name]


def remove(path):
    """Returns a change that removes the node at a path."""
    steps = parse_path(path)

    def change(resources):
        parent = at(resources, steps[:-1])
        del parent[int(steps[-1]) if isinstance(parent, list) else steps[-1]]

    change.owner, change.text = steps[0], f"without {path}"
    return change


def put(path, value):
    """Returns a change that sets the node at a path. A list grows by the value if the last step is `+`."""
    steps = parse_path(path)

    def change(resources):
        parent = at(resources, steps[:-1])
        if steps[-1] == "+":
            parent.append(copy.deepcopy(value))
        else:
            parent[int(steps[-1]) if isinstance(parent, list) else steps[-1]] = copy.deepcopy(value)

    change.owner, change.text = steps[0], f"with {path} = {json.dumps(value)}"
    return change
