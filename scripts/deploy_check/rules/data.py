"""Rules for buckets, queues, the database and its backups. docs/retention.md and `vf-worker provision` have the values."""

import functools
import re

from .. import documents
from ..template import ACCOUNT, ROOT, parameters_of, put, remove
from . import rule, statements

DAY = 86400
# Point-in-time recovery, daily and monthly backups, in days.
RECOVERY_DAYS, DAILY, MONTHLY = 14, 35, 365
ROTATION = "rate(30 days)"


@functools.cache
def retention(setting):
    """Returns the default of a setting in docs/retention.md, in days."""
    for line in (ROOT / "docs" / "retention.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and f"`{setting}`" in cells[2]:
            value = cells[3].strip("`")
            return int(value[:-1]) // 24 if value.endswith("h") else int(value)
    raise ValueError(f"docs/retention.md has no {setting}")


@functools.cache
def variable(name):
    """Returns the number in the default of a variable of the worker."""
    text = (ROOT / "videoframes-worker" / "src" / "config" / "variables.rs").read_text()
    return int(re.search(rf'"{name}",\s*"(\d+)s?"', text).group(1))


def lifecycle_problems(name, properties):
    """Yields the differences from the lifecycle rules of `vf-worker provision`. Other rules must not expire objects."""
    rules = {each["Id"]: each for each in properties.get("LifecycleConfiguration", {}).get("Rules", [])}
    expected = {
        "vf-uploads": {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": retention("--upload-days")}},
        "vf-versions": {"NoncurrentVersionExpiration": {"NoncurrentDays": str(retention("VF_VERSION_RETENTION"))},
                        "ExpiredObjectDeleteMarker": True},
    }
    for rule_id, terms in expected.items():
        if rules.pop(rule_id, None) != {"Id": rule_id, "Status": "Enabled", **terms}:
            yield f"{name}: the lifecycle rule {rule_id} is not {terms}"
    for rule_id in rules:
        yield f"{name}: the lifecycle rule {rule_id} is not one of vf-worker provision"


def locked(name, properties):
    """Yields the reasons why backups in a vault can be deleted, or are not encrypted."""
    lock = properties.get("LockConfiguration", {})
    if (lock.get("MinRetentionDays"), lock.get("MaxRetentionDays")) != (DAILY, MONTHLY):
        yield f"{name}: the lock is not for {DAILY} to {MONTHLY} days"
    if not 3 <= lock.get("ChangeableForDays", 0) <= 7:
        yield f"{name}: the lock never becomes final"
    if properties.get("EncryptionKeyArn") != "${Key.Arn}":
        yield f"{name}: is not encrypted with the key"


@rule(remove("Results.LifecycleConfiguration"), put("Uploads.LifecycleConfiguration.Rules.0.Status", "Disabled"),
      put("Results.LifecycleConfiguration.Rules.+", {"Id": "old", "Status": "Enabled", "ExpirationInDays": 30}),
      put("Results.LifecycleConfiguration.Rules.1.NoncurrentVersionExpiration.NoncurrentDays", "7"))
def lifecycle_rules_are_those_of_provision(stack):
    for name in ("Uploads", "Results"):
        yield from lifecycle_problems(name, stack.resources[name]["Properties"])


@rule(remove("Logs.LifecycleConfiguration"), remove("Logs.LifecycleConfiguration.Rules.0"),
      remove("Logs.LifecycleConfiguration.Rules.1.NoncurrentVersionExpiration"))
def access_logs_expire_after_a_year(stack):
    rules = stack.resources["Logs"]["Properties"].get("LifecycleConfiguration", {}).get("Rules", [])
    days = {"Status": "Enabled", "ExpirationInDays": 365, "NoncurrentVersionExpiration": {"NoncurrentDays": 30}}
    uploads = {"Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}
    if [{key: value for key, value in each.items() if key != "Id"} for each in rules] != [uploads, days]:
        yield f"Logs: the lifecycle rules are not {uploads} and {days}"


@rule(remove("Results.LoggingConfiguration"), remove("Uploads.LoggingConfiguration.LogFilePrefix"),
      put("LogsPolicy.PolicyDocument.Statement.1.Effect", "Deny"), remove("LogsPolicy.PolicyDocument.Statement.1"))
def accesses_to_objects_are_logged(stack):
    for name in ("Uploads", "Results"):
        expected = {"DestinationBucketName": "${Logs}", "LogFilePrefix": f"{name.lower()}/"}
        if stack.resources[name]["Properties"].get("LoggingConfiguration") != expected:
            yield f"{name}: accesses are not logged"
    grants = [each for each in statements(stack.resources["LogsPolicy"]["Properties"]["PolicyDocument"])
              if each["Principal"] == {"Service": "logging.s3.amazonaws.com"}]
    if [(each["Effect"], each["Action"], each["Resource"]) for each in grants] != [
            ("Allow", "s3:PutObject", "${Logs.Arn}/*")]:
        yield "LogsPolicy: S3 cannot write access logs"


@rule(remove("Results.ReplicationConfiguration"), put("Results.ReplicationConfiguration.Rules.0.Status", "Disabled"),
      remove("Results.ReplicationConfiguration.Rules.0.DeleteMarkerReplication"),
      remove("Results.ReplicationConfiguration.Rules.0.SourceSelectionCriteria"),
      put("Results.ReplicationConfiguration.Rules.0.Destination.Bucket", "arn:aws:s3:::other"),
      put("Results.ReplicationConfiguration.Rules.0.Filter.Prefix", "a/"),
      remove("Results.ReplicationConfiguration.Rules.0.Destination.Metrics"))
def results_are_replicated_into_the_second_region(stack):
    configuration = stack.resources["Results"]["Properties"]["ReplicationConfiguration"]
    bucket = f"arn:aws:s3:::videoframes-{stack.environment}-{ACCOUNT}-results-replica"
    expected = {
        "Id": "replica", "Status": "Enabled", "Priority": 1, "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Enabled"},
        "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}},
        "Destination": {
            "Bucket": bucket,
            "EncryptionConfiguration": {"ReplicaKmsKeyID": parameters_of(stack.environment)["ReplicaKey"]},
            "Metrics": {"Status": "Enabled", "EventThreshold": {"Minutes": 15}},
            "ReplicationTime": {"Status": "Enabled", "Time": {"Minutes": 15}},
        },
    }
    if configuration["Rules"] != [expected] or configuration["Role"] != "${ReplicationRole.Arn}":
        yield f"Results: all objects with delete markers have to be replicated to {bucket}"


AWS_MANAGED = "arn:aws:iam::aws:policy/service-role/"


@rule(put("BackupRole.ManagedPolicyArns.0", "arn:aws:iam::aws:policy/AdministratorAccess"),
      remove("MonitoringRole.ManagedPolicyArns"))
def roles_of_services_have_only_the_policy_of_their_service(stack):
    expected = {"BackupRole": "AWSBackupServiceRolePolicyForBackup", "MonitoringRole": "AmazonRDSEnhancedMonitoringRole"}
    for name, policy in expected.items():
        properties = stack.resources[name]["Properties"]
        if properties.get("ManagedPolicyArns") != [AWS_MANAGED + policy] or properties.get("Policies"):
            yield f"{name}: the policy is not {policy}"


@rule(put("InputQueue.MessageRetentionPeriod", 60), remove("InputQueue.RedrivePolicy"),
      put("InputQueue.RedrivePolicy.maxReceiveCount", 3), remove("DeadLetterQueue.RedriveAllowPolicy"),
      put("DeadLetterQueue.MessageRetentionPeriod", 345600), put("NotifierQueue.RedriveAllowPolicy.redrivePermission",
                                                                 "allowAll"),
      put("InputQueue.VisibilityTimeout", "30"), remove("InputQueue.ReceiveMessageWaitTimeSeconds"))
def queues_have_the_settings_of_provision(stack):
    days = {"InputQueue": retention("--message-days"), "NotifierQueue": retention("--message-days"),
            "DeadLetterQueue": retention("MessageRetentionPeriod")}
    arn = f"arn:aws:sqs:{documents.REGION}:{ACCOUNT}:videoframes-{stack.environment}-input"
    special = {
        "InputQueue": {"RedrivePolicy": {"deadLetterTargetArn": "${DeadLetterQueue.Arn}",
                                         "maxReceiveCount": variable("VF_MAX_RECEIVES")}},
        "DeadLetterQueue": {"RedriveAllowPolicy": {"redrivePermission": "byQueue", "sourceQueueArns": [arn]}},
    }
    for name, properties in stack.of_type("AWS::SQS::Queue"):
        expected = {
            "MessageRetentionPeriod": days[name] * DAY, "ReceiveMessageWaitTimeSeconds": 20,
            "VisibilityTimeout": str(variable("VF_LEASE") + variable("VF_VISIBILITY_MARGIN")),
            "KmsMasterKeyId": "${Key}", "KmsDataKeyReusePeriodSeconds": 3600,
            "RedriveAllowPolicy": {"redrivePermission": "denyAll"}, **special.get(name, {})}
        for key, value in expected.items():
            if properties.get(key) != value:
                yield f"{name}: {key} is not {value}"


@rule(remove("UploadEvents"), put("UploadEvents.EventPattern.detail-type", ["Object Deleted"]),
      remove("UploadEvents.EventPattern.detail"), remove("Uploads.NotificationConfiguration"),
      remove("InputQueuePolicy.PolicyDocument.Statement.1.Condition"),
      remove("Key.KeyPolicy.Statement.1.Action.1"))
def new_objects_reach_the_input_queue(stack):
    """And no other event does."""
    found = stack.resources["UploadEvents"]["Properties"]
    pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": {"bucket": {"name": ["${Uploads}"]}}}
    if found["EventPattern"] != pattern or [each["Arn"] for each in found["Targets"]] != ["${InputQueue.Arn}"]:
        yield "UploadEvents: does not send new objects to the input queue, or sends other events"
    events = stack.resources["Uploads"]["Properties"].get("NotificationConfiguration")
    if events != {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}:
        yield "Uploads: sends no events"
    grant = statements(stack.resources["InputQueuePolicy"]["Properties"]["PolicyDocument"])[1]
    if grant["Condition"] != {"ArnEquals": {"aws:SourceArn": "${UploadEvents.Arn}"}} or \
            grant["Action"] != "sqs:SendMessage":
        yield "InputQueuePolicy: other rules may send to the input queue"
    key, = [each for each in statements(stack.resources["Key"]["Properties"]["KeyPolicy"])
            if each.get("Principal") == {"Service": "events.amazonaws.com"}]
    if key["Effect"] != "Allow" or set(key["Action"]) != {"kms:Decrypt", "kms:GenerateDataKey"}:
        yield "Key: EventBridge cannot send to an encrypted queue"


@rule(*(remove(f"Database.{key}") for key in (
          "StorageEncrypted", "KmsKeyId", "MultiAZ", "PubliclyAccessible", "VPCSecurityGroups", "DBSubnetGroupName",
          "DBParameterGroupName", "BackupRetentionPeriod", "DeletionProtection", "DeleteAutomatedBackups",
          "EnableIAMDatabaseAuthentication", "ManageMasterUserPassword", "EnableCloudwatchLogsExports",
          "CopyTagsToSnapshot", "AutoMinorVersionUpgrade", "MonitoringRoleArn", "PerformanceInsightsKMSKeyId")),
      put("Database.BackupRetentionPeriod", 0), put("Database.PubliclyAccessible", True),
      put("Database.MasterUserPassword", "secret"))
def the_database_is_private_encrypted_and_survives_the_loss_of_a_zone(stack):
    """docs/backup.md has the values."""
    expected = {
        "Engine": "postgres", "StorageEncrypted": True, "KmsKeyId": "${Key.Arn}", "MultiAZ": True,
        "PubliclyAccessible": False, "DBSubnetGroupName": "${DatabaseSubnets}",
        "VPCSecurityGroups": [f"${{import:videoframes-{stack.environment}-DatabaseSecurityGroup}}"],
        "DBParameterGroupName": "${DatabaseParameters}", "BackupRetentionPeriod": RECOVERY_DAYS,
        "DeletionProtection": True, "DeleteAutomatedBackups": False, "EnableIAMDatabaseAuthentication": True,
        "ManageMasterUserPassword": True, "MasterUserSecret": {"KmsKeyId": "${Key.Arn}"},
        "MasterUserPassword": None, "EnableCloudwatchLogsExports": ["postgresql"], "CopyTagsToSnapshot": True,
        "AutoMinorVersionUpgrade": True, "MonitoringInterval": 60, "MonitoringRoleArn": "${MonitoringRole.Arn}",
        "EnablePerformanceInsights": True, "PerformanceInsightsKMSKeyId": "${Key.Arn}", "MaxAllocatedStorage": 500,
        "StorageType": "gp3", "CACertificateIdentifier": "rds-ca-rsa2048-g1",
    }
    for name, properties in stack.of_type("AWS::RDS::DBInstance"):
        for key, value in expected.items():
            if properties.get(key) != value:
                yield f"{name}: {key} is not {value}"
        if properties["DBName"] != stack.outputs["DatabaseName"]["Value"]:
            yield f"{name}: workers connect to another database"
        if not properties["EngineVersion"].startswith("16."):
            yield f"{name}: the version does not fit the parameters"
        if properties["MasterUsername"] in ("vf_worker", "vf_owner"):
            yield f"{name}: workers connect as the master"
    subnets = stack.resources["DatabaseSubnets"]["Properties"]["SubnetIds"]
    if subnets != [f"${{import:videoframes-{stack.environment}-DatabaseSubnets}}"]:
        yield "DatabaseSubnets: are not the isolated subnets"


@rule(put("DatabaseParameters.Parameters.rds\\.force_ssl", "0"), remove("DatabaseParameters.Parameters"),
      remove("DatabaseParameters.Parameters.log_connections"))
def the_database_accepts_only_tls_and_logs_connections(stack):
    values = stack.resources["DatabaseParameters"]["Properties"].get("Parameters", {})
    expected = {"rds.force_ssl": "1", "log_connections": "1", "log_disconnections": "1"}
    for key, value in expected.items():
        if values.get(key) != value:
            yield f"DatabaseParameters: {key} is not {value}"


@rule(remove("DatabaseLogs"), put("DatabaseLogs.LogGroupName", "/aws/rds/instance/other-production/postgresql"))
def the_log_group_of_the_database_is_not_made_by_rds(stack):
    """A log group that RDS makes is neither encrypted with a key nor does it expire."""
    name = stack.resources["Database"]["Properties"]["DBInstanceIdentifier"]
    found = [properties["LogGroupName"] for _, properties in stack.of_type("AWS::Logs::LogGroup")]
    if f"/aws/rds/instance/{name}/postgresql" not in found:
        yield "DatabaseLogs: RDS would make the log group"


@rule(remove("MasterRotation"), put("MasterRotation.RotationRules.ScheduleExpression", "rate(365 days)"),
      remove("MasterRotation.RotationRules"))
def the_password_of_the_master_rotates(stack):
    found = [properties for _, properties in stack.of_type("AWS::SecretsManager::RotationSchedule")]
    if [(each["SecretId"], each["RotationRules"]["ScheduleExpression"]) for each in found] != [
            ("${Database.MasterUserSecret.SecretArn}", ROTATION)]:
        yield f"the password of the master does not rotate at {ROTATION}"


@rule(remove("Vault.LockConfiguration"), remove("BackupPlan.BackupPlan.BackupPlanRule.1"),
      put("BackupPlan.BackupPlan.BackupPlanRule.0.Lifecycle.DeleteAfterDays", 7),
      remove("BackupPlan.BackupPlan.BackupPlanRule.0.CopyActions"), remove("BackupSelection"),
      put("BackupSelection.BackupSelection.ListOfTags.0.ConditionValue", "other"), remove("Database.Tags"),
      put("BackupPlan.BackupPlan.BackupPlanRule.1.CopyActions.0.Lifecycle.DeleteAfterDays", 35),
      put("BackupPlan.BackupPlan.BackupPlanRule.0.ScheduleExpression", "cron(0 4 1 * ? *)"))
def backups_are_daily_and_monthly_and_copied_to_the_second_region(stack):
    yield from locked("Vault", stack.resources["Vault"]["Properties"])
    region = parameters_of(stack.environment)["ReplicaRegion"]
    copy = f"arn:aws:backup:{region}:{ACCOUNT}:backup-vault:videoframes-{stack.environment}-replica"
    expected = {
        name: {"RuleName": name, "TargetBackupVault": "${Vault}", "ScheduleExpression": schedule,
               "StartWindowMinutes": 60, "CompletionWindowMinutes": 360, "Lifecycle": {"DeleteAfterDays": days},
               "CopyActions": [{"DestinationBackupVaultArn": copy, "Lifecycle": {"DeleteAfterDays": days}}]}
        for name, schedule, days in (("daily", "cron(0 4 * * ? *)", DAILY), ("monthly", "cron(0 5 1 * ? *)", MONTHLY))}
    found = {each["RuleName"]: each for each in
             stack.resources["BackupPlan"]["Properties"]["BackupPlan"]["BackupPlanRule"]}
    for name, terms in expected.items():
        if found.get(name) != terms:
            yield f"BackupPlan: the rule {name} is not {terms}"
    tag = {"Key": "videoframes-backup", "Value": stack.environment}
    selection = stack.resources["BackupSelection"]["Properties"]
    chosen = [{"ConditionType": "STRINGEQUALS", "ConditionKey": tag["Key"], "ConditionValue": tag["Value"]}]
    if selection["BackupSelection"]["ListOfTags"] != chosen or selection["BackupPlanId"] != "${BackupPlan}" or \
            selection["BackupSelection"]["IamRoleArn"] != "${BackupRole.Arn}":
        yield "BackupSelection: does not select the tag"
    if tag not in stack.resources["Database"]["Properties"].get("Tags", []):
        yield "Database: lacks the tag that backups select"


@rule(remove("RestoreTest"), put("RestoreTest.ScheduleExpression", "cron(0 6 1 * ? *)"), remove("RestoreTestSelection"),
      put("RestoreTestSelection.RestoreMetadataOverrides.publiclyAccessible", "true"),
      put("RestoreTest.RecoveryPointSelection.SelectionWindowDays", 90),
      remove("RestoreTestSelection.ProtectedResourceConditions"))
def a_restore_is_tested_every_week(stack):
    plan = stack.resources["RestoreTest"]["Properties"]
    expected = {"Algorithm": "LATEST_WITHIN_WINDOW", "RecoveryPointTypes": ["SNAPSHOT"],
                "IncludeVaults": ["${Vault.BackupVaultArn}"], "SelectionWindowDays": 7}
    if plan["ScheduleExpression"] != "cron(0 6 ? * SUN *)" or plan["RecoveryPointSelection"] != expected or \
            plan["StartWindowHours"] != 2:
        yield "RestoreTest: does not test the latest backup every Sunday"
    found = stack.resources["RestoreTestSelection"]["Properties"]
    expected = {
        "RestoreTestingPlanName": "${RestoreTest}", "ProtectedResourceType": "RDS", "IamRoleArn": "${RestoreRole.Arn}",
        "ProtectedResourceConditions": {"StringEquals": [{"Key": "aws:ResourceTag/videoframes-backup",
                                                          "Value": stack.environment}]},
        "RestoreMetadataOverrides": {"dbSubnetGroupName": "${DatabaseSubnets}", "multiAz": "false",
                                     "publiclyAccessible": "false"},
        "ValidationWindowHours": 24,
    }
    for key, value in expected.items():
        if found.get(key) != value:
            yield f"RestoreTestSelection: {key} is not {value}"
