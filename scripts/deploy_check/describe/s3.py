"""Buckets and their policies."""

from botocore.exceptions import ClientError

from . import describes, document


def asked(call, key):
    """Returns the answer of a call for a setting, or nothing if the bucket lacks the setting."""
    try:
        return call().get(key)
    except ClientError:
        return None


def lifecycle(rules):
    """Returns the rules of an answer as those of a template."""
    for rule in rules or []:
        found = {"Id": rule.get("ID"), "Status": rule["Status"]}
        for key in ("AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration"):
            if key in rule:
                found[key] = rule[key]
        expiration = rule.get("Expiration", {})
        if "Days" in expiration:
            found["ExpirationInDays"] = expiration["Days"]
        if "ExpiredObjectDeleteMarker" in expiration:
            found["ExpiredObjectDeleteMarker"] = expiration["ExpiredObjectDeleteMarker"]
        yield found


def encryption(configuration):
    """Returns the default encryption as that of a template."""
    rules = (configuration or {}).get("Rules", [])
    return {"ServerSideEncryptionConfiguration": [
        {("ServerSideEncryptionByDefault" if key == "ApplyServerSideEncryptionByDefault" else key): value
         for key, value in rule.items()} for rule in rules]}


@describes("AWS::S3::Bucket")
def bucket(client, physical_id, properties):
    s3, name = client("s3"), {"Bucket": physical_id}
    logging = asked(lambda: s3.get_bucket_logging(**name), "LoggingEnabled") or {}
    events = s3.get_bucket_notification_configuration(**name)
    lock = asked(lambda: s3.get_object_lock_configuration(**name), "ObjectLockConfiguration")
    return {
        "BucketName": physical_id if s3.head_bucket(**name) else None,
        "BucketEncryption": encryption(asked(lambda: s3.get_bucket_encryption(**name),
                                             "ServerSideEncryptionConfiguration")),
        "OwnershipControls": asked(lambda: s3.get_bucket_ownership_controls(**name), "OwnershipControls"),
        "PublicAccessBlockConfiguration": asked(lambda: s3.get_public_access_block(**name),
                                                "PublicAccessBlockConfiguration"),
        "VersioningConfiguration": {"Status": s3.get_bucket_versioning(**name).get("Status")},
        "LoggingConfiguration": {"DestinationBucketName": logging.get("TargetBucket"),
                                 "LogFilePrefix": logging.get("TargetPrefix")},
        "NotificationConfiguration": {"EventBridgeConfiguration": {
            "EventBridgeEnabled": "EventBridgeConfiguration" in events}},
        "LifecycleConfiguration": {"Rules": list(lifecycle(asked(
            lambda: s3.get_bucket_lifecycle_configuration(**name), "Rules")))},
        "ReplicationConfiguration": asked(lambda: s3.get_bucket_replication(**name), "ReplicationConfiguration"),
        "ObjectLockEnabled": (lock or {}).get("ObjectLockEnabled") == "Enabled",
        "ObjectLockConfiguration": lock,
    }


@describes("AWS::S3::BucketPolicy")
def bucket_policy(client, physical_id, properties):
    found = client("s3").get_bucket_policy(Bucket=properties["Bucket"])["Policy"]
    return {"Bucket": properties["Bucket"], "PolicyDocument": document(found)}
