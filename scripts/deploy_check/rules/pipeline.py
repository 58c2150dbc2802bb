"""Rules for the pipeline: registry and roles of the workflows."""

import json
import re

from ..documents import NAMES
from ..template import ROOT, put, remove
from . import rule

GITHUB = "token.actions.githubusercontent.com"
# Roles that read all resources for the detection of drift have this policy of AWS in addition.
MANAGED = {"DriftRole": ["arn:aws:iam::aws:policy/SecurityAudit"]}


@rule(put("Provider.ClientIdList", ["other"]), put("Provider.Url", "https://example.org"),
      remove("Provider:DeletionPolicy"))
def github_is_the_only_identity_provider(stack):
    for name, each in stack.of_type("AWS::IAM::OIDCProvider"):
        if each != {"Url": f"https://{GITHUB}", "ClientIdList": ["sts.amazonaws.com"]}:
            yield f"{name}: not GitHub for AWS"
        # Other stacks of the account may use the provider.
        if {stack.resources[name].get(key) for key in ("DeletionPolicy", "UpdateReplacePolicy")} != {"Retain"}:
            yield f"{name}: deleted with the stack"


@rule(put("DeployRole.ManagedPolicyArns", ["arn:aws:iam::aws:policy/AdministratorAccess"]),
      remove("DriftRole.ManagedPolicyArns"), put("CloudFormationRole.RoleName", "videoframes-production-other"))
def roles_have_their_names_and_no_other_managed_policies(stack):
    names = {"DeployRole": "deploy", "DriftRole": "drift", "CloudFormationRole": "cloudformation"}
    for name, each in stack.of_type("AWS::IAM::Role"):
        if each.get("ManagedPolicyArns") != MANAGED.get(name):
            yield f"{name}: other managed policies"
        if each["RoleName"] != f"videoframes-{stack.environment}-{names[name]}":
            yield f"{name}: the workflows expect another name"


@rule(remove("DeployRole.MaxSessionDuration"), put("DeployRole.MaxSessionDuration", 3600))
def the_session_of_the_deploy_role_is_as_long_as_the_workflow_requests(stack):
    workflow = (ROOT / ".github" / "workflows" / "deploy-environment.yml").read_text()
    requested = int(re.search(r"role-duration-seconds: (\d+)", workflow)[1])
    if stack.resources["DeployRole"]["Properties"].get("MaxSessionDuration") != requested:
        yield f"DeployRole: the workflow requests sessions of {requested} s"


@rule(put("Repository.ImageTagMutability", "MUTABLE"), put("Repository.ImageScanningConfiguration.ScanOnPush", False),
      remove("Repository.ImageScanningConfiguration"), remove("Repository.EncryptionConfiguration"),
      put("Repository.EncryptionConfiguration.EncryptionType", "AES256"), remove("Repository:DeletionPolicy"),
      put("Repository.LifecyclePolicy.LifecyclePolicyText", json.dumps({"rules": [{"rulePriority": 1, "selection": {
          "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}, "action": {"type": "expire"}}]})),
      remove("Repository.LifecyclePolicy"), put("Repository.RepositoryName", "other"))
def images_are_immutable_scanned_and_kept_for_rollbacks(stack):
    found = stack.resources["Repository"]["Properties"]
    if found["RepositoryName"] != NAMES["REPOSITORY"].format(environment=stack.environment):
        yield "Repository: the roles expect another name"
    if found["ImageTagMutability"] != "IMMUTABLE" or found["ImageScanningConfiguration"] != {"ScanOnPush": True} \
            or found["EncryptionConfiguration"] != {"EncryptionType": "KMS"}:
        yield "Repository: tags can move, or images are not scanned or not encrypted with KMS"
    (terms,) = json.loads(found["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    if terms["selection"]["countType"] != "imageCountMoreThan" or terms["selection"]["countNumber"] < 10:
        yield "Repository: a rollback may find no image"
    if {stack.resources["Repository"].get(key) for key in ("DeletionPolicy", "UpdateReplacePolicy")} != {"Retain"}:
        yield "Repository: deleted with the stack"
