"""The part of the API of ECS that the deployment hook uses, on loopback. Tasks are processes of a given program.

Requests are validated against the model of botocore, so that a request that AWS would refuse fails here too. Emulators
have no service deployments: ministack answers with empty lists, and moto does not have the actions.
"""

import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.session
from botocore.validate import ParamValidator

ARN = "arn:aws:ecs:eu-central-1:123456789012"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"}}


class Refused(Exception):
    """An error of the API, with its code."""


class EcsServer:
    """Serves one deployment from the revision `blue` to the revision `green`, or a first one without `blue`."""

    def __init__(self, program, deployment):
        self.program, self.deployment = program, deployment
        self.model = botocore.session.get_session().get_service_model("ecs")
        # Started tasks in order, tasks by token, and the number of starts that fail for lack of capacity.
        self.tasks, self.tokens, self.refusals = [], {}, 0
        # Revision of the task definition of each service revision.
        self.definitions = {"blue": 6, "green": 7}
        self.actions = set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                server.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        for task in self.tasks:
            task["process"].kill()
            task["process"].wait()

    def answer(self, request):
        action = request.headers["X-Amz-Target"].rpartition(".")[2]
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        self.actions.add(f"ecs:{action}")
        status, result = 200, None
        try:
            report = ParamValidator().validate(body, self.model.operation_model(action).input_shape)
            if report.has_errors():
                raise Refused("InvalidParameterException", report.generate_report())
            result = getattr(self, action)(**body)
        except Refused as error:
            status, result = 400, {"__type": error.args[0], "message": error.args[1]}
        data = json.dumps(result).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/x-amz-json-1.1")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def DescribeServiceDeployments(self, serviceDeploymentArns):
        if serviceDeploymentArns != [self.deployment["serviceDeploymentArn"]]:
            raise Refused("ServiceDeploymentNotFoundException", "no such deployment")
        return {"serviceDeployments": [self.deployment], "failures": []}

    def DescribeServiceRevisions(self, serviceRevisionArns):
        known = {each["arn"]: name for name, each in (
            ("blue", (self.deployment["sourceServiceRevisions"] or [{"arn": None}])[0]),
            ("green", self.deployment["targetServiceRevision"]))}
        revisions = [{
            "serviceRevisionArn": arn,
            "serviceArn": self.deployment["serviceArn"],
            "clusterArn": self.deployment["clusterArn"],
            "taskDefinition": f"{ARN}:task-definition/vf-staging:{self.definitions[known[arn]]}",
            "launchType": "FARGATE",
            "networkConfiguration": NETWORK,
        } for arn in serviceRevisionArns]
        return {"serviceRevisions": revisions, "failures": []}

    def RunTask(self, clientToken, **request):
        if self.refusals > 0:
            self.refusals -= 1
            return {"tasks": [], "failures": [{"reason": "Capacity is unavailable at this time."}]}
        known = self.tokens.get(clientToken)
        if known:
            if known["request"] != request:
                raise Refused("ConflictException", "the token belongs to another request")
            return {"tasks": [self.described(known)], "failures": []}
        override = request["overrides"]["containerOverrides"][0]
        environment = os.environ | {each["name"]: each["value"] for each in override.get("environment", [])}
        task = {
            "request": request,
            "command": override["command"],
            "arn": f"{ARN}:task/vf-staging/{len(self.tasks):032x}",
            "process": subprocess.Popen([*self.program, *override["command"]], env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT),
        }
        self.tasks.append(task)
        self.tokens[clientToken] = task
        return {"tasks": [self.described(task)], "failures": []}

    def DescribeTasks(self, cluster, tasks):
        found = [task for task in self.tasks if task["arn"] in tasks]
        missing = [{"arn": arn, "reason": "MISSING"} for arn in tasks if arn not in {task["arn"] for task in found}]
        return {"tasks": [self.described(task) for task in found], "failures": missing}

    def described(self, task):
        code = task["process"].poll()
        worker = {"name": "worker", "lastStatus": "RUNNING"}
        # A task whose command did not run has no exit code. The program reports this by the code 127.
        if code is not None:
            worker = {"name": "worker", "lastStatus": "STOPPED"} | ({} if code == 127 else {"exitCode": code})
        prepare = {"name": "prepare", "lastStatus": "STOPPED", "exitCode": 0}
        return {"taskArn": task["arn"], "clusterArn": self.deployment["clusterArn"],
                "lastStatus": worker["lastStatus"], "containers": [prepare, worker]}
