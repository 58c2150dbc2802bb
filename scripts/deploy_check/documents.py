"""Compares the roles of a stack with the documents in docs/iam, which `Metadata` of each role names."""

import functools
import json
import re

from .template import ACCOUNT, REGION, ROOT, parameters_of

FOLDER = ROOT / "docs" / "iam"
PREFIX = "videoframes-{environment}"
# Words of the documents, and the names that the stacks give. docs/iam/README.md describes the words.
NAMES = {
    "REGION": REGION,
    "ACCOUNT": ACCOUNT,
    "FRAMES": "${{import:" + PREFIX + "-ResultsBucket}}",
    "VIDEOS": "${{import:" + PREFIX + "-UploadsBucket}}",
    "INPUT": "${{import:" + PREFIX + "-InputQueueName}}",
    "NOTIFIER": "${{import:" + PREFIX + "-NotifierQueueName}}",
    "DEAD-LETTERS": "${{import:" + PREFIX + "-DeadLetterQueueName}}",
    "DATABASE": "${{import:" + PREFIX + "-DatabaseResourceId}}",
    "USER": "vf_worker",
    "OWNER": "vf_owner",
    "CLUSTER": PREFIX,
    "SERVICE": PREFIX,
    "FAMILY": PREFIX,
    "REPOSITORY": PREFIX,
    "TASK-ROLE": PREFIX + "-worker",
    "OWNER-ROLE": PREFIX + "-owner",
    "EXECUTION-ROLE": PREFIX + "-execution",
    "HOOK-ROLE": PREFIX + "-hook",
    "HOOK-INVOKER-ROLE": PREFIX + "-hook-invoker",
    "CLOUDFORMATION-ROLE": PREFIX + "-cloudformation",
    "HOOK": PREFIX + "-hook",
    "HOOK-LOGS": "${{import:" + PREFIX + "-HookLogGroup}}",
    "LOGS": "${{import:" + PREFIX + "-WorkerLogGroup}}",
    "ALARMS-*": PREFIX + "-*",
    "STACK": PREFIX + "-service",
    "STACKS": PREFIX + "-*",
    "GITHUB-OWNER/GITHUB-NAME": "OWNER/videoframes",
    "ENVIRONMENT": "{environment}",
    "ENVIRONMENT-drift": "{environment}-drift",
}
# Documents name an ARN where a stack imports the whole ARN.
ARNS = {
    f"arn:aws:kms:{REGION}:{ACCOUNT}:key/KEY": "${{import:" + PREFIX + "-KeyArn}}",
    f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:SECRET":
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:" + PREFIX + "-database-ca-AAAAAA",
}
# By stack: names and ARNs of resources that the stack creates itself, and references to them.
DATA = "videoframes-{environment}-" + ACCOUNT
CREATED = {
    "data": {
        "FRAMES": DATA + "-results", "FRAMES-REPLICA": DATA + "-results-replica",
        "SUBNETS": "${{DatabaseSubnets}}", "PARAMETERS": "${{DatabaseParameters}}",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:key/KEY": "${{Key.Arn}}",
    },
    "network": {f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:FLOW-LOGS:*": "${{FlowLogGroup.Arn}}"},
    "audit": {f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:TRAIL-LOGS:*": "${{TrailLogs.Arn}}", "TRAIL": PREFIX},
}
WORD = re.compile(r"(?<![A-Za-z0-9-])(GITHUB-OWNER/GITHUB-NAME|ALARMS-\*|ENVIRONMENT-drift|[A-Z]+(?:-[A-Z]+)*)"
                  r"(?![A-Za-z0-9-])")
# Types of resources, the property with their name, and the ARN with the name.
OWN = {
    "AWS::IAM::Role": ("RoleName", "arn:aws:iam::{account}:role/{name}"),
    "AWS::ECS::Cluster": ("ClusterName", "arn:aws:ecs:{region}:{account}:cluster/{name}"),
    "AWS::Lambda::Function": ("FunctionName", "arn:aws:lambda:{region}:{account}:function:{name}"),
}


@functools.cache
def read(path):
    """Returns a document, which nobody may change."""
    return json.loads((FOLDER / f"{path}.json").read_text())


def created(stack):
    """Returns the names and ARNs of resources that a stack creates, and of those in the second region."""
    parameters = parameters_of(stack.environment)
    replica = {"REPLICA-REGION": parameters["ReplicaRegion"],
               f"arn:aws:kms:REPLICA-REGION:{ACCOUNT}:key/REPLICA-KEY": parameters["ReplicaKey"]}
    return CREATED.get(stack.name, {}) | replica


def document(path, stack):
    """Returns a document with the names of the stacks."""
    environment, own = stack.environment, created(stack)
    names, arns = NAMES | own, ARNS | own

    def name(match):
        return names.get(match.group(1), match.group(1)).format(environment=environment)

    def named(node):
        if isinstance(node, dict):
            return {key: named(each) for key, each in node.items()}
        if isinstance(node, list):
            return [named(each) for each in node]
        text = re.sub("(?<!-)REGION", REGION, node).replace("ACCOUNT", ACCOUNT)
        return arns[text].format(environment=environment) if text in arns else WORD.sub(name, text)

    found = read(path)
    return {"Version": found["Version"], "Statement": [
        {key: each if key in ("Sid", "Effect") else named(each) for key, each in statement.items()}
        for statement in found["Statement"]]}


def with_own_names(stack, node):
    """Returns a policy with the names of the resources of its stack instead of references."""
    if isinstance(node, dict):
        return {key: with_own_names(stack, each) for key, each in node.items()}
    if isinstance(node, list):
        return [with_own_names(stack, each) for each in node]

    def named(match):
        resource = stack.resources.get(match.group(1))
        if resource is None or resource["Type"] not in OWN:
            return match.group(0)
        key, arn = OWN[resource["Type"]]
        name = resource["Properties"][key]
        return arn.format(region=REGION, account=ACCOUNT, name=name) if match.group(2) else name

    return re.sub(r"\$\{(\w+)(\.Arn)?\}", named, node)


def normal(policy):
    """Returns a policy in a form that is equal for equal permissions: order and `Sid` are free."""
    def values(value):
        return sorted(value) if isinstance(value, list) else [value]

    statements = []
    for statement in policy["Statement"]:
        conditions = {operator: {key: values(value) for key, value in terms.items()}
                      for operator, terms in statement.get("Condition", {}).items()}
        rest = {key: value for key, value in statement.items() if key not in ("Sid", "Condition", "Action", "Resource")}
        statements.append(json.dumps(rest | {
            "Action": values(statement["Action"]), "Resource": values(statement.get("Resource", [])),
            "Condition": conditions}, sort_keys=True))
    return {"Version": policy["Version"], "Statement": sorted(statements)}


def differences(stack, name):
    """Yields the differences between a role of a stack and its documents."""
    resource = stack.resources[name]
    properties, metadata = resource["Properties"], resource.get("Metadata", {})
    if not {"Policies", "Trust"} <= metadata.keys():
        yield f"{name}: Metadata does not name the documents of Policies and Trust"
        return
    trust = document(f"trust/{metadata['Trust']}", stack)
    if normal(with_own_names(stack, properties["AssumeRolePolicyDocument"])) != normal(trust):
        yield f"{name}: the trust policy is not docs/iam/trust/{metadata['Trust']}.json"
    policies = {each["PolicyName"]: each["PolicyDocument"] for each in properties.get("Policies", [])}
    if set(policies) != set(metadata["Policies"]):
        yield f"{name}: the policies are not {metadata['Policies']}"
        return
    for policy, found in policies.items():
        if normal(with_own_names(stack, found)) != normal(document(policy, stack)):
            yield f"{name}: the policy is not docs/iam/{policy}.json"
