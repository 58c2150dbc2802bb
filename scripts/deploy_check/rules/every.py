"""Rules for every stack."""

import re

from .. import documents
from ..template import ACCOUNT, put, remove, texts
from . import listed, rule, statements

REFERENCE = re.compile(r"\$\{(?!import:)(\w+)[.}]")
GITHUB = "token.actions.githubusercontent.com"
# The condition that names repository and environment, in a path.
SUB = f"{GITHUB}:sub".replace(".", r"\.")
# Days during which a key can be kept from deletion: the maximum.
KEY_DAYS = 30


@rule(network=[remove("Vpc"), remove("LogsKey")])
def references_have_a_target(stack):
    """CloudFormation refuses a reference to a missing resource."""
    for owner, terms in [*stack.resources.items(), *stack.outputs.items()]:
        for name in sorted({name for text in texts(terms) for name in REFERENCE.findall(text)} - set(stack.resources)):
            yield f"{owner}: refers to {name}, which does not exist"


# Properties that name a resource within its account.
NAMES = {
    "AWS::Backup::BackupVault": "BackupVaultName",
    "AWS::CloudTrail::Trail": "TrailName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::ECR::Repository": "RepositoryName",
    "AWS::ECS::Cluster": "ClusterName",
    "AWS::ECS::Service": "ServiceName",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::Role": "RoleName",
    "AWS::KMS::Alias": "AliasName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::RDS::DBInstance": "DBInstanceIdentifier",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
}


# Endpoints and roles name these resources by a prefix, so that they need a name.
SERVED_BY_NAME = ("AWS::S3::Bucket", "AWS::SQS::Queue")


@rule(network=[put("FlowLogGroup.LogGroupName", "flow")], data=[remove("Uploads.BucketName"),
                                                              put("InputQueue.QueueName", "production-input")])
def names_contain_the_environment(stack):
    """Staging and production can share an account."""
    for owner, resource in stack.resources.items():
        name = resource.get("Properties", {}).get(NAMES.get(resource["Type"]))
        if name is not None and stack.environment not in name:
            yield f"{owner}: the name lacks the environment: {name}"
        if resource["Type"] in SERVED_BY_NAME and not str(name).startswith(f"videoframes-{stack.environment}-"):
            yield f"{owner}: the endpoints in the network do not serve this name: {name}"


# Resources with data, or whose loss makes data unreadable.
WITH_DATA = {"AWS::Backup::BackupVault", "AWS::CloudTrail::Trail", "AWS::KMS::Key", "AWS::Logs::LogGroup",
             "AWS::RDS::DBInstance", "AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SecretsManager::Secret"}


@rule(network=[remove("LogsKey:DeletionPolicy"), put("FlowLogGroup:UpdateReplacePolicy", "Delete")])
def data_outlives_its_stack(stack):
    for owner, resource in stack.resources.items():
        if resource["Type"] in WITH_DATA:
            for attribute in ("DeletionPolicy", "UpdateReplacePolicy"):
                if resource.get(attribute) not in ("Retain", "Snapshot"):
                    yield f"{owner}: {attribute} is neither Retain nor Snapshot"


@rule(network=[remove("LogsKey.EnableKeyRotation"), put("LogsKey.PendingWindowInDays", 7),
               remove("LogsKey.KeyPolicy"), remove("LogsKey.KeyPolicy.Statement.0"), remove("LogsKeyAlias")])
def keys_rotate_and_cannot_be_lost(stack):
    aliases = {properties["TargetKeyId"] for _, properties in stack.of_type("AWS::KMS::Alias")}
    for owner, properties in stack.of_type("AWS::KMS::Key"):
        if properties.get("EnableKeyRotation") is not True or properties.get("PendingWindowInDays") != KEY_DAYS:
            yield f"{owner}: does not rotate, or can be deleted in less than {KEY_DAYS} days"
        root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        grants = [each for each in statements(properties.get("KeyPolicy", {})) if each.get("Principal") == root]
        if [(each["Effect"], each["Action"], each["Resource"]) for each in grants] != [("Allow", "kms:*", "*")]:
            yield f"{owner}: the account cannot administer the key"
        if f"${{{owner}}}" not in aliases and f"${{{owner}.Arn}}" not in aliases:
            yield f"{owner}: has no alias"


@rule(network=[remove("FlowLogGroup.KmsKeyId"), remove("FlowLogGroup.RetentionInDays"),
               remove("LogsKey.KeyPolicy.Statement.1")])
def log_groups_are_encrypted_and_expire(stack):
    for owner, properties in stack.of_type("AWS::Logs::LogGroup"):
        if not properties.get("KmsKeyId"):
            yield f"{owner}: is not encrypted with a key of this account"
        if not properties.get("RetentionInDays"):
            yield f"{owner}: is kept forever"
    logs_key = stack.resources.get("LogsKey")
    if logs_key:
        grants = [each for each in statements(logs_key["Properties"]["KeyPolicy"])
                  if str(each["Principal"].get("Service", "")).startswith("logs.")]
        actions = {action for each in grants if each["Effect"] == "Allow" for action in listed(each["Action"])}
        missing = {"kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*", "kms:DescribeKey"} - actions
        if missing:
            yield f"LogsKey: CloudWatch Logs lacks {sorted(missing)}"


def policies(node, path=""):
    """Yields path and document of every policy below a node."""
    if isinstance(node, dict):
        if "Statement" in node or node.get("Version") == "2012-10-17":
            yield path, node
        for key, each in node.items():
            yield from policies(each, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for index, each in enumerate(node):
            yield from policies(each, f"{path}.{index}")


def all_policies(stack):
    for owner, resource in stack.resources.items():
        for path, document in policies(resource.get("Properties", {})):
            yield f"{owner}: {path}", document


@rule(network=[remove("S3Endpoint.PolicyDocument.Version"), remove("FlowLogRole.AssumeRolePolicyDocument.Version"),
               remove("FlowLogRole.AssumeRolePolicyDocument.Statement.0.Effect")])
def policies_have_the_current_version_and_complete_statements(stack):
    """Without a version, conditions with variables do not work. AWS refuses a statement without an effect."""
    for path, document in all_policies(stack):
        if document.get("Version") != "2012-10-17":
            yield f"{path}: the version is not 2012-10-17"
        if not statements(document):
            yield f"{path}: the policy has no statement"
        for statement in statements(document):
            if statement.get("Effect") not in ("Allow", "Deny"):
                yield f"{path}: a statement has no effect"
            if not (statement.get("Action") or statement.get("NotAction")):
                yield f"{path}: a statement has no action"
            is_trust = path.endswith("AssumeRolePolicyDocument")
            if not is_trust and not (statement.get("Resource") or statement.get("NotResource")):
                yield f"{path}: a statement has no resource"
            if "Principal" in statement or is_trust or path.endswith(("KeyPolicy", "AccessPolicy")):
                if not statement.get("Principal"):
                    yield f"{path}: a statement has no principal"


def is_service(principal):
    return isinstance(principal, dict) and "Service" in principal


def has_source(statement):
    """Returns whether a condition limits the account or the resource for which a service calls."""
    keys = {key.lower() for operator in statement.get("Condition", {}).values() for key in operator}
    return bool(keys & {"aws:sourceaccount", "aws:sourcearn", "kms:calleraccount", "kms:viaservice",
                        "kms:encryptioncontext:aws:logs:arn", "kms:encryptioncontext:aws:cloudtrail:arn"})


@rule(network=[remove("FlowLogRole.AssumeRolePolicyDocument.Statement.0.Condition"),
               remove("LogsKey.KeyPolicy.Statement.1.Condition")])
def services_act_only_for_this_account(stack):
    """The confused deputy: another account asks a service for access to resources of this account."""
    for path, document in all_policies(stack):
        for statement in statements(document):
            if statement.get("Effect") == "Allow" and is_service(statement.get("Principal")) \
                    and not has_source(statement):
                yield f"{path}: a service may act for other accounts: {statement['Principal']['Service']}"


@rule(network=[put("LogsKey.KeyPolicy.Statement.1.Principal", "*"),
               remove("S3Endpoint.PolicyDocument.Statement.0.Condition")])
def everybody_is_never_allowed_without_a_condition(stack):
    for path, document in all_policies(stack):
        for statement in statements(document):
            if statement.get("Effect") != "Allow" or statement.get("Principal") not in ("*", {"AWS": "*"}):
                continue
            keys = {key.lower() for operator in statement.get("Condition", {}).values() for key in operator}
            layers = statement.get("Sid") == "ImageLayers" and "starport-layer-bucket" in str(statement["Resource"])
            if not keys & {"aws:principalaccount", "kms:calleraccount"} and not layers:
                yield f"{path}: everybody is allowed"


@rule(
    audit=[remove("TrailRole.Policies"), put("TrailRole.Policies.0.PolicyDocument.Statement.0.Resource", "*"),
           remove("TrailRole.AssumeRolePolicyDocument.Statement.0.Condition")],
    data=[remove("ReplicationRole.Policies.0.PolicyDocument.Statement.4"),
          put("RestoreRole.Policies.0.PolicyDocument.Statement.5.Resource", "*"),
          remove("ReplicationRole.AssumeRolePolicyDocument.Statement.0.Condition"),
          put("BackupRole.AssumeRolePolicyDocument.Statement.0.Principal.Service", "ec2.amazonaws.com")],
    network=[put("FlowLogRole.Policies.0.PolicyDocument.Statement.0.Resource", "*"), remove("FlowLogRole.Policies"),
             remove("FlowLogRole.AssumeRolePolicyDocument.Statement.0.Condition"), remove("FlowLogRole:Metadata")],
    pipeline=[put(f"DeployRole.AssumeRolePolicyDocument.Statement.0.Condition.StringEquals.{SUB}",
                  "repo:OTHER/x:environment:production"),
              put("DeployRole.AssumeRolePolicyDocument.Statement.0.Condition",
                  {"StringLike": {f"{GITHUB}:sub": "repo:OWNER/videoframes:*"}}),
              put("DriftRole.AssumeRolePolicyDocument.Statement.0.Condition",
                  {"StringEquals": {f"{GITHUB}:aud": "sts.amazonaws.com"}}),
              remove("DeployRole.AssumeRolePolicyDocument.Statement.0.Condition"),
              put("CloudFormationRole.AssumeRolePolicyDocument.Statement.0.Principal.Service", "ec2.amazonaws.com"),
              put("DeployRole.Policies.0.PolicyDocument.Statement.0.Action", "iam:*"),
              put("DeployRole.Policies.0.PolicyDocument.Statement.2.Condition", {}),
              put("CloudFormationRole.Policies.0.PolicyDocument.Statement.0.Resource", "*"),
              remove("DriftRole.Policies")],
    service=[put("WorkerRole.Policies.0.PolicyDocument.Statement.+",
                 {"Effect": "Allow", "Action": "s3:DeleteObjectVersion", "Resource": "*"}),
             put("WorkerRole.Policies.0.PolicyDocument.Statement.1.Resource", "*"),
             remove("WorkerRole.Policies.0.PolicyDocument.Statement.6.Condition"),
             put("OwnerRole.Policies.0.PolicyDocument.Statement.0.Resource", "*"),
             remove("ExecutionRole.AssumeRolePolicyDocument.Statement.0.Condition.StringEquals"),
             put("ExecutionRole.AssumeRolePolicyDocument.Statement.0.Principal.Service", "ec2.amazonaws.com"),
             remove("HookRole.Policies.0.PolicyDocument.Statement.0.Condition"),
             put("HookRole.Policies.0.PolicyDocument.Statement.2.Resource.+", "*"),
             put("HookInvokerRole.Policies.0.PolicyDocument.Statement.0.Action", "lambda:*")])
def each_role_has_the_policies_of_docs_iam(stack):
    for name, _ in stack.of_type("AWS::IAM::Role"):
        yield from documents.differences(stack, name)


# S3 delivers access logs only to a bucket with keys of S3.
ACCESS_LOGS = "access-logs"
PRIVATE = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


@rule(data=[remove("Results.BucketEncryption"), remove("Uploads.PublicAccessBlockConfiguration.BlockPublicPolicy"),
            remove("Logs.OwnershipControls"), remove("Results.VersioningConfiguration"), remove("Logs.BucketEncryption"),
            put("Results.VersioningConfiguration.Status", "Suspended")],
      replica=[remove("Results.BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault"
                      ".KMSMasterKeyID"), remove("Results.VersioningConfiguration")],
      audit=[remove("TrailBucket.BucketEncryption"), remove("TrailBucket.PublicAccessBlockConfiguration")])
def buckets_are_private_versioned_and_encrypted_with_the_key(stack):
    for owner, properties in stack.of_type("AWS::S3::Bucket"):
        blocked = properties.get("PublicAccessBlockConfiguration", {})
        if not all(blocked.get(each) is True for each in PRIVATE):
            yield f"{owner}: public access is not blocked"
        rules = properties.get("OwnershipControls", {}).get("Rules")
        if rules != [{"ObjectOwnership": "BucketOwnerEnforced"}]:
            yield f"{owner}: objects can have another owner"
        if properties.get("VersioningConfiguration", {}).get("Status") != "Enabled":
            yield f"{owner}: has no versions"
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "${Key.Arn}"}
        expected = [{"ServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
        if properties.get("BucketName", "").endswith(ACCESS_LOGS):
            expected = [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        if properties.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration") != expected:
            yield f"{owner}: the encryption is not {expected}"


# By type of resource: the type of its policy, the property with the resources, and the action to deny without TLS.
TLS_ONLY = {
    "AWS::S3::Bucket": ("AWS::S3::BucketPolicy", "Bucket", "s3:*"),
    "AWS::SQS::Queue": ("AWS::SQS::QueuePolicy", "Queues", "sqs:*"),
    "AWS::SNS::Topic": ("AWS::SNS::TopicPolicy", "Topics", "sns:Publish"),
}
# The documents with this statement, for buckets and queues without CloudFormation.
DOCUMENTED = {"AWS::S3::Bucket": "resources/bucket", "AWS::SQS::Queue": "resources/queue"}


def denial(action):
    """Returns the statement that denies everybody all requests without TLS, without its resource."""
    return {"Effect": "Deny", "Principal": "*", "Action": action, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}


def denies_without_tls(document, owner, kind, action):
    """Returns whether a policy denies everybody all requests without TLS, for a resource and what is below."""
    resources = {
        "AWS::S3::Bucket": [f"${{{owner}.Arn}}", f"${{{owner}.Arn}}/*"],
        "AWS::SQS::Queue": [f"${{{owner}.Arn}}"],
        "AWS::SNS::Topic": [f"${{{owner}}}"],
    }[kind]
    return any(denial(action).items() <= each.items() and set(resources) <= set(listed(each.get("Resource")))
               for each in statements(document))


@rule(data=[remove("InputQueuePolicy"), remove("ResultsPolicy.PolicyDocument.Statement.0"),
            put("NotifierQueuePolicy.PolicyDocument.Statement.0.Effect", "Allow"),
            remove("UploadsPolicy.PolicyDocument.Statement.0.Resource.1"),
            put("DeadLetterQueuePolicy.PolicyDocument.Statement.0.Condition.Bool.aws:SecureTransport", "true")],
      replica=[remove("ResultsPolicy")],
      audit=[remove("TopicPolicy.PolicyDocument.Statement.1"), remove("TrailBucketPolicy.PolicyDocument.Statement.0")])
def buckets_queues_and_topics_refuse_requests_without_tls(stack):
    for kind, (policy_kind, key, action) in TLS_ONLY.items():
        if kind in DOCUMENTED and not denial(action).items() <= statements(documents.read(DOCUMENTED[kind]))[0].items():
            yield f"docs/iam/{DOCUMENTED[kind]}.json: does not deny requests without TLS"
        policies_by_owner = {}
        for _, properties in stack.of_type(policy_kind):
            for target in listed(properties[key]):
                policies_by_owner.setdefault(target, []).append(properties["PolicyDocument"])
        for owner, _ in stack.of_type(kind):
            found = policies_by_owner.get(f"${{{owner}}}", [])
            if not any(denies_without_tls(each, owner, kind, action) for each in found):
                yield f"{owner}: accepts requests without TLS"


@rule(data=[remove("InputQueue.KmsMasterKeyId")], audit=[remove("Topic.KmsMasterKeyId")])
def queues_and_topics_are_encrypted_with_a_key(stack):
    for kind in ("AWS::SQS::Queue", "AWS::SNS::Topic"):
        for owner, properties in stack.of_type(kind):
            if not str(properties.get("KmsMasterKeyId", "")).startswith(("${", "arn:")):
                yield f"{owner}: is not encrypted with a key of this account"


@rule(data=[remove("UploadEvents.Targets"), put("UploadEvents.State", "DISABLED")],
      audit=[remove("RootUse.Targets"), put("Findings.State", "DISABLED"),
             put("TopicPolicy.PolicyDocument.Statement.0.Effect", "Deny")])
def event_rules_are_enabled_and_may_reach_their_target(stack):
    for owner, properties in stack.of_type("AWS::Events::Rule"):
        targets = properties.get("Targets", [])
        if properties.get("State") != "ENABLED" or not targets:
            yield f"{owner}: is disabled or has no target"
        for target in targets:
            granted = [each for _, document in all_policies(stack) for each in statements(document)
                       if each["Effect"] == "Allow" and target["Arn"] in listed(each.get("Resource"))
                       and "events.amazonaws.com" in listed((each.get("Principal") or {}).get("Service"))]
            if not granted:
                yield f"{owner}: EventBridge may not send to {target['Arn']}"
