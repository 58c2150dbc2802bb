"""Permissions that AWS requires for a request: actions, resources and context.

moto names only the action of a request. Follows the service authorization reference,
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import json
import re

# Services whose prefix in policies differs from their name in signatures.
PREFIXES = {"monitoring": "cloudwatch"}
# The resources of requests, without "arn:aws:SERVICE:REGION:ACCOUNT:". Words in braces are parameters.
RESOURCES = {
    "cloudformation": {
        "CreateChangeSet": ["stack/{StackName}/1"],
        "DescribeChangeSet": ["stack/{StackName}/1"],
        "ExecuteChangeSet": ["stack/{StackName}/1"],
        "DeleteChangeSet": ["stack/{StackName}/1"],
        "DescribeStacks": ["stack/{StackName}/1"],
        "DescribeStackEvents": ["stack/{StackName}/1"],
        "DescribeStackResourceDrifts": ["stack/{StackName}/1"],
        "DetectStackDrift": ["stack/{StackName}/1"],
    },
    "ecr": {
        "BatchCheckLayerAvailability": ["repository/{repositoryName}"],
        "BatchGetImage": ["repository/{repositoryName}"],
        "CompleteLayerUpload": ["repository/{repositoryName}"],
        "GetDownloadUrlForLayer": ["repository/{repositoryName}"],
        "InitiateLayerUpload": ["repository/{repositoryName}"],
        "PutImage": ["repository/{repositoryName}"],
        "UploadLayerPart": ["repository/{repositoryName}"],
    },
    "ecs": {
        "DescribeServices": ["service/{cluster}/{services}"],
        "DescribeServiceDeployments": ["{serviceDeploymentArns}"],
        "DescribeServiceRevisions": ["{serviceRevisionArns}"],
        "DescribeTasks": ["task/{cluster}/{tasks}"],
        "RegisterTaskDefinition": ["task-definition/{family}:1"],
        "ListServiceDeployments": ["service/{cluster}/{service}"],
        "RunTask": ["task-definition/{taskDefinition}"],
        "StopTask": ["task/{cluster}/{task}"],
        "TagResource": ["{resourceArn}"],
        "UpdateService": ["service/{cluster}/{service}"],
        "UpdateTaskProtection": ["task/{cluster}/{tasks}"],
    },
    "kms": {"Decrypt": ["{KeyId}"], "GenerateDataKey": ["{KeyId}"], "DescribeKey": ["{KeyId}"]},
    "lambda": {
        "GetFunction": ["function:{FunctionName}"],
        "GetFunctionConfiguration": ["function:{FunctionName}"],
        "InvokeFunction": ["function:{FunctionName}"],
        "UpdateFunctionCode": ["function:{FunctionName}"],
        "UpdateFunctionConfiguration": ["function:{FunctionName}"],
    },
    "logs": {
        "CreateLogStream": ["log-group:{logGroupName}:log-stream:{logStreamName}"],
        "DescribeLogStreams": ["log-group:{logGroupName}:log-stream:"],
        "PutLogEvents": ["log-group:{logGroupName}:log-stream:{logStreamName}"],
    },
    "rds": {
        "AddTagsToResource": ["{ResourceName}"],
        "DeleteDBInstance": ["db:{DBInstanceIdentifier}"],
        "DescribeDBInstances": ["db:*"],
        "DescribeDBSnapshots": ["snapshot:{DBSnapshotIdentifier}"],
        "ListTagsForResource": ["{ResourceName}"],
        "RestoreDBInstanceFromDBSnapshot": [
            "db:{DBInstanceIdentifier}",
            "snapshot:{DBSnapshotIdentifier}",
            "subgrp:{DBSubnetGroupName}",
            "pg:{DBParameterGroupName}",
        ],
    },
    "secretsmanager": {"GetSecretValue": ["{SecretId}"]},
}
# Roles that a request passes, and the service that receives these.
PASSED = {
    "cloudformation:CreateChangeSet": [("RoleARN", "cloudformation.amazonaws.com")],
    "ecs:RegisterTaskDefinition": [
        ("taskRoleArn", "ecs-tasks.amazonaws.com"),
        ("executionRoleArn", "ecs-tasks.amazonaws.com"),
    ],
    "lambda:UpdateFunctionConfiguration": [("Role", "lambda.amazonaws.com")],
}
# Actions of KMS that a service requests with the permissions of the caller, if the bucket, queue or secret has a key.
KEY_ACTIONS = {
    "s3:GetObject": ["kms:Decrypt"],
    "s3:GetObjectVersion": ["kms:Decrypt"],
    "s3:PutObject": ["kms:GenerateDataKey"],
    # https://repost.aws/knowledge-center/s3-large-file-encryption-kms-key
    "s3:PutObject part": ["kms:Decrypt", "kms:GenerateDataKey"],
    "secretsmanager:GetSecretValue": ["kms:Decrypt"],
    "sqs:ReceiveMessage": ["kms:Decrypt"],
    "sqs:SendMessage": ["kms:Decrypt", "kms:GenerateDataKey"],
}


def key_requests(action, key, region):
    """Returns the requests of a service that encrypts with a key, in the name of its caller."""
    via = {"kms:ViaService": f"{action.split(':')[0]}.{region}.amazonaws.com"}
    return [(each, key, via) for each in KEY_ACTIONS.get(action, [])]


def resources(service, name, parameters, region, account):
    """Returns the resources of a request. A parameter that is a list has one resource per value."""
    found = []
    for template in RESOURCES.get(service, {}).get(name, ["*"]):
        rows = [parameters]
        for parameter, value in parameters.items():
            if "{%s}" % parameter in template and isinstance(value, list):
                rows = [{**parameters, parameter: each} for each in value]
        for row in rows:
            # A name may be given as an ARN.
            if not template.startswith("{"):
                row = {each: shortened(value) for each, value in row.items()}
            text = template.format_map(row)
            found.append(text if text == "*" or text.startswith("arn:") else f"arn:aws:{service}:{region}:{account}:{text}")
    return found


def shortened(value):
    """Returns the name in an ARN of ECS; AWS accepts names and ARNs."""
    if not isinstance(value, str) or not value.startswith("arn:aws:ecs:"):
        return value
    return value.rsplit("/", 1)[-1]


def permissions(action, parameters, region, account):
    """Returns the permissions that a request needs, as (action, resource, context)."""
    service, name = action.split(":", 1)
    context = {}
    if service == "ecs" and parameters.get("cluster"):
        cluster = shortened(parameters["cluster"])
        context["ecs:cluster"] = f"arn:aws:ecs:{region}:{account}:cluster/{cluster}"
    if parameters.get("RoleARN"):
        context["cloudformation:RoleArn"] = parameters["RoleARN"]
    if parameters.get("ServiceNamespace"):
        context["application-autoscaling:service-namespace"] = parameters["ServiceNamespace"]
    if name in ("RegisterScalableTarget", "PutScalingPolicy"):
        needed = [(action, f"arn:aws:{service}:{region}:{account}:scalable-target/1", context)]
    else:
        if action == "ecs:RunTask" and ":" not in parameters["taskDefinition"]:
            # A family stands for its latest revision.
            parameters = {**parameters, "taskDefinition": parameters["taskDefinition"] + ":1"}
        needed = [(action, each, context) for each in resources(service, name, parameters, region, account)]
    # ECS also checks the service of a deployment or revision.
    for _, each, _ in needed.copy():
        owned = re.fullmatch(r"(arn:aws:ecs:.*:service)-(?:deployment|revision)(/[^/]+/[^/]+)/.*", each)
        if owned:
            needed.append((action, owned[1] + owned[2], context))
    for parameter, receiver in PASSED.get(action, []):
        if parameters.get(parameter):
            needed.append(pass_role(parameters[parameter], receiver))
    return needed


def pass_role(role, receiver):
    return ("iam:PassRole", role, {"iam:PassedToService": receiver})


def line(outcome, action, resource, context):
    return json.dumps({"outcome": outcome, "action": action, "resource": resource, "context": context})
