"""Rules for the service: workers, deployments, hook and autoscaling."""

import re

from .. import template
from ..documents import NAMES
from ..template import put, remove
from . import rule

OBSERVED = "${{import:videoframes-{}-WorkerLogGroup}}"
# Variables whose absence would make the worker fail, or use its default, which is wrong on ECS.
VARIABLES = {
    "AWS_REGION": template.REGION,
    "DATABASE_URL": "postgres://vf_worker@${{import:{0}-DatabaseAddress}}:5432/${{import:{0}-DatabaseName}}",
    "VF_DATABASE_AUTH": "iam",
    "VF_DATABASE_TLS": "verify-full",
    "VF_DATABASE_TLS_CA_FILE": "/scratch/settings/database-ca.pem",
    "VF_MIGRATE": "off",
    "VF_REVISION": "ecs",
    "VF_STORAGE": "s3://${{import:{0}-ResultsBucket}}",
    "VF_SOURCES": "${{import:{0}-UploadsBucket}}",
    "VF_S3_ENCRYPTION": "bucket",
    "VF_INPUT_QUEUE": "sqs:${{import:{0}-InputQueueName}}",
    "VF_NOTIFIER_QUEUE": "sqs:${{import:{0}-NotifierQueueName}}",
    "VF_DEAD_LETTER_QUEUE": "sqs:${{import:{0}-DeadLetterQueueName}}",
    "VF_RULES": "/scratch/settings/rules.json",
    "VF_CONCURRENCY": "2",
    "VF_SCRATCH": "/scratch/work",
    "VF_SCRATCH_QUOTA": "80GiB",
    "VF_GRACE": "110s",
    "VF_METRICS": "emf",
    "VF_LOG_FORMAT": "json",
}
# The commands of each stage, as deploy/aws/README.md describes.
STAGES = ["PRE_SCALE_UP", "POST_SCALE_UP", "PRODUCTION_TRAFFIC_SHIFT"]


def prefix(stack):
    return f"videoframes-{stack.environment}"


def properties(stack, name):
    return stack.resources[name]["Properties"]


def containers(stack):
    return {each["Name"]: each for each in properties(stack, "TaskDefinition")["ContainerDefinitions"]}


def gibibytes(text):
    return int(re.fullmatch(r"(\d+)GiB", text).group(1))


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text).group(1))


@rule(remove("TaskDefinition.ContainerDefinitions.1.ReadonlyRootFilesystem"),
      put("TaskDefinition.ContainerDefinitions.0.ReadonlyRootFilesystem", False),
      put("TaskDefinition.ContainerDefinitions.1.User", "0"), remove("TaskDefinition.ContainerDefinitions.0.User"),
      put("TaskDefinition.ContainerDefinitions.1.LinuxParameters.Capabilities.Drop", ["NET_RAW"]),
      put("TaskDefinition.ContainerDefinitions.1.Privileged", True),
      put("Service.EnableExecuteCommand", True), remove("Service.EnableExecuteCommand"),
      remove("TaskDefinition.ContainerDefinitions.1.LinuxParameters.InitProcessEnabled"))
def containers_have_no_privileges(stack):
    for name, each in containers(stack).items():
        if each["ReadonlyRootFilesystem"] is not True or each["User"] != "10001:10001" or each.get("Privileged"):
            yield f"{name}: the container has a writable root, or is not the user 10001"
        if each["LinuxParameters"]["Capabilities"] != {"Drop": ["ALL"]}:
            yield f"{name}: the container has capabilities"
        # ffmpeg processes that lose their parent need a process that collects them.
        if each["LinuxParameters"]["InitProcessEnabled"] is not True:
            yield f"{name}: the container has no init process"
    if properties(stack, "Service")["EnableExecuteCommand"] is not False:
        yield "Service: commands can be executed in tasks"


@rule(put("TaskDefinition.ContainerDefinitions.1.Image", "debian:latest"),
      remove("TaskDefinition.ContainerDefinitions.0.Image"))
def images_are_named_by_digest(stack):
    for name, each in containers(stack).items():
        if not re.fullmatch(r"\d{12}\.dkr\.ecr\.[^/]+/videoframes-\w+@sha256:[0-9a-f]{64}", each["Image"]):
            yield f"{name}: the image has no digest"


@rule(put("TaskDefinition.ContainerDefinitions.1.StopTimeout", 100),
      remove("TaskDefinition.ContainerDefinitions.1.StopTimeout"),
      put("TaskDefinition.ContainerDefinitions.1.StopTimeout", 121))
def the_worker_has_time_to_release_its_jobs(stack):
    worker = containers(stack)["worker"]
    grace = seconds(variables(worker)["VF_GRACE"])
    # Fargate waits at most 120 s.
    if not grace + 10 <= worker["StopTimeout"] <= 120:
        yield f"worker: StopTimeout {worker['StopTimeout']} does not fit VF_GRACE {grace} s"


@rule(put("TaskDefinition.EphemeralStorage.SizeInGiB", "85"), remove("TaskDefinition.EphemeralStorage"))
def the_scratch_quota_fits_into_the_storage(stack):
    quota = gibibytes(variables(containers(stack)["worker"])["VF_SCRATCH_QUOTA"])
    if quota + 10 > int(properties(stack, "TaskDefinition")["EphemeralStorage"]["SizeInGiB"]):
        yield f"the quota of {quota} GiB leaves no space for the image"


def variables(container):
    return {each["Name"]: each["Value"] for each in container["Environment"]}


@rule(put("TaskDefinition.ContainerDefinitions.1.Environment.+", {"Name": "VF_LEASE", "Value": "1s"}),
      put("TaskDefinition.ContainerDefinitions.1.Environment.3.Value", "require"),
      remove("TaskDefinition.ContainerDefinitions.1.Environment.6"),
      put("TaskDefinition.ContainerDefinitions.1.Environment.+", {"Name": "DATABASE_PASSWORD", "Value": "secret"}))
def the_worker_has_these_variables_and_no_secret(stack):
    found = variables(containers(stack)["worker"])
    expected = {name: value.format(prefix(stack)) for name, value in VARIABLES.items()}
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            yield f"worker: {name} is {found.get(name)}, not {expected.get(name)}"
    if variables(containers(stack)["prepare"]) != {"RULES": "[]"}:
        yield "prepare: other variables than RULES"


@rule(put("TaskDefinition.ContainerDefinitions.1.Command", ["run"]),
      put("TaskDefinition.ContainerDefinitions.1.DependsOn.0.Condition", "START"),
      remove("TaskDefinition.ContainerDefinitions.1.DependsOn"),
      put("TaskDefinition.ContainerDefinitions.0.Essential", True),
      put("TaskDefinition.ContainerDefinitions.1.Essential", False),
      remove("TaskDefinition.ContainerDefinitions.0.Secrets"),
      put("TaskDefinition.ContainerDefinitions.1.MountPoints.0.ContainerPath", "/tmp"),
      remove("TaskDefinition.ContainerDefinitions.1.HealthCheck"),
      put("TaskDefinition.ContainerDefinitions.1.HealthCheck.Command", ["CMD", "true"]))
def a_task_prepares_settings_and_then_waits_for_its_activation(stack):
    found = containers(stack)
    prepare, worker = found["prepare"], found["worker"]
    script = prepare["Command"][0]
    if prepare["EntryPoint"] != ["/bin/sh", "-euc"] or len(prepare["Command"]) != 1 or any(
            f">{path}\n" not in script for path in ("/scratch/settings/database-ca.pem", "/scratch/settings/rules.json")):
        yield "prepare: the command does not write the settings"
    if not re.fullmatch(r"arn:aws:secretsmanager:.+:secret:.+", prepare["Secrets"][0]["ValueFrom"]) \
            or prepare["Secrets"][0]["Name"] != "DATABASE_CA":
        yield "prepare: the certificates do not come from a secret"
    if worker["DependsOn"] != [{"ContainerName": "prepare", "Condition": "SUCCESS"}] or prepare["Essential"] is not False \
            or worker["Essential"] is not True:
        yield "worker: does not start after prepare"
    if worker["Command"] != ["run", "--standby"]:
        yield "worker: a new revision receives jobs at once"
    for name, each in found.items():
        if each["MountPoints"] != [{"SourceVolume": "scratch", "ContainerPath": "/scratch", "ReadOnly": False}]:
            yield f"{name}: the scratch folder is not the volume"
    check = worker["HealthCheck"]
    if check["Command"] != ["CMD", "vf-worker", "health"] or not 30 <= check["StartPeriod"] <= 300 \
            or check["Interval"] * check["Retries"] > 120 or check["Timeout"] >= check["Interval"]:
        yield "worker: the health check does not find a blocked worker within 2 minutes"


@rule(put("TaskDefinition.NetworkMode", "bridge"), remove("TaskDefinition.RequiresCompatibilities"),
      put("TaskDefinition.Memory", "1024"), remove("TaskDefinition.RuntimePlatform"),
      put("TaskDefinition.TaskRoleArn", "${OwnerRole.Arn}"), put("TaskDefinition.ExecutionRoleArn", "${WorkerRole.Arn}"),
      remove("TaskDefinition:UpdateReplacePolicy"), remove("TaskDefinition:DeletionPolicy"),
      put("TaskDefinition.Volumes", [{"Name": "scratch", "EFSVolumeConfiguration": {"FilesystemId": "fs-1"}}]))
def the_task_definition_is_for_fargate(stack):
    found = properties(stack, "TaskDefinition")
    if found["RequiresCompatibilities"] != ["FARGATE"] or found["NetworkMode"] != "awsvpc" \
            or found["Volumes"] != [{"Name": "scratch"}] or found["Family"] != prefix(stack):
        yield "TaskDefinition: not for Fargate"
    if found["RuntimePlatform"]["OperatingSystemFamily"] != "LINUX" \
            or found["RuntimePlatform"]["CpuArchitecture"] not in ("X86_64", "ARM64"):
        yield "TaskDefinition: another platform than that of the image"
    # Fargate has 2 to 8 GiB per vCPU.
    if not 2 <= int(found["Memory"]) / int(found["Cpu"]) <= 8:
        yield "TaskDefinition: Fargate does not have this combination of Cpu and Memory"
    if (found["TaskRoleArn"], found["ExecutionRoleArn"]) != ("${WorkerRole.Arn}", "${ExecutionRole.Arn}"):
        yield "TaskDefinition: other roles than those of the worker and of ECS"
    if {stack.resources["TaskDefinition"].get(key) for key in ("DeletionPolicy", "UpdateReplacePolicy")} != {"Retain"}:
        yield "TaskDefinition: a rollback needs the definition of the previous revision"


@rule(remove("TaskDefinition.ContainerDefinitions.1.LogConfiguration"),
      put("TaskDefinition.ContainerDefinitions.0.LogConfiguration.Options.mode", "blocking"),
      put("TaskDefinition.ContainerDefinitions.1.LogConfiguration.Options.awslogs-group", "other"))
def logs_go_to_the_encrypted_group_and_never_block(stack):
    expected = {"awslogs-group": OBSERVED.format(stack.environment), "awslogs-region": template.REGION,
                "awslogs-stream-prefix": "worker", "mode": "non-blocking", "max-buffer-size": "25m"}
    for name, each in containers(stack).items():
        if each["LogConfiguration"] != {"LogDriver": "awslogs", "Options": expected}:
            yield f"{name}: other logs"


@rule(put("Service.DeploymentConfiguration.Strategy", "ROLLING"),
      remove("Service.DeploymentConfiguration.BakeTimeInMinutes"),
      put("Service.DeploymentConfiguration.Alarms.Rollback", False),
      put("Service.DeploymentConfiguration.Alarms.Enable", False),
      remove("Service.DeploymentConfiguration.Alarms"),
      remove("Service.DeploymentConfiguration.Alarms.AlarmNames.0"),
      put("Service.DeploymentConfiguration.Alarms.AlarmNames.0", "videoframes-production-Other"),
      put("Service.DeploymentConfiguration.DeploymentCircuitBreaker.Rollback", False),
      put("Service.DeploymentConfiguration.MinimumHealthyPercent", 50),
      remove("Service.DeploymentConfiguration.LifecycleHooks"),
      remove("Service.DeploymentConfiguration.LifecycleHooks.0.LifecycleStages.0"),
      put("Service.DeploymentConfiguration.LifecycleHooks.0.RoleArn", "${HookRole.Arn}"),
      put("Service.DeploymentController.Type", "EXTERNAL"))
def a_bad_revision_is_rolled_back(stack):
    service = properties(stack, "Service")
    found = service["DeploymentConfiguration"]
    if service["DeploymentController"] != {"Type": "ECS"} or found["Strategy"] != "BLUE_GREEN" \
            or int(found["BakeTimeInMinutes"]) < 5:
        yield "Service: not a blue/green deployment with a bake time"
    if (found["MinimumHealthyPercent"], found["MaximumPercent"]) != (100, 200):
        yield "Service: two revisions cannot run side by side"
    if found["DeploymentCircuitBreaker"] != {"Enable": True, "Rollback": True}:
        yield "Service: tasks that never become healthy do not end a deployment"
    alarms = found["Alarms"]
    if not (alarms["Enable"] is alarms["Rollback"] is True) or len(alarms["AlarmNames"]) != 4:
        yield "Service: an alarm does not roll back"
    known = set(template.alarms())
    for name in alarms["AlarmNames"]:
        if not name.startswith(f"{prefix(stack)}-") or name.removeprefix(f"{prefix(stack)}-") not in known:
            yield f"Service: no alarm {name} in deploy/monitoring"
    hook = {"HookTargetArn": "${Hook.Arn}", "RoleArn": "${HookInvokerRole.Arn}", "LifecycleStages": STAGES}
    if found["LifecycleHooks"] != [hook]:
        yield "Service: the hook does not run in all of its stages"


@rule(put("Service.DesiredCount", 2), put("Service.LaunchType", "EC2"),
      put("Service.NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp", "ENABLED"),
      put("Service.NetworkConfiguration.AwsvpcConfiguration.SecurityGroups", ["${import:other}"]),
      remove("Service.NetworkConfiguration"), put("Service.TaskDefinition", "other"), remove("Service.Cluster"))
def the_service_runs_in_the_subnets_of_the_workers(stack):
    service = properties(stack, "Service")
    # An update of the stack would undo the autoscaling.
    if "DesiredCount" in service:
        yield "Service: DesiredCount is set"
    if service["ServiceName"] != prefix(stack) or service["LaunchType"] != "FARGATE" \
            or service["PlatformVersion"] != "1.4.0" or service["Cluster"] != "${Cluster}" or service["TaskDefinition"] != "${TaskDefinition}":
        yield "Service: not the task definition of the stack on Fargate"
    if service["NetworkConfiguration"]["AwsvpcConfiguration"] != {
            "AssignPublicIp": "DISABLED", "Subnets": [f"${{import:{prefix(stack)}-WorkerSubnets}}"],
            "SecurityGroups": [f"${{import:{prefix(stack)}-WorkerSecurityGroup}}"]}:
        yield "Service: other subnets or security groups than those of the workers"


@rule(remove("Cluster.ClusterSettings"), put("Cluster.ClusterSettings.0.Value", "disabled"),
      remove("Cluster.Configuration"),
      put("Cluster.Configuration.ExecuteCommandConfiguration.Logging", "NONE"))
def the_cluster_reports_its_tasks_and_records_commands(stack):
    found = properties(stack, "Cluster")
    if found["ClusterSettings"] != [{"Name": "containerInsights", "Value": "enabled"}]:
        yield "Cluster: without Container Insights the autoscaling has no number of tasks"
    if found["Configuration"]["ExecuteCommandConfiguration"] != {
            "KmsKeyId": f"${{import:{prefix(stack)}-KeyArn}}", "Logging": "OVERRIDE",
            "LogConfiguration": {"CloudWatchLogGroupName": OBSERVED.format(stack.environment),
                                 "CloudWatchEncryptionEnabled": True}}:
        yield "Cluster: executed commands are not recorded"


@rule(put("Scaling.MinCapacity", "0"), put("ScalingPolicy.PolicyType", "StepScaling"),
      put("ScalingPolicy.TargetTrackingScalingPolicyConfiguration.TargetValue", "0"),
      put("ScalingPolicy.TargetTrackingScalingPolicyConfiguration.DisableScaleIn", True),
      put("ScalingPolicy.TargetTrackingScalingPolicyConfiguration.ScaleInCooldown", "30"),
      put("ScalingPolicy.TargetTrackingScalingPolicyConfiguration.ScaleOutCooldown", "60"),
      remove("ScalingPolicy.TargetTrackingScalingPolicyConfiguration.ScaleOutCooldown"),
      remove("ScalingPolicy.TargetTrackingScalingPolicyConfiguration.CustomizedMetricSpecification.Metrics.2"),
      put("ScalingPolicy.TargetTrackingScalingPolicyConfiguration.CustomizedMetricSpecification.Metrics.0.Expression",
          "visible / tasks"),
      put("ScalingPolicy.TargetTrackingScalingPolicyConfiguration.CustomizedMetricSpecification.Metrics.3.MetricStat."
          "Metric.MetricName", "RunningTaskCount"),
      remove("ScalingPolicy"), remove("Scaling.ResourceId"), remove("ScalingPolicy.ScalingTargetId"))
def the_number_of_tasks_follows_the_backlog_per_task(stack):
    scaling, policy = properties(stack, "Scaling"), properties(stack, "ScalingPolicy")
    if (scaling["ServiceNamespace"], scaling["ScalableDimension"], scaling["ResourceId"]) != (
            "ecs", "ecs:service:DesiredCount", "service/${Cluster}/${Service.Name}"):
        yield "Scaling: not the number of tasks of the service"
    if not 2 <= int(scaling["MinCapacity"]) <= int(scaling["MaxCapacity"]):
        yield "Scaling: fewer than two tasks do not survive the loss of a zone"
    terms = policy["TargetTrackingScalingPolicyConfiguration"]
    if policy["PolicyType"] != "TargetTrackingScaling" or policy["ScalingTargetId"] != "${Scaling}" \
            or terms["DisableScaleIn"] is not False or float(terms["TargetValue"]) <= 0 \
            or int(terms["ScaleOutCooldown"]) < 180 or int(terms["ScaleInCooldown"]) < 300:
        yield "ScalingPolicy: the terms are not those of deploy/autoscaling.md"
    metrics = {each["Id"]: each for each in terms["CustomizedMetricSpecification"]["Metrics"]}
    if metrics["backlog"]["Expression"] != "(visible + inflight) / IF(tasks > 0, tasks, 1)" \
            or [name for name, each in metrics.items() if each["ReturnData"]] != ["backlog"]:
        yield "ScalingPolicy: the metric is not the backlog per task"
    queue = [{"Name": "QueueName", "Value": f"${{import:{prefix(stack)}-InputQueueName}}"}]
    service = [{"Name": "ClusterName", "Value": "${Cluster}"}, {"Name": "ServiceName", "Value": "${Service.Name}"}]
    for name, expected in {
        "visible": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", queue, "Maximum"),
        "inflight": ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", queue, "Maximum"),
        "tasks": ("ECS/ContainerInsights", "DesiredTaskCount", service, "Average"),
    }.items():
        stat = metrics[name]["MetricStat"]
        metric = stat["Metric"]
        if (metric["Namespace"], metric["MetricName"], metric["Dimensions"], stat["Stat"]) != expected:
            yield f"ScalingPolicy: {name} is another metric"


@rule(put("Hook.Role", "${WorkerRole.Arn}"), remove("Hook.LoggingConfig"), put("Hook.Timeout", 3),
      put("Hook.Environment.Variables.CHECK", "fleet check --wait 10m"), remove("Hook.Environment"),
      put("Hook.Environment.Variables.OWNER_ROLE", "${WorkerRole.Arn}"), remove("Hook.Code.ZipFile"),
      put("Hook.Environment.Variables.OWNER_DATABASE_URL", "postgres://vf_owner:secret@host/videoframes"))
def the_hook_runs_the_commands_of_the_fleet(stack):
    found = properties(stack, "Hook")
    if found["Role"] != "${HookRole.Arn}" or found["Handler"] != "index.handler" or found["Timeout"] < 30 \
            or not found["Runtime"].startswith("python3.") or "def handler(" not in found["Code"]["ZipFile"]:
        yield "Hook: the function cannot run"
    if found["LoggingConfig"] != {"LogGroup": f"${{import:{prefix(stack)}-HookLogGroup}}", "LogFormat": "JSON"}:
        yield "Hook: the logs do not go to the encrypted group"
    names = found["Environment"]["Variables"]
    if not re.fullmatch(r"fleet canary REVISION --share \d+%", names["CANARY"]) \
            or not re.fullmatch(r"fleet check REVISION --workers 1 --jobs \d+ --max-faults 0 --wait \d+m", names["CHECK"]):
        yield "Hook: the commands are not those of `vf-worker fleet`"
    url = f"postgres://vf_owner@${{import:{prefix(stack)}-DatabaseAddress}}:5432/${{import:{prefix(stack)}-DatabaseName}}"
    if names["OWNER_ROLE"] != "${OwnerRole.Arn}" or names["OWNER_DATABASE_URL"] != url:
        yield "Hook: migrations do not run as the owner of the tables"


@rule(put("WorkerRole.ManagedPolicyArns", ["arn:aws:iam::aws:policy/AdministratorAccess"]),
      put("HookRole.RoleName", "videoframes-production-other"))
def roles_have_their_names_and_no_managed_policies(stack):
    for name, each in stack.of_type("AWS::IAM::Role"):
        # Policies of the pipeline name the roles.
        if each["RoleName"] not in {NAMES[word].format(environment=stack.environment) for word in NAMES if "ROLE" in word}:
            yield f"{name}: docs/iam has no role {each['RoleName']}"
        if "ManagedPolicyArns" in each:
            yield f"{name}: has managed policies"
