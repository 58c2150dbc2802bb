"""The workload of each policy in docs/iam, for scripts/iam-check.

Commands of vf-worker and scripts run as in a deployment. AWS itself uses some roles; their workloads send the requests
that the documentation of the service lists.
"""

import json
import os
import signal
import subprocess
import sys
import time

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from iam_policy import ROOT

REGION, ACCOUNT = "us-east-1", "123456789012"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/vf-key"
NAMES = {
    "REGION": REGION,
    "ACCOUNT": ACCOUNT,
    "REPLICA-REGION": "us-west-2",
    "FRAMES": "vf-frames",
    "VIDEOS": "vf-videos",
    "FRAMES-REPLICA": "vf-frames-replica",
    "INPUT": "vf-input",
    "NOTIFIER": "vf-notifier",
    "DEAD-LETTERS": "vf-dead-letters",
    "KEY": "vf-key",
    "REPLICA-KEY": "vf-replica-key",
    "DATABASE": "db-1",
    "USER": "videoframes",
    "OWNER": "vf_owner",
    "SUBNETS": "vf-subnets",
    "PARAMETERS": "vf-parameters",
    "CLUSTER": "vf-cluster",
    "SERVICE": "vf-service",
    "FAMILY": "vf-family",
    "TASK-ROLE": "vf-task",
    "OWNER-ROLE": "vf-owner",
    "EXECUTION-ROLE": "vf-execution",
    "HOOK-ROLE": "vf-hook-role",
    "HOOK-INVOKER-ROLE": "vf-invoker",
    "CLOUDFORMATION-ROLE": "vf-cloudformation",
    "HOOK": "vf-hook",
    "HOOK-LOGS": "vf-hook-logs",
    "LOGS": "vf-logs",
    "ALARMS": "vf-alarms",
    "REPOSITORY": "vf-repository",
    "SECRET": "vf-secret-a1b2c3",
    "STACK": "vf-service-stack",
    "STACKS": "vf-service-stack",
    "TRAIL-LOGS": "vf-trail-logs",
    "FLOW-LOGS": "vf-flow-logs",
}
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{NAMES['SECRET']}"
SNAPSHOT = "awsbackup:job-1"
# A digest and an ID of the lengths that the APIs require.
DIGEST = "sha256:" + "0" * 64
UPLOAD = "0" * 36
STACK_TEMPLATE = json.dumps({
    "Parameters": {"Seconds": {"Type": "String"}},
    "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": {"Ref": "Seconds"}}}},
})


def role(name):
    return f"arn:aws:iam::{ACCOUNT}:role/{NAMES[name]}"


TASK_DEFINITION = {
    "family": NAMES["FAMILY"],
    "taskRoleArn": role("TASK-ROLE"),
    "executionRoleArn": role("EXECUTION-ROLE"),
    "containerDefinitions": [{"name": "worker", "image": "worker", "memory": 512}],
}
# Maximum time of each step, in seconds.
PATIENCE = 60


class Failed(Exception):
    """The workload failed."""


class Run:
    """One run of the workload of a policy, in a new account."""

    names = {name: NAMES[name] for name in ("FRAMES", "VIDEOS")}
    retention = "2s"
    queues = {name: NAMES[name] for name in ("INPUT", "NOTIFIER", "DEAD-LETTERS")}

    def __init__(self, server, worker, folder, policy):
        self.server, self.worker, self.folder = server, worker, folder
        server.guard(False)
        server.post("/moto-api/reset")
        self.seen = len(server.requests())
        self.credentials = server.assume(policy)
        self.s3, self.sqs = server.client("s3"), server.client("sqs")

    def environment(self, credentials):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "VF_"))}
        queues = self.queues
        return kept | {
            "AWS_ENDPOINT_URL": self.server.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
            "SSL_CERT_FILE": self.server.ca,
            "AWS_CA_BUNDLE": self.server.ca,
            "DATABASE_URL": f"sqlite:{self.folder}/videoframes.sqlite",
            "VF_SCRATCH": f"{self.folder}/scratch",
            "VF_STORAGE": f"s3://{self.names['FRAMES']}",
            "VF_SOURCES": self.names["VIDEOS"],
            "VF_INPUT_QUEUE": f"sqs:{queues['INPUT']}",
            "VF_NOTIFIER_QUEUE": f"sqs:{queues['NOTIFIER']}",
            "VF_DEAD_LETTER_QUEUE": f"sqs:{queues['DEAD-LETTERS']}",
            "VF_HEARTBEAT": "50ms",
            "VF_SWEEP_INTERVAL": "1s",
            "VF_RELAY_INTERVAL": "200ms",
            "VF_RETENTION": self.retention,
            "VF_OPS_LISTEN": "off",
            "VF_ORPHAN_AGE": "2s",
        }

    def vf(self, *arguments):
        return self.execute([self.worker, *arguments])

    def script(self, name, *arguments):
        return self.execute([sys.executable, ROOT / "scripts" / name, *arguments])

    def execute(self, command):
        environment = self.environment(self.credentials)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode != 0:
            raise Failed(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
        return done.stdout

    def requests(self):
        return self.server.requests()[self.seen :]

    def denied(self):
        refused = [each for each in self.requests() if each["outcome"] == "denied"]
        return sorted({(each["action"], each["resource"]) for each in refused})

    def make(self):
        """Creates buckets and queues with a key, as an administrator does."""
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}}
        for bucket in self.names.values():
            self.s3.create_bucket(Bucket=bucket)
            self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
            self.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
        key = {"KmsMasterKeyId": KEY}
        return {
            kind: self.sqs.create_queue(QueueName=name, Attributes=key)["QueueUrl"] for kind, name in self.queues.items()
        }

    def client(self, service):
        """Returns a client with the permissions of the policy."""
        return self.server.client(service, self.credentials)

    def send(self, service, method, /, **parameters):
        """Sends a request that AWS or an administrator sends. The server enforces policies for all requests, but does not
        implement all of them, so only a refusal is a failure."""
        try:
            getattr(self.client(service), method)(**parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException"):
                raise Failed(f"{service} {method}: {error}") from error
        except ResponseParserError:
            pass

    def make_tasks(self):
        """Creates cluster, task definition and repository."""
        ecs = self.server.client("ecs")
        ecs.create_cluster(clusterName=NAMES["CLUSTER"])
        ecs.register_task_definition(**TASK_DEFINITION)

    def run_task(self, **changes):
        options = {"cluster": NAMES["CLUSTER"], "taskDefinition": NAMES["FAMILY"], "launchType": "FARGATE", **changes}
        self.send("ecs", "run_task", **options)

    def provisioner(self):
        self.server.guard(True)
        self.vf("provision", "--events", f"{self.names['VIDEOS']}/*.mp4")

    def submitter(self):
        """Runs a client that does not use vf-worker."""
        self.make()
        s3, sqs = self.client("s3"), self.client("sqs")
        self.server.guard(True)
        bucket = self.names["VIDEOS"]
        s3.put_object(Bucket=bucket, Key="a.mp4", Body=b"video")
        # The client aborts a failed upload.
        upload = s3.create_multipart_upload(Bucket=bucket, Key="b.mp4")["UploadId"]
        s3.upload_part(Bucket=bucket, Key="b.mp4", UploadId=upload, PartNumber=1, Body=b"video")
        s3.abort_multipart_upload(Bucket=bucket, Key="b.mp4", UploadId=upload)
        url = sqs.get_queue_url(QueueName=self.queues["INPUT"])["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="{}")

    def operator(self):
        urls = self.make()
        for body in "ab":
            self.sqs.send_message(QueueUrl=urls["DEAD-LETTERS"], MessageBody=body)
        self.vf("migrate", "up")
        self.server.guard(True)
        self.vf("stats")
        letters = json.loads(self.vf("dlq", "list", "--json"))
        self.vf("dlq", "show", letters[0]["id"])
        self.vf("dlq", "redrive", letters[0]["id"])
        self.vf("dlq", "purge", "--yes")

    def restorer(self):
        """Restores a deleted and a replaced object."""
        self.make()
        frames = self.names["FRAMES"]
        for key in ("deleted", "replaced"):
            self.s3.put_object(Bucket=frames, Key=f"results/{key}", Body=b"first")
        time.sleep(1.1)
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        time.sleep(1.1)
        self.s3.delete_object(Bucket=frames, Key="results/deleted")
        # An object of the same size is compared with the version.
        self.s3.put_object(Bucket=frames, Key="results/replaced", Body=b"later")
        self.server.guard(True)
        self.vf("restore-objects", "results/", "--at", moment)

    def reconcile(self):
        """Completes a job, and loses the database."""
        self.make()
        self.retention = "1h"
        self.vf("submit", str(self.server.folder / "clip.mp4"), "--fps", "1")
        self.vf("run", "--until-idle")
        for file in self.folder.glob("videoframes.sqlite*"):
            file.unlink()
        self.server.guard(True)
        report = json.loads(self.vf("reconcile", "--json"))
        if len(report["rebuilt"]) != 1:
            raise Failed(f"no row was rebuilt: {report}")

    def worker_(self):
        """Runs jobs by message and by submission, an invalid message and an orphaned upload, until all are handled."""
        urls = self.make()
        frames, videos = self.names["FRAMES"], self.names["VIDEOS"]
        clip = (self.server.folder / "clip.mp4").read_bytes()
        version = self.s3.put_object(Bucket=videos, Key="a.mp4", Body=clip)["VersionId"]
        latest = {"version": 1, "source": {"bucket": videos, "key": "a.mp4"}, "selection": {"fps": 2}}
        that = {"version": 1, "source": {"bucket": videos, "key": "a.mp4", "version": version}}
        for body in (json.dumps(latest), json.dumps(that), "not JSON"):
            self.sqs.send_message(QueueUrl=urls["INPUT"], MessageBody=body)
        self.s3.create_multipart_upload(Bucket=frames, Key="results/gone/1.zip")
        self.server.guard(True)
        # The ECS agent requests the protection of a task with the permissions of the task.
        task = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{NAMES['CLUSTER']}/1"
        protection = {"cluster": NAMES["CLUSTER"], "tasks": [task], "protectionEnabled": True}
        self.send("ecs", "update_task_protection", **protection)
        self.vf("submit", str(self.server.folder / "clip.mp4"), "--fps", "1")
        with open(self.folder / "log", "w") as log:
            environment = self.environment(self.credentials)
            running = subprocess.Popen([self.worker, "run"], env=environment, stdout=log, stderr=log)
        try:
            since = time.monotonic()
            while not self.denied() and not self.is_tidy():
                if running.poll() is not None or time.monotonic() - since > PATIENCE:
                    raise Failed(f"the worker does not finish: {(self.folder / 'log').read_text()[-3000:]}")
                time.sleep(0.3)
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(PATIENCE)

    def is_tidy(self):
        """Returns whether messages were sent and released, uploads aborted, and results deleted."""
        done = {(each["action"], each["resource"].rsplit("/", 1)[0]) for each in self.requests()}
        actions = [action for action, _ in done]
        removed = [resource for action, resource in done if action == "s3:DeleteObject"]
        sent = [resource.rsplit(":", 1)[-1] for action, resource in done if action == "sqs:SendMessage"]
        seen = {"s3:AbortMultipartUpload", "sqs:ChangeMessageVisibility"} <= set(actions)
        return seen and len(removed) >= 2 and set(self.queues.values()) <= set(sent)

    def execution(self):
        """Sends the requests of ECS for a new task."""
        self.server.client("secretsmanager").create_secret(Name=NAMES["SECRET"], SecretString="x", KmsKeyId=KEY)
        self.server.guard(True)
        repository = {"repositoryName": NAMES["REPOSITORY"]}
        self.send("ecr", "get_authorization_token")
        self.send("ecr", "batch_check_layer_availability", layerDigests=[DIGEST], **repository)
        self.send("ecr", "get_download_url_for_layer", layerDigest=DIGEST, **repository)
        self.send("ecr", "batch_get_image", imageIds=[{"imageTag": "1"}], **repository)
        self.write_log(NAMES["LOGS"])
        self.send("secretsmanager", "get_secret_value", SecretId=SECRET)

    def write_log(self, group):
        stream = {"logGroupName": group, "logStreamName": "1"}
        self.send("logs", "create_log_stream", **stream)
        self.send("logs", "put_log_events", logEvents=[{"timestamp": 1, "message": "{}"}], **stream)

    def hooks(self):
        """Sends the requests of the function that runs one-off tasks during a deployment."""
        self.make_tasks()
        self.server.guard(True)
        service = f"{NAMES['CLUSTER']}/{NAMES['SERVICE']}"
        deployment = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service-deployment/{service}/1"
        self.send("ecs", "describe_service_deployments", serviceDeploymentArns=[deployment])
        revision = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service-revision/{service}/1"
        self.send("ecs", "describe_service_revisions", serviceRevisionArns=[revision])
        self.run_task()
        self.run_task(overrides={"taskRoleArn": role("OWNER-ROLE")})
        self.send("ecs", "describe_tasks", cluster=NAMES["CLUSTER"], tasks=["1"])
        self.write_log(NAMES["HOOK-LOGS"])

    def owner(self):
        """Sends nothing: the only permission is to log in to the database."""

    def hook_invoker(self):
        self.server.guard(True)
        self.send("lambda", "invoke", FunctionName=NAMES["HOOK"], Payload=b"{}")

    def deploy(self):
        """Pushes an image as docker does, and runs scripts/deploy."""
        self.server.client("cloudformation").create_stack(
            StackName=NAMES["STACK"], TemplateBody=STACK_TEMPLATE, RoleARN=role("CLOUDFORMATION-ROLE"),
            Parameters=[{"ParameterKey": "Seconds", "ParameterValue": "1"}],
        )
        self.server.guard(True)
        repository = {"repositoryName": NAMES["REPOSITORY"]}
        self.send("ecr", "get_authorization_token")
        self.send("ecr", "batch_check_layer_availability", layerDigests=[DIGEST], **repository)
        self.send("ecr", "initiate_layer_upload", **repository)
        part = {"partFirstByte": 0, "partLastByte": 1, "layerPartBlob": b"ab"}
        self.send("ecr", "upload_layer_part", uploadId=UPLOAD, **part, **repository)
        self.send("ecr", "complete_layer_upload", uploadId=UPLOAD, layerDigests=[DIGEST], **repository)
        self.send("ecr", "batch_get_image", imageIds=[{"imageTag": "1"}], **repository)
        self.send("ecr", "put_image", imageManifest="{}", **repository)
        template = self.folder / "stack.json"
        template.write_text(STACK_TEMPLATE)
        common = [NAMES["STACK"], "--template", template, "--role", role("CLOUDFORMATION-ROLE"), "--interval", "0.1"]
        self.script("deploy", *common, "--parameter", "Seconds=2")
        self.script("deploy", *common, "--parameter", "Seconds=3", "--dry-run")
        # The server does not roll back; scripts/deploy then reads the events.
        self.send("cloudformation", "describe_stack_events", StackName=NAMES["STACK"])

    def smoke_test(self):
        """Sends the requests of scripts/smoke-test for a task of the service."""
        self.make()
        self.make_tasks()
        videos, frames = self.names["VIDEOS"], self.names["FRAMES"]
        self.s3.put_object(Bucket=frames, Key="smoke-test/1.zip", Body=b"archive")
        self.server.guard(True)
        s3 = self.client("s3")
        s3.put_object(Bucket=videos, Key="smoke-test/1.mp4", Body=b"video")
        upload = s3.create_multipart_upload(Bucket=videos, Key="smoke-test/2.mp4")["UploadId"]
        s3.upload_part(Bucket=videos, Key="smoke-test/2.mp4", UploadId=upload, PartNumber=1, Body=b"video")
        self.send("ecs", "describe_services", cluster=NAMES["CLUSTER"], services=[NAMES["SERVICE"]])
        self.run_task()
        self.send("ecs", "describe_tasks", cluster=NAMES["CLUSTER"], tasks=["1"])
        self.send("ecs", "stop_task", cluster=NAMES["CLUSTER"], task="1")
        s3.get_object(Bucket=frames, Key="smoke-test/1.zip")
        s3.delete_object(Bucket=frames, Key="smoke-test/1.zip")
        s3.delete_object(Bucket=videos, Key="smoke-test/1.mp4")

    def drift(self):
        """Sends the requests of scripts/drift."""
        self.server.guard(True)
        stack = {"StackName": NAMES["STACK"]}
        self.send("cloudformation", "describe_stacks", **stack)
        self.send("cloudformation", "detect_stack_drift", **stack)
        self.send("cloudformation", "describe_stack_drift_detection_status", StackDriftDetectionId=UPLOAD)
        self.send("cloudformation", "describe_stack_resource_drifts", **stack)

    def cloudformation(self):
        """Sends the requests of CloudFormation for an update of the service stack."""
        self.make_tasks()
        self.server.guard(True)
        definition = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{NAMES['FAMILY']}:1"
        cluster = NAMES["CLUSTER"]
        self.send("ecs", "register_task_definition", **TASK_DEFINITION)
        self.send("ecs", "tag_resource", resourceArn=definition, tags=[{"key": "a", "value": "b"}])
        self.send("ecs", "describe_task_definition", taskDefinition=definition)
        self.send("ecs", "deregister_task_definition", taskDefinition=definition)
        self.send("ecs", "describe_services", cluster=cluster, services=[NAMES["SERVICE"]])
        self.send("ecs", "update_service", cluster=cluster, service=NAMES["SERVICE"], taskDefinition=definition)
        service = f"{cluster}/{NAMES['SERVICE']}"
        deployment = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service-deployment/{service}/1"
        self.send("ecs", "list_service_deployments", cluster=cluster, service=NAMES["SERVICE"])
        self.send("ecs", "describe_service_deployments", serviceDeploymentArns=[deployment])
        hook = {"FunctionName": NAMES["HOOK"]}
        self.send("lambda", "get_function", **hook)
        self.send("lambda", "get_function_configuration", **hook)
        self.send("lambda", "update_function_code", ZipFile=b"zip", **hook)
        self.send("lambda", "update_function_configuration", Role=role("HOOK-ROLE"), **hook)
        target = {"ServiceNamespace": "ecs", "ResourceId": f"service/{service}", "ScalableDimension": "ecs:service:DesiredCount"}
        self.send("application-autoscaling", "register_scalable_target", MinCapacity=2, MaxCapacity=4, **target)
        self.send("application-autoscaling", "put_scaling_policy", PolicyName="backlog", **target)
        self.send("application-autoscaling", "describe_scalable_targets", ServiceNamespace="ecs")
        self.send("application-autoscaling", "describe_scaling_policies", ServiceNamespace="ecs")

    def trail(self):
        self.server.guard(True)
        self.write_log(NAMES["TRAIL-LOGS"])

    def flow_logs(self):
        self.server.guard(True)
        self.write_log(NAMES["FLOW-LOGS"])
        self.send("logs", "describe_log_streams", logGroupName=NAMES["FLOW-LOGS"])

    def restore_test(self):
        """Sends the requests of a restore test of AWS Backup."""
        self.server.guard(True)
        snapshot = {"DBSnapshotIdentifier": SNAPSHOT}
        instance = {"DBInstanceIdentifier": "awsbackup-restore-test-1"}
        network = {"DBSubnetGroupName": NAMES["SUBNETS"], "DBParameterGroupName": NAMES["PARAMETERS"]}
        self.send("rds", "describe_db_snapshots", **snapshot)
        self.send("rds", "list_tags_for_resource", ResourceName=f"arn:aws:rds:{REGION}:{ACCOUNT}:snapshot:{SNAPSHOT}")
        self.send("rds", "restore_db_instance_from_db_snapshot", **snapshot, **instance, **network)
        restored = f"arn:aws:rds:{REGION}:{ACCOUNT}:db:awsbackup-restore-test-1"
        self.send("rds", "add_tags_to_resource", ResourceName=restored, Tags=[{"Key": "a", "Value": "b"}])
        self.send("rds", "describe_db_instances", **instance)
        self.send("rds", "delete_db_instance", SkipFinalSnapshot=True, **instance)
        self.send("kms", "describe_key", KeyId=KEY)

    def replication(self):
        """Sends nothing: S3 replicates without requests."""
