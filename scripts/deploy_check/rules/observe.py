"""Rules for logs, alarms, topics, dashboard and queries."""

import json
import re

from .. import template
from ..template import ROOT, put, remove
from . import listed, rule, statements

# Metric, statistic, comparison, handling of missing data, and topic of each alarm about the resources around the workers.
ALARMS = {
    "TasksMissing": ("ECS/ContainerInsights", "RunningTaskCount", "Minimum", "<", "breaching", "Page"),
    "HookFailed": ("AWS/Lambda", "Errors", "Sum", ">", "notBreaching", "Ticket"),
    "DatabaseStorageLow": ("AWS/RDS", "FreeStorageSpace", "Minimum", "<", "ignore", "Ticket"),
    "DatabaseCpuHigh": ("AWS/RDS", "CPUUtilization", "Average", ">", "ignore", "Ticket"),
    "DatabaseConnectionsHigh": ("AWS/RDS", "DatabaseConnections", "Maximum", ">", "ignore", "Ticket"),
    "BackupMissing": ("AWS/Backup", "NumberOfBackupJobsCompleted", "Sum", "<", "breaching", "Ticket"),
}
DIMENSIONS = {
    "ECS/ContainerInsights": {"ClusterName": "{0}", "ServiceName": "{0}"},
    "AWS/Lambda": {"FunctionName": "{0}-hook"},
    "AWS/RDS": {"DBInstanceIdentifier": "{0}"},
    "AWS/Backup": {"BackupVaultName": "{0}"},
}
COMPARISONS = {"<": "LessThanThreshold", ">": "GreaterThanThreshold"}
# Source, types and details of the events, and their topic.
EVENTS = {
    "DeploymentFailed": ("aws.ecs", ["ECS Deployment State Change"], {"eventName": ["SERVICE_DEPLOYMENT_FAILED"]}, "Page"),
    "TaskNotStarted": ("aws.ecs", ["ECS Task State Change"],
                       {"lastStatus": ["STOPPED"], "stopCode": ["TaskFailedToStart"]}, "Ticket"),
    "BackupFailed": ("aws.backup", ["Backup Job State Change", "Copy Job State Change", "Restore Job State Change"],
                     {"state": ["FAILED", "ABORTED", "EXPIRED"]}, "Ticket"),
}


def prefix(stack):
    return f"videoframes-{stack.environment}"


def properties(stack, name):
    return stack.resources[name]["Properties"]


@rule(remove("WorkerLogGroup.KmsKeyId"), remove("HookLogGroup.RetentionInDays"), put("WorkerLogGroup.RetentionInDays", "1"),
      remove("WorkerLogGroup:DeletionPolicy"), remove("HookLogGroup:UpdateReplacePolicy"),
      put("HookLogGroup.LogGroupName", "other"), remove("WorkerLogGroup.LogGroupName"))
def logs_are_encrypted_and_kept(stack):
    for name, group in (("WorkerLogGroup", "worker"), ("HookLogGroup", "hook")):
        found = properties(stack, name)
        if found["KmsKeyId"] != f"${{import:{prefix(stack)}-LogsKeyArn}}":
            yield f"{name}: not encrypted with the key of the logs"
        if int(found["RetentionInDays"]) < 30:
            yield f"{name}: kept for less than 30 days"
        # The endpoint of the workers allows only groups with this name.
        if found["LogGroupName"] != f"{prefix(stack)}-{group}":
            yield f"{name}: another name"
        if {stack.resources[name].get(key) for key in ("DeletionPolicy", "UpdateReplacePolicy")} != {"Retain"}:
            yield f"{name}: deleted with the stack"


@rule(remove("PageTopic.KmsMasterKeyId"), remove("TicketTopic.KmsMasterKeyId"), put("TopicKey.EnableKeyRotation", False),
      remove("TopicKey.KeyPolicy.Statement.1.Condition"), remove("TopicKey.KeyPolicy.Statement.1"),
      put("TopicKey.KeyPolicy.Statement.1.Principal", "*"), remove("TopicKey:DeletionPolicy"),
      put("TopicKey.PendingWindowInDays", 7), put("TopicKeyAlias.TargetKeyId", "other"))
def topics_are_encrypted_with_a_key_that_publishers_can_use(stack):
    for name in ("PageTopic", "TicketTopic"):
        if properties(stack, name)["KmsMasterKeyId"] != "${TopicKey}":
            yield f"{name}: not encrypted with the key of the topics"
        if not properties(stack, name)["TopicName"].startswith(prefix(stack)):
            yield f"{name}: another name"
    key = properties(stack, "TopicKey")
    if key["EnableKeyRotation"] is not True or key["PendingWindowInDays"] < 30 \
            or properties(stack, "TopicKeyAlias")["TargetKeyId"] != "${TopicKey}" \
            or {stack.resources["TopicKey"].get(each) for each in ("DeletionPolicy", "UpdateReplacePolicy")} != {"Retain"}:
        yield "TopicKey: the key is not rotated, or can be lost"
    own = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{template.ACCOUNT}:root"}, "Action": "kms:*",
           "Resource": "*"}
    publishers = {"Effect": "Allow", "Principal": {"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]},
                  "Action": ["kms:Decrypt", "kms:GenerateDataKey*"], "Resource": "*",
                  "Condition": {"StringEquals": {"aws:SourceAccount": template.ACCOUNT}}}
    if not same(key["KeyPolicy"], [own, publishers]):
        yield "TopicKey: others than this account and its publishers can use the key"


def same(document, expected):
    """Returns whether a policy has exactly the expected statements, whose `Sid` is free."""
    found = [{key: value for key, value in each.items() if key != "Sid"} for each in statements(document)]
    return document["Version"] == "2012-10-17" and found == expected


@rule(remove("PageTopicPolicy.PolicyDocument.Statement.1"), remove("TicketTopicPolicy"),
      remove("TicketTopicPolicy.PolicyDocument.Statement.0.Condition"),
      put("PageTopicPolicy.PolicyDocument.Statement.0.Principal", "*"), put("TicketTopicPolicy.Topics", ["${PageTopic}"]))
def only_alarms_and_events_of_the_account_publish_over_tls(stack):
    for name in ("PageTopic", "TicketTopic"):
        found = properties(stack, f"{name}Policy")
        publish = {"Effect": "Allow", "Principal": {"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]},
                   "Action": "sns:Publish", "Resource": f"${{{name}}}",
                   "Condition": {"StringEquals": {"aws:SourceAccount": template.ACCOUNT}}}
        tls = {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": f"${{{name}}}",
               "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
        if found["Topics"] != [f"${{{name}}}"] or not same(found["PolicyDocument"], [publish, tls]):
            yield f"{name}Policy: others can publish, or without TLS"


@rule(put("Alarms.TemplateURL", "https://example.org/alarms.yaml"), remove("Alarms.Parameters.LogGroup"),
      put("Alarms.Parameters.AlarmPrefix", "other-"), put("Alarms.Parameters.PageTopic", "${TicketTopic}"),
      put("Alarms.Parameters.Unknown", "x"), put("Alarms.Parameters.ReportBackups", "on"))
def the_alarms_about_the_workers_are_those_of_the_repository(stack):
    found = properties(stack, "Alarms")
    if (template.FOLDER / found["TemplateURL"]).resolve() != ROOT / "deploy" / "monitoring" / "cloudwatch" / "alarms.yaml":
        yield "Alarms: another template"
    expected = {"LogGroup": "${WorkerLogGroup}", "PageTopic": "${PageTopic}", "TicketTopic": "${TicketTopic}",
                "DeadLetterQueue": f"${{import:{prefix(stack)}-DeadLetterQueueName}}", "AlarmPrefix": f"{prefix(stack)}-",
                "RunbookUrl": "docs/runbook.md", "ReportBackups": "off"}
    if found["Parameters"] != expected:
        yield "Alarms: other parameters"


@rule(put("Unhealthy.AlarmRule", 'ALARM("videoframes-production-VideoframesRefused") OR ALARM("${TasksMissing}")'),
      put("Unhealthy.AlarmRule", "FALSE"), remove("Unhealthy.AlarmName"), remove("Unhealthy.AlarmRule"))
def unhealthy_has_every_alarm_that_pages(stack):
    pages = {f"{prefix(stack)}-{name}" for name, each in template.alarms().items()
             if each.get("AlarmActions") == [{"Ref": "PageTopic"}]}
    pages |= {f"${{{name}}}" for name, each in stack.of_type("AWS::CloudWatch::Alarm")
              if each["AlarmActions"] == ["${PageTopic}"]}
    found = properties(stack, "Unhealthy")
    terms = [re.fullmatch(r'ALARM\("(.+)"\)', term.strip()) for term in found["AlarmRule"].split(" OR ")]
    if found["AlarmName"] != f"{prefix(stack)}-Unhealthy" or {term and term.group(1) for term in terms} != pages:
        yield f"Unhealthy: not the alarms that page: {', '.join(sorted(pages))}"


@rule(*[remove(name) for name in ALARMS], put("TasksMissing.TreatMissingData", "notBreaching"),
      remove("HookFailed.TreatMissingData"), put("DatabaseStorageLow.TreatMissingData", "breaching"),
      put("BackupMissing.TreatMissingData", "missing"), put("DatabaseCpuHigh.AlarmActions", []),
      put("TasksMissing.Dimensions.0.Value", "other"), put("DatabaseStorageLow.ComparisonOperator", "GreaterThanThreshold"),
      remove("DatabaseConnectionsHigh.OKActions"), put("BackupMissing.Period", 60),
      put("TasksMissing.ActionsEnabled", False))
def alarms_decide_on_missing_data(stack):
    found = dict(stack.of_type("AWS::CloudWatch::Alarm"))
    if set(found) != set(ALARMS):
        yield f"alarms without a decision: {set(found) ^ set(ALARMS)}"
    for name in ALARMS:
        namespace, metric, statistic, comparison, missing, topic = ALARMS[name]
        each = found[name]
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in each["Dimensions"]}
        expected = {key: value.format(prefix(stack)) for key, value in DIMENSIONS[namespace].items()}
        found_metric = (each["Namespace"], each["MetricName"], each["Statistic"], dimensions)
        if found_metric != (namespace, metric, statistic, expected):
            yield f"{name}: another metric"
        if each["ComparisonOperator"] != COMPARISONS[comparison] or float(each["Threshold"]) < 0 \
                or not 300 <= each["Period"] * each["EvaluationPeriods"] <= 86400:
            yield f"{name}: another condition"
        if each["TreatMissingData"] != missing:
            yield f"{name}: missing data is not {missing}"
        if not each["AlarmActions"] == each["OKActions"] == [f"${{{topic}Topic}}"] or each.get("ActionsEnabled") is False \
                or each["AlarmName"] != f"{prefix(stack)}-{name}":
            yield f"{name}: does not notify {topic}Topic"


@rule(*[remove(name) for name in EVENTS], put("DeploymentFailed.State", "DISABLED"), remove("BackupFailed.Targets"),
      put("TaskNotStarted.EventPattern.source", ["aws.ec2"]), remove("DeploymentFailed.EventPattern.resources"),
      put("DeploymentFailed.Targets.0.Arn", "${TicketTopic}"), remove("TaskNotStarted.EventPattern.detail.clusterArn"))
def failed_deployments_tasks_and_backups_notify(stack):
    for name, (source, kinds, detail, topic) in EVENTS.items():
        found = properties(stack, name)
        pattern = found["EventPattern"]
        own = dict(pattern["detail"])
        # Both patterns of ECS are limited to this service or its cluster.
        if source == "aws.ecs":
            scope = own.pop("clusterArn") if name == "TaskNotStarted" else pattern["resources"]
            if [each.rpartition("/")[2] for each in scope] != [prefix(stack)]:
                yield f"{name}: events of another service"
        if pattern["source"] != [source] or pattern["detail-type"] != kinds or own != detail:
            yield f"{name}: other events"
        if found["State"] != "ENABLED" or [each["Arn"] for each in found["Targets"]] != [f"${{{topic}Topic}}"] \
                or not found["Targets"][0]["Id"] or not found["Name"].startswith(prefix(stack)):
            yield f"{name}: does not notify {topic}Topic"


def documented_metrics():
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


@rule(put("Dashboard.DashboardBody", '{"widgets": []}'), put("Dashboard.DashboardBody", '{"widgets": [{"properties": {'
      '"title": "x", "metrics": [["videoframes", "videoframes_unknown_total", "service", "vf-worker"]]}}]}'),
      remove("Dashboard"), put("Dashboard.DashboardBody", "no JSON"))
def the_dashboard_has_existing_metrics(stack):
    found = properties(stack, "Dashboard")
    widgets = json.loads(found["DashboardBody"])["widgets"]
    series = [each for widget in widgets for each in widget["properties"].get("metrics", [])]
    if len(series) < 20 or found["DashboardName"] != prefix(stack):
        yield "Dashboard: most metrics are missing"
    filters = metric_filters()
    for namespace, name, *_ in (each for each in series if isinstance(each[0], str)):
        known = {"videoframes": documented_metrics(), "videoframes/vf-worker": filters}.get(namespace)
        if known is not None and name not in known:
            yield f"Dashboard: unknown metric {name}"
    shown = {name for widget in widgets for name in widget["properties"].get("alarms", [])}
    expected = {f"${{{name}.Arn}}" for name, _ in stack.of_type("AWS::CloudWatch::Alarm")}
    expected.add(f"arn:aws:cloudwatch:{template.REGION}:{template.ACCOUNT}:alarm:{prefix(stack)}-Unhealthy")
    if shown != expected:
        yield f"Dashboard: other alarms: {shown ^ expected}"


def metric_filters():
    """Returns the metrics that the metric filters of the alarms create."""
    text = (ROOT / "deploy" / "monitoring" / "cloudwatch" / "alarms.yaml").read_text(encoding="utf-8")
    return set(re.findall(r"MetricName: (\w+)\n\s+MetricValue:", text))


@rule(put("FailureQuery.QueryString", "filter `error.kind` = 1"), remove("JobQuery"), remove("HookQuery.LogGroupNames"),
      put("SlowQuery.LogGroupNames", ["${HookLogGroup}"]))
def queries_have_existing_fields(stack):
    schema = json.loads((ROOT / "docs" / "log.schema.json").read_text(encoding="utf-8"))
    queries = dict(stack.of_type("AWS::Logs::QueryDefinition"))
    if len(queries) < 5:
        yield "a stored query is missing"
    for name, each in queries.items():
        if listed(each["LogGroupNames"]) != ["${HookLogGroup}" if name == "HookQuery" else "${WorkerLogGroup}"]:
            yield f"{name}: another log group"
        for field in set(re.findall(r"`([^`]+)`", each["QueryString"])) - set(schema["properties"]):
            yield f"{name}: docs/log.schema.json has no field {field}"
