"""Applies the stacks to an emulator, describes every resource, and compares its properties with the template.

The emulator refuses some types of resources and loses some properties. not_applied.txt lists both, and the list has to be
exact: a further difference fails, and so does a line whose type or property has become applicable.
"""

import copy
import fnmatch
import json
import re
import subprocess
import tempfile
import time
from pathlib import Path

import boto3
from botocore.config import Config

from . import template
from .describe import describer_of
from .template import put

NOT_APPLIED = Path(__file__).with_name("not_applied.txt")
# Maximum time of a stack operation, in seconds.
PATIENCE = 60
PLACEHOLDER = re.compile(r"\$\{(import:)?([^}]+)\}")
MISSING = object()
CREATED = "CREATE_COMPLETE"
UNKNOWN = "AWS::Videoframes::Unknown"
# The template of a nested stack is a path until `aws cloudformation package` uploads the template.
NESTED = "AWS::CloudFormation::Stack"
# For each stack, two updates of a property that the emulator holds: the first succeeds, the second is rolled back.
UPDATES = {
    "network": [put("WorkerSecurityGroup.SecurityGroupEgress.0.Description", text) for text in ("Update", "Bad update")],
    "replica": [put("Key.Description", text) for text in ("Update", "Bad update")],
    "data": [put("InputQueue.VisibilityTimeout", seconds) for seconds in (120, 30)],
    "pipeline": [put("Repository.ImageScanningConfiguration.ScanOnPush", scans) for scans in (False, True)],
    "observe": [put("WorkerLogGroup.RetentionInDays", days) for days in (180, 365)],
    "service": [put("Hook.MemorySize", size) for size in (512, 1024)],
    "audit": [put("RootUse.Description", text) for text in ("Update", "Bad update")],
}
# A resource that CloudFormation cannot create: nobody sends the signal.
NEVER = {
    "NeverHandle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
    "Never": {"Type": "AWS::CloudFormation::WaitCondition",
              "Properties": {"Handle": {"Ref": "NeverHandle"}, "Timeout": "1", "Count": 1}},
}


class Emulator:
    """A running ministack with data in memory."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="vf-deploy.")
        command = [template.ROOT / "scripts" / "ministack", "start", self.folder.name]
        self.address = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        return self

    def __exit__(self, *_):
        subprocess.run([template.ROOT / "scripts" / "ministack", "stop", self.folder.name], check=True)
        self.folder.cleanup()

    def client(self, service):
        return boto3.client(service, endpoint_url=self.address, region_name=template.REGION,
                            aws_access_key_id=template.ACCOUNT, aws_secret_access_key="secret",
                            config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}))


class NotApplied:
    """The lines of not_applied.txt for one stack: `STACK Type reason` or `STACK Type.Property… reason`, and their maximum
    number, `STACK limit NUMBER`."""

    def __init__(self, stack, text=None):
        lines = (text or NOT_APPLIED.read_text()).splitlines()
        rows = [re.split(r"\s+", line, maxsplit=2) for line in lines if line and not line.startswith("#")]
        rows = [row[1:] for row in rows if row[0] == stack]
        self.limit = sum(int(reason) for name, reason in rows if name == "limit")
        self.types = {name: reason for name, reason in rows if "." not in name and name != "limit"}
        self.properties = {name: reason for name, reason in rows if "." in name}
        self.used = set()

    def problems(self, stack):
        """Yields a list that has grown, a limit that can be lower, and lines without an effect."""
        lines = len(self.types) + len(self.properties)
        if lines > self.limit:
            yield f"{NOT_APPLIED.name}: the list of {stack} may not grow: {lines} lines, the limit is {self.limit}"
        elif lines < self.limit:
            yield f"{NOT_APPLIED.name}: lower the limit of {stack} to {lines}"
        for pattern in sorted(set(self.properties) - self.used):
            yield f"{NOT_APPLIED.name}: remove {stack} {pattern}: the emulator applies the property"

    def has(self, path):
        """Returns whether a line has the property, or a property above."""
        for pattern in self.properties:
            if fnmatch.fnmatchcase(path, pattern) or path.startswith(f"{pattern}."):
                self.used.add(pattern)
                return True
        return False


def refers(node, names):
    """Returns whether a template node refers to one of the resources."""
    if isinstance(node, list):
        return any(refers(each, names) for each in node)
    if not isinstance(node, dict):
        return False
    if node.get("Ref") in names:
        return True
    if "Fn::GetAtt" in node and node["Fn::GetAtt"][0] in names:
        return True
    if "Fn::Sub" in node:
        text = node["Fn::Sub"] if isinstance(node["Fn::Sub"], str) else node["Fn::Sub"][0]
        return any(match.split(".")[0] in names for match in re.findall(r"\$\{([^}]+)\}", text))
    return any(refers(each, names) for each in node.values())


def without_types(source, types):
    """Returns a template without the resources of some types, and without properties and outputs that refer to them."""
    result = copy.deepcopy(source)
    resources = result["Resources"]
    removed = {name for name, terms in resources.items() if terms["Type"] in types}

    def prune(node):
        if isinstance(node, list):
            return [prune(each) for each in node if not (is_leaf(each) and refers(each, removed))]
        if isinstance(node, dict) and not is_leaf(node):
            return {key: prune(each) for key, each in node.items() if not (is_leaf(each) and refers(each, removed))}
        return node

    def is_leaf(node):
        return isinstance(node, dict) and len(node) == 1 and next(iter(node)).startswith(("Ref", "Fn::"))

    for name in removed:
        del resources[name]
    for terms in resources.values():
        terms["Properties"] = prune(terms.get("Properties", {}))
        needed = terms.get("DependsOn", [])
        terms["DependsOn"] = [each for each in ([needed] if isinstance(needed, str) else needed) if each not in removed]
    result["Outputs"] = {name: terms for name, terms in source.get("Outputs", {}).items()
                         if not refers(terms, removed)}
    return result


def probes(resolved):
    """Returns an output for each reference and attribute that the properties of a stack use."""
    found = {}
    for resource in resolved.resources.values():
        for text in template.texts(resource.get("Properties", {})):
            for imported, name in PLACEHOLDER.findall(text):
                owner, _, attribute = name.partition(".")
                if not imported and owner in resolved.resources:
                    found[name] = {"Fn::GetAtt": [owner, attribute]} if attribute else {"Ref": owner}
    return found


class Applied:
    """One stack in the emulator."""

    def __init__(self, emulator, name):
        self.emulator = emulator
        self.name = name
        self.stack_name = f"videoframes-production-{name}"
        self.cloudformation = emulator.client("cloudformation")
        self.not_applied = NotApplied(name)
        self.source = without_types(template.read(name), self.not_applied.types)

    def resolved(self, source):
        """Returns the resolved stack of a template."""
        return template.resolve_source(self.name, source, template.parameters_of("production"))

    def refused_types(self):
        """Returns the types of the whole template that the emulator refuses. The type UNKNOWN ensures that the emulator
        refuses the template, and creates nothing."""
        types = sorted({terms["Type"] for terms in template.read(self.name)["Resources"].values()} | {UNKNOWN})
        resources = {f"Type{index}": {"Type": kind} for index, kind in enumerate(types)}
        try:
            self.cloudformation.create_stack(StackName=f"{self.stack_name}-types",
                                             TemplateBody=json.dumps({"Resources": resources}))
        except self.cloudformation.exceptions.ClientError as error:
            refused = re.search(r"Unrecognized resource types: \[([^\]]*)\]", str(error)).group(1)
            return ({each.strip() for each in refused.split(",")} - {UNKNOWN}) | ({NESTED} & set(types))
        raise ValueError(f"the emulator accepts {UNKNOWN}")

    def request(self, source):
        """Returns the arguments for a template, with an output for each reference."""
        source = copy.deepcopy(source)
        for index, (_, value) in enumerate(sorted(probes(self.resolved(source)).items())):
            source.setdefault("Outputs", {})[f"Probe{index}"] = {"Value": value}
        values = template.parameters_of("production")
        parameters = [{"ParameterKey": key, "ParameterValue": values[key]} for key in source.get("Parameters", {})
                      if key in values]
        return {"TemplateBody": json.dumps(source), "Parameters": parameters,
                "Capabilities": ["CAPABILITY_NAMED_IAM"]}

    def create(self):
        self.cloudformation.create_stack(StackName=self.stack_name, **self.request(self.source))
        return self.status()

    def update(self, source):
        self.cloudformation.update_stack(StackName=self.stack_name, **self.request(source))
        return self.status()

    def status(self):
        """Waits for the end of an operation, and returns the status of the stack."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            stack, = self.cloudformation.describe_stacks(StackName=self.stack_name)["Stacks"]
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                return stack["StackStatus"]
            time.sleep(0.1)
        return f"{stack['StackStatus']} after {PATIENCE} s"

    def events(self, status):
        """Returns the resources of the events with a status."""
        events = self.cloudformation.describe_stack_events(StackName=self.stack_name)["StackEvents"]
        return [each["LogicalResourceId"] for each in events if each["ResourceStatus"] == status]

    def failures(self):
        """Returns the reasons of failed resources, newest first."""
        events = self.cloudformation.describe_stack_events(StackName=self.stack_name)["StackEvents"]
        return [f"{each['LogicalResourceId']}: {each.get('ResourceStatusReason', '')}" for each in events
                if each["ResourceStatus"].endswith("_FAILED")]

    def differences(self, source):
        """Yields path, expected and found value of each property that differs from a template."""
        resolved = self.resolved(source)
        stack, = self.cloudformation.describe_stacks(StackName=self.stack_name)["Stacks"]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
        values = {name: outputs[f"Probe{index}"] for index, name in enumerate(sorted(probes(resolved)))}
        exports = {each["Name"]: each["Value"] for each in self.cloudformation.list_exports()["Exports"]}
        resources = self.cloudformation.describe_stack_resources(StackName=self.stack_name)["StackResources"]
        ids = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}
        for name, resource in resolved.resources.items():
            expected = substitute(resource.get("Properties", {}), values, exports)
            found = describer_of(resource["Type"])(self.emulator.client, ids[name], expected)
            yield from ((f"{resource['Type']}.{path}", name, *pair) for path, *pair in differing("", expected, found))


def substitute(node, values, exports):
    """Returns a node with the values of the emulator in place of references."""
    if isinstance(node, dict):
        return {key: substitute(each, values, exports) for key, each in node.items()}
    if isinstance(node, list):
        return [part for each in node for part in parts(each, substitute(each, values, exports))]
    if not isinstance(node, str):
        return node

    def replace(match):
        imported, name = match.groups()
        return exports.get(name, match.group(0)) if imported else values.get(name, match.group(0))

    return PLACEHOLDER.sub(replace, node)


def parts(reference, value):
    """Returns the elements of an imported list, which `Fn::Split` divides at commas."""
    is_import = isinstance(reference, str) and re.fullmatch(r"\$\{import:[^}]+\}", reference)
    return value.split(",") if is_import else [value]


def same(expected, found):
    """Returns whether two scalars are equal; emulators and AWS return numbers and booleans as text, too."""
    if isinstance(expected, bool) or isinstance(found, bool):
        return str(expected).lower() == str(found).lower()
    if expected == found or str(expected) == str(found):
        return True
    try:
        return float(expected) == float(found)
    except (TypeError, ValueError):
        return False


def by_name(items):
    """Returns the elements of a list by their names; `None` if not each element has a separate name."""
    named = {each["Name"]: each for each in items if isinstance(each, dict) and isinstance(each.get("Name"), str)}
    return named if len(named) == len(items) and named else None


def differing(path, expected, found):
    """Yields path, expected and found value of what the found node lacks. Lists of the same content are equal in any
    order."""
    if path == "Tags" and isinstance(found, list):
        # CloudFormation adds tags with this prefix.
        found = [each for each in found if not each["Key"].startswith("aws:")]
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, each in expected.items():
            below = f"{path}.{key}" if path else key
            yield from differing(below, each, found.get(key, MISSING))
    elif isinstance(expected, list) and isinstance(found, list) and by_name(expected) and by_name(found):
        yield from differing(path, by_name(expected), by_name(found))
        if len(found) > len(expected):
            yield f"{path}.*", expected, found
    elif isinstance(expected, list) and isinstance(found, list):
        for each in expected:
            if not any(not list(differing("", each, other)) for other in found):
                yield f"{path}.*", each, found
        if len(found) > len(expected):
            yield f"{path}.*", expected, found
    elif isinstance(expected, list) and len(expected) == 1 and not isinstance(found, (dict, list)):
        # Policies may have one element without a list.
        yield from differing(path, expected[0], found)
    elif isinstance(expected, (dict, list)) or isinstance(found, (dict, list)) or not same(expected, found):
        yield path, expected, found


def shown(value):
    return "nothing" if value is MISSING else json.dumps(value, default=str)[:200]


def compare(applied, source, title):
    """Yields the differences that the list does not have."""
    for path, name, expected, found in applied.differences(source):
        if not applied.not_applied.has(path):
            yield f"{applied.name} {title}: {name}: {path} is {shown(found)}, the template has {shown(expected)}"


def changed(source, change):
    """Returns a template with a change, and the name of the changed resource."""
    result = copy.deepcopy(source)
    change(result["Resources"])
    name = next(name for name, each in result["Resources"].items() if each != source["Resources"][name])
    return result, name


def check_update(applied):
    """Yields the problems of an update, and of the rollback of a bad update."""
    good, bad = UPDATES[applied.name]
    source, _ = changed(applied.source, good)
    # The comparison must see an update that is not there.
    if not list(compare(applied, source, "")):
        yield f"{applied.name}: the comparison does not find {good.text}, which was not applied"
    status = applied.update(source)
    if status != "UPDATE_COMPLETE":
        yield f"{applied.name} updated: {status}: {'; '.join(applied.failures())}"
        return
    yield from compare(applied, source, "updated")
    broken, name = changed(source, bad)
    broken["Resources"].update(copy.deepcopy(NEVER))
    broken["Resources"]["Never"]["DependsOn"] = [name]
    status = applied.update(broken)
    if status != "UPDATE_ROLLBACK_COMPLETE":
        yield f"{applied.name}: a bad update ended with {status}"
    # Without this event, nothing had to be rolled back.
    if applied.events("UPDATE_COMPLETE").count(name) < 3:
        yield f"{applied.name}: the bad update did not change {name} before it failed"
    yield from compare(applied, source, "rolled back")


def check_types(applied):
    """Yields the types that the emulator refuses and that are not listed, and those that it accepts."""
    listed, refused = set(applied.not_applied.types), applied.refused_types()
    for kind in sorted(refused - listed):
        yield f"{applied.name}: the emulator refuses {kind}: guard the type by a rule, and list it in {NOT_APPLIED.name}"
    for kind in sorted(listed - refused):
        yield f"{NOT_APPLIED.name}: remove {applied.name} {kind}: the emulator accepts the type, or no template has it"


def check_stack(applied, say):
    """Applies one stack and yields its problems."""
    refused = list(check_types(applied))
    yield from refused
    if refused:
        return
    status = applied.create()
    if status != CREATED:
        yield f"{applied.name}: {status}: {'; '.join(applied.failures())}"
        return
    yield from compare(applied, applied.source, "created")
    yield from check_update(applied)
    yield from applied.not_applied.problems(applied.name)
    say(f"{applied.name}: {len(applied.resolved(applied.source).resources)} resources created, updated, rolled back and compared; not "
        "applied:")
    for kind, reason in sorted({**applied.not_applied.types, **applied.not_applied.properties}.items()):
        say(f"    {kind}: {reason}")


def in_order(stacks):
    """Returns the stacks and those whose outputs they import, each after the stacks that it needs."""
    exports, imports = {}, {}
    for name in template.names():
        resolved = template.resolve(name, "production")
        exports[name] = {each["Export"]["Name"] for each in resolved.outputs.values() if "Export" in each}
        imports[name] = {value for text in template.texts([resolved.resources, resolved.outputs])
                         for imported, value in PLACEHOLDER.findall(text) if imported}
    needed = set(stacks)
    while more := {name for name in exports if any(exports[name] & imports[each] for each in needed)} - needed:
        needed |= more
    ordered = []
    while needed:
        known = {value for name in ordered for value in exports[name]}
        ready = sorted(name for name in needed if imports[name] <= known)
        if not ready:
            missing = {value for name in needed for value in imports[name] - known}
            raise ValueError(f"no stack exports {', '.join(sorted(missing))}")
        ordered += ready
        needed.difference_update(ready)
    return ordered


def check(stacks, say):
    """Yields the differences that not_applied.txt does not list, and the lines without a difference."""
    with Emulator() as emulator:
        for name in in_order(stacks):
            applied = Applied(emulator, name)
            if name in stacks:
                yield from check_stack(applied, say)
            elif (status := applied.create()) != CREATED:
                yield f"{name}: {status}: {'; '.join(applied.failures())}"
