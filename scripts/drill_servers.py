"""The servers of the drills on loopback: Postgres, an S3 store and an SQS. Needs boto3."""

import json
import os
import signal
import tempfile
import threading
from pathlib import Path

import boto3
from botocore.config import Config

from drill import run, wait

BUCKET = "vf-frames"


class Database:
    """A Postgres. `ended` receives the command that stops it."""

    def __init__(self, ended):
        # The path of a socket must be short.
        self.folder = tempfile.mkdtemp(prefix="vf-drill.", dir="/tmp")
        self.address = run("scripts/postgres", "start", self.folder)
        ended.append(("scripts/postgres", "stop", self.folder))

    def query(self, statement):
        return run("scripts/postgres", "query", self.folder, statement)

    def rows(self):
        return json.loads(self.query("SELECT coalesce(json_agg(row_to_json(j)), '[]') FROM video_jobs j"))

    def kill(self):
        process = int(Path(self.folder, "data", "postmaster.pid").read_text(encoding="utf-8").split()[0])
        os.kill(process, signal.SIGQUIT)
        wait("Postgres has ended", lambda: not Path(f"/proc/{process}").exists())

    def restart(self):
        run("scripts/postgres", "restart", self.folder)


class Servers:
    """An S3 store and an SQS. `ended` receives the commands that stop them."""

    def __init__(self, folder, ended):
        self.s3, self.sqs = (self.start(script, folder, ended) for script in ("seaweedfs", "ministack"))

    def start(self, script, folder, ended):
        address = run(f"scripts/{script}", "start", f"{folder}/{script}")
        ended.append((f"scripts/{script}", "stop", f"{folder}/{script}"))
        return address

    def client(self, service):
        """Returns a client of `s3` or `sqs`."""
        return boto3.client(service, endpoint_url=getattr(self, service), region_name="us-east-1", aws_access_key_id="videoframes",
                            aws_secret_access_key="videoframes-secret", config=Config(s3={"addressing_style": "path"}))


def is_empty(sqs, queue):
    """Returns whether a queue has no messages, visible or not."""
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
    return not any(int(count) for count in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values())


class Notifications:
    """Receives all notifications from the beginning."""

    def __init__(self, sqs):
        self.events = []
        self.sqs, self.queue = sqs, sqs.get_queue_url(QueueName="vf-notifier")["QueueUrl"]
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.receive, daemon=True)
        self.thread.start()

    def stop(self):
        self.stopped.set()
        self.thread.join()

    def receive(self):
        while not self.stopped.is_set():
            answer = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                self.events.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
