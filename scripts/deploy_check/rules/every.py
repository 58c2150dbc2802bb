"""Rules for every stack."""

import re

from ..template import put, remove, texts
from . import rule

REFERENCE = re.compile(r"\$\{(?!import:)(\w+)[.}]")


@rule(network=[remove("Vpc")])
def references_have_a_target(stack):
    """CloudFormation refuses a reference to a missing resource."""
    for owner, terms in [*stack.resources.items(), *stack.outputs.items()]:
        for name in sorted({name for text in texts(terms) for name in REFERENCE.findall(text)} - set(stack.resources)):
            yield f"{owner}: refers to {name}, which does not exist"


@rule(network=[put("FlowLogGroup.LogGroupName", "flow")])
def names_contain_the_environment(stack):
    """Staging and production can share an account."""
    for owner, resource in stack.resources.items():
        name = resource.get("Properties", {}).get(NAMES.get(resource["Type"]))
        if name is not None and stack.environment not in name:
            yield f"{owner}: the name lacks the environment: {name}"


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
