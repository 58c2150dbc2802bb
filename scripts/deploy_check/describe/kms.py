"""Keys and their aliases."""

from . import describes, document


@describes("AWS::KMS::Key")
def key(client, physical_id, properties):
    kms = client("kms")
    found = kms.describe_key(KeyId=physical_id)["KeyMetadata"]
    found["EnableKeyRotation"] = kms.get_key_rotation_status(KeyId=physical_id)["KeyRotationEnabled"]
    found["KeyPolicy"] = document(kms.get_key_policy(KeyId=physical_id, PolicyName="default")["Policy"])
    found["Tags"] = [{"Key": each["TagKey"], "Value": each["TagValue"]}
                     for each in kms.list_resource_tags(KeyId=physical_id)["Tags"]]
    return found


@describes("AWS::KMS::Alias")
def alias(client, physical_id, properties):
    found = client("kms").list_aliases()["Aliases"]
    return next(each for each in found if each["AliasName"] == properties["AliasName"])
