"""Roles and their policies."""

from . import describes, document


@describes("AWS::IAM::Role")
def role(client, physical_id, properties):
    iam = client("iam")
    found = iam.get_role(RoleName=physical_id)["Role"]
    found["AssumeRolePolicyDocument"] = document(found["AssumeRolePolicyDocument"])
    names = iam.list_role_policies(RoleName=physical_id)["PolicyNames"]
    found["Policies"] = [
        {"PolicyName": name,
         "PolicyDocument": document(iam.get_role_policy(RoleName=physical_id, PolicyName=name)["PolicyDocument"])}
        for name in names]
    attached = iam.list_attached_role_policies(RoleName=physical_id)["AttachedPolicies"]
    found["ManagedPolicyArns"] = [each["PolicyArn"] for each in attached]
    return found
