"""Rules for the trail, the detectors and the notifications."""

from ..template import ACCOUNT, REGION, put, remove
from . import listed, rule, statements

# Days during which nobody can delete a log file: at least.
TRAIL_DAYS = 90
TRAIL = "cloudtrail.amazonaws.com"
API_CALL = "AWS API Call via CloudTrail"
TOPIC = "${Topic}"


def trail_arn(stack):
    return f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/videoframes-{stack.environment}"


@rule(*(remove(f"Trail.{key}") for key in ("IsMultiRegionTrail", "IncludeGlobalServiceEvents", "KMSKeyId",
                                           "EnableLogFileValidation", "CloudWatchLogsLogGroupArn", "TrailName")),
      put("Trail.IsLogging", False), put("Trail.S3BucketName", "other"), remove("Trail"))
def calls_in_all_regions_are_recorded(stack):
    expected = {
        "TrailName": f"videoframes-{stack.environment}", "IsLogging": True, "IsMultiRegionTrail": True,
        "IncludeGlobalServiceEvents": True, "EnableLogFileValidation": True, "S3BucketName": "${TrailBucket}",
        "KMSKeyId": "${Key.Arn}", "CloudWatchLogsLogGroupArn": "${TrailLogs.Arn}",
        "CloudWatchLogsRoleArn": "${TrailRole.Arn}",
    }
    properties = stack.resources["Trail"]["Properties"]
    for key, value in expected.items():
        if properties.get(key) != value:
            yield f"Trail: {key} is not {value}"


@rule(remove("Trail.AdvancedEventSelectors"), remove("Trail.AdvancedEventSelectors.0"),
      remove("Trail.AdvancedEventSelectors.1"), put("Trail.AdvancedEventSelectors.1.FieldSelectors.2.StartsWith.0",
                                                    "arn:aws:s3:::other"),
      put("Trail.AdvancedEventSelectors.1.FieldSelectors.+", {"Field": "readOnly", "Equals": ["false"]}))
def accesses_to_objects_are_recorded(stack):
    prefix = f"arn:aws:s3:::videoframes-{stack.environment}-"
    logs = ["${TrailBucket.Arn}/", f"{prefix}{ACCOUNT}-access-logs/"]
    expected = [
        [{"Field": "eventCategory", "Equals": ["Management"]}],
        [{"Field": "eventCategory", "Equals": ["Data"]}, {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
         {"Field": "resources.ARN", "StartsWith": [prefix]}, {"Field": "resources.ARN", "NotStartsWith": logs}],
    ]
    found = stack.resources["Trail"]["Properties"]["AdvancedEventSelectors"]
    if [each["FieldSelectors"] for each in found] != expected:
        yield f"Trail: the selectors are not {expected}"


@rule(remove("TrailBucket.ObjectLockEnabled"), remove("TrailBucket.ObjectLockConfiguration"),
      put("TrailBucket.ObjectLockConfiguration.Rule.DefaultRetention.Mode", "GOVERNANCE"),
      put("TrailBucket.ObjectLockConfiguration.Rule.DefaultRetention.Days", "1"),
      put("TrailBucket.LifecycleConfiguration.Rules.1.ExpirationInDays", 30),
      remove("TrailBucket.LifecycleConfiguration"))
def nobody_can_delete_log_files(stack):
    properties = stack.resources["TrailBucket"]["Properties"]
    retention = properties["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    if properties.get("ObjectLockEnabled") is not True or retention["Mode"] != "COMPLIANCE" or \
            properties["ObjectLockConfiguration"].get("ObjectLockEnabled") != "Enabled" or \
            int(retention["Days"]) < TRAIL_DAYS:
        yield "TrailBucket: log files are not locked"
    rules = [{key: value for key, value in each.items() if key != "Id"}
             for each in properties["LifecycleConfiguration"]["Rules"]]
    files = {"Status": "Enabled", "ExpirationInDays": 730, "NoncurrentVersionExpiration": {"NoncurrentDays": 30}}
    uploads = {"Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}
    if rules != [uploads, files]:
        yield f"TrailBucket: the lifecycle rules are not {uploads} and {files}"


@rule(remove("TrailBucketPolicy.PolicyDocument.Statement.1"),
      put("TrailBucketPolicy.PolicyDocument.Statement.2.Condition.StringEquals.aws:SourceArn", "*"),
      remove("TrailBucketPolicy.PolicyDocument.Statement.2.Condition"),
      remove("Key.KeyPolicy.Statement.1.Action.0"))
def only_the_trail_writes_log_files(stack):
    trail = {"StringEquals": {"aws:SourceArn": trail_arn(stack)}}
    acl = {"s3:x-amz-acl": "bucket-owner-full-control"}
    expected = [("s3:GetBucketAcl", "${TrailBucket.Arn}", trail),
                ("s3:PutObject", f"${{TrailBucket.Arn}}/AWSLogs/{ACCOUNT}/*",
                 {"StringEquals": acl | trail["StringEquals"]})]
    service = {"Service": TRAIL}
    policy = statements(stack.resources["TrailBucketPolicy"]["Properties"]["PolicyDocument"])
    found = [(each["Action"], each["Resource"], each["Condition"]) for each in policy
             if each["Effect"] == "Allow" and each["Principal"] == service]
    if found != expected or sum(each["Effect"] == "Allow" for each in policy) != len(expected):
        yield "TrailBucketPolicy: the trail cannot write, or others can"
    key = [each for each in statements(stack.resources["Key"]["Properties"]["KeyPolicy"])
           if each.get("Principal") == service]
    if [(each["Effect"], set(each["Action"]), each["Condition"]) for each in key] != [
            ("Allow", {"kms:GenerateDataKey*", "kms:DescribeKey"}, trail)]:
        yield "Key: the trail cannot encrypt, or others can"


@rule(remove("Detector"), put("Detector.Enable", False), remove("Detector.Features.1"),
      put("Detector.Features.0.Status", "DISABLED"), remove("Analyzer"),
      put("Analyzer.Type", "ACCOUNT_UNUSED_ACCESS"), put("Detector.FindingPublishingFrequency", "SIX_HOURS"))
def threats_and_public_resources_are_detected(stack):
    detectors, analyzers = (stack.of_type(kind) for kind in ("AWS::GuardDuty::Detector",
                                                             "AWS::AccessAnalyzer::Analyzer"))
    if not detectors and not analyzers:
        # Detectors=no: another stack of the account has them.
        return
    if [properties["Type"] for _, properties in analyzers] != ["ACCOUNT"]:
        yield "Analyzer: does not report resources that other accounts can use"
    if len(detectors) != 1:
        yield "there is no detector"
    for name, properties in detectors:
        if properties.get("Enable") is not True or properties.get("FindingPublishingFrequency") != "FIFTEEN_MINUTES":
            yield f"{name}: is disabled, or reports late"
        features = {each["Name"]: each for each in properties.get("Features", [])}
        expected = {"S3_DATA_EVENTS": [], "RDS_LOGIN_EVENTS": [], "RUNTIME_MONITORING": [
            {"Name": "ECS_FARGATE_AGENT_MANAGEMENT", "Status": "ENABLED"}]}
        for feature, more in expected.items():
            found = features.get(feature, {})
            if found.get("Status") != "ENABLED" or found.get("AdditionalConfiguration", []) != more:
                yield f"{name}: {feature} is not enabled"


# By rule: sources, and names of calls.
NOTIFIED = {
    "KeyDeletion": ({"aws.kms"}, {"ScheduleKeyDeletion", "DisableKey", "DisableKeyRotation", "PutKeyPolicy"}),
    "PolicyChange": ({"aws.s3", "aws.sqs"}, {
        "PutBucketPolicy", "DeleteBucketPolicy", "PutBucketPublicAccessBlock", "DeleteBucketPublicAccessBlock",
        "PutBucketVersioning", "PutBucketLifecycle", "SetQueueAttributes"}),
    "TrailChange": ({"aws.cloudtrail", "aws.guardduty", "aws.access-analyzer"}, {
        "StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors", "DeleteDetector", "UpdateDetector",
        "DeleteAnalyzer"}),
    "BackupChange": ({"aws.backup", "aws.rds"}, {
        "DeleteBackupPlan", "DeleteBackupSelection", "DeleteBackupVault", "DeleteBackupVaultLockConfiguration",
        "DeleteRecoveryPoint", "DeleteDBInstance", "DeleteDBInstanceAutomatedBackup", "ModifyDBInstance",
        "ModifyDBParameterGroup"}),
}


@rule(remove("KeyDeletion"), remove("RootUse"), remove("Findings"), remove("PolicyChange.EventPattern.detail.eventName.0"),
      put("RootUse.EventPattern.detail.userIdentity.type", ["IAMUser"]), remove("TrailChange.EventPattern.source.0"),
      put("BackupChange.Targets.0.Arn", "${TrailLogs.Arn}"), put("Findings.EventPattern.$or.0.detail.severity",
                                                                 [{"numeric": [">=", 9]}]),
      put("KeyDeletion.EventPattern.detail-type", ["other"]))
def calls_that_endanger_data_are_notified(stack):
    events = dict(stack.of_type("AWS::Events::Rule"))
    for name, (sources, calls) in NOTIFIED.items():
        pattern = events.get(name, {}).get("EventPattern", {})
        if set(pattern.get("source", [])) != sources or pattern.get("detail-type") != [API_CALL] or \
                not calls <= set(pattern.get("detail", {}).get("eventName", [])):
            yield f"{name}: does not match {sorted(calls)} of {sorted(sources)}"
    root = {"detail-type": [API_CALL, "AWS Console Sign In via CloudTrail"], "detail": {"userIdentity": {"type": ["Root"]}}}
    if events.get("RootUse", {}).get("EventPattern") != root:
        yield "RootUse: does not match calls and sign-ins of the root user"
    findings = [{"source": ["aws.guardduty"], "detail": {"severity": [{"numeric": [">=", 4]}]}},
                {"source": ["aws.access-analyzer"], "detail-type": ["Access Analyzer Finding"]}]
    if events.get("Findings", {}).get("EventPattern") != {"$or": findings}:
        yield "Findings: does not match findings from severity 4"
    for name, properties in events.items():
        if [each["Arn"] for each in properties["Targets"]] != [TOPIC]:
            yield f"{name}: does not notify the topic"


FILTERS = {
    "RootUse": ('$.userIdentity.type = "Root"', "NOT EXISTS"),
    "IamChange": ('$.eventSource = "iam.amazonaws.com"', "$.readOnly IS FALSE"),
}


@rule(remove("RootUseFilter"), remove("IamChangeAlarm"), put("RootUseAlarm.Threshold", 100),
      remove("RootUseAlarm.AlarmActions"), put("IamChangeFilter.LogGroupName", "other"),
      put("RootUseFilter.FilterPattern", "{ $.userIdentity.type = \"IAMUser\" }"),
      put("IamChangeAlarm.MetricName", "Other"), remove("RootUseAlarm.TreatMissingData"))
def calls_of_global_services_are_notified(stack):
    namespace = f"videoframes-{stack.environment}/audit"
    for name, words in FILTERS.items():
        found = stack.resources[f"{name}Filter"]["Properties"]
        metrics = [{"MetricNamespace": namespace, "MetricName": name, "MetricValue": "1"}]
        if found["LogGroupName"] != "${TrailLogs}" or found["MetricTransformations"] != metrics or \
                not all(word in found["FilterPattern"] for word in words):
            yield f"{name}Filter: does not count in the log of the trail"
        expected = {"Namespace": namespace, "MetricName": name, "Statistic": "Sum", "Period": 300,
                    "EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                    "TreatMissingData": "notBreaching", "AlarmActions": [TOPIC]}
        alarm = stack.resources[f"{name}Alarm"]["Properties"]
        for key, value in expected.items():
            if alarm.get(key) != value:
                yield f"{name}Alarm: {key} is not {value}"


@rule(remove("Subscription"), put("TopicPolicy.PolicyDocument.Statement.0.Principal.Service", ["events.amazonaws.com"]),
      remove("Key.KeyPolicy.Statement.2.Principal.Service.1"), put("Subscription.Protocol", "http"))
def notifications_reach_a_person(stack):
    found = [properties for _, properties in stack.of_type("AWS::SNS::Subscription")]
    if [(each["TopicArn"], each["Protocol"]) for each in found] != [(TOPIC, "email")] or not found[0].get("Endpoint"):
        yield "Topic: nobody gets the notifications"
    senders = {"events.amazonaws.com", "cloudwatch.amazonaws.com"}
    for name, key, action in (("TopicPolicy", "PolicyDocument", {"sns:Publish"}),
                              ("Key", "KeyPolicy", {"kms:Decrypt", "kms:GenerateDataKey*"})):
        services = {service: set(listed(each["Action"])) for each in statements(stack.resources[name]["Properties"][key])
                    if each["Effect"] == "Allow" for service in listed(each["Principal"].get("Service", []))}
        if any(services.get(sender) != action for sender in senders) or set(services) - senders - {TRAIL}:
            yield f"{name}: EventBridge and CloudWatch cannot notify, or others can"
