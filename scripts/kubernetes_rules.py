"""Rules for the rendered objects of deploy/kubernetes. Each yields the faults that no schema knows."""

import ipaddress
import re
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
ALERTS = ROOT / "deploy/monitoring/prometheus/videoframes.rules.yml"
INSTANCE, COMPONENT = "app.kubernetes.io/instance", "app.kubernetes.io/component"
COMMON = {"app.kubernetes.io/name": "vf-worker", "app.kubernetes.io/part-of": "videoframes"}
WORKERS = {"app.kubernetes.io/name": "vf-worker", COMPONENT: "worker"}
ROLE = "eks.amazonaws.com/role-arn"
# The worker hands unfinished jobs back in the last seconds of VF_GRACE; the container runtime needs some, too.
MARGIN = 15
# Seconds for which the cluster autoscaler waits for a pod: the default of --max-graceful-termination-sec.
MAX_TERMINATION = 600
# Addresses of the metadata of a node, which give credentials of the node.
METADATA = ("169.254.169.254", "fd00:ec2::254")
RESOURCES = ("cpu", "memory", "ephemeral-storage")


@cache
def worker_variables():
    """Returns the variables that the worker reads."""
    source = (ROOT / "videoframes-worker/src/config/variables.rs").read_text()
    return set(re.findall(r'"(VF_[A-Z0-9_]+)"', source))


@cache
def dockerfile(pattern):
    """Returns a value of the Dockerfile."""
    return re.search(pattern, (ROOT / "deploy/image/Dockerfile").read_text(), re.MULTILINE).group(1)


@cache
def aws_default(parameter):
    """Returns the default of a parameter of the stack `service`."""
    text = (ROOT / "deploy/aws/service.yaml").read_text()
    return int(re.search(rf"^  {parameter}:\n(?:    .*\n)*?    Default: (\d+)$", text, re.MULTILINE).group(1))


def bytes_of(quantity):
    """Returns a size of Kubernetes (Gi) or of the worker (GiB) in bytes."""
    number, power = re.fullmatch(r"(\d+)([KMGT])i(?:B|)", quantity).groups()
    return int(number) * 1024 ** ("KMGT".index(power) + 1)


def seconds_of(duration):
    """Returns a duration of the worker in seconds."""
    number, unit = re.fullmatch(r"(\d+)(s|m|h)", duration).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


class Objects:
    """The objects of one environment."""

    def __init__(self, documents):
        self.documents = documents

    def of(self, kind):
        return [each for each in self.documents if each["kind"] == kind]

    def names(self, kind):
        return {each["metadata"]["name"] for each in self.of(kind)}

    def pods(self):
        """Yields each object that creates pods, and its template."""
        for each in self.of("Deployment") + self.of("Job"):
            yield each, each["spec"]["template"]

    def settings(self, template):
        """Returns the variables of the only container of a pod."""
        found = {}
        container = template["spec"]["containers"][0]
        data = {each["metadata"]["name"]: each["data"] for each in self.of("ConfigMap")}
        for source in container.get("envFrom", []):
            found |= data.get(source["configMapRef"]["name"], {})
        labels = template["metadata"]["labels"]
        for variable in container.get("env", []):
            field = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
            label = re.fullmatch(r"metadata\.labels\['(.*)'\]", field)
            found[variable["name"]] = labels.get(label[1], "") if label else variable.get("value", "")
        return found


def selects(selector, labels):
    """Returns whether a selector with labels selects these labels. An empty selector selects everything."""
    wanted = selector.get("matchLabels", {})
    return bool(wanted) and wanted.items() <= labels.items()


def title(each):
    return f"{each['kind']} {each['metadata'].get('name')}"


def security(objects):
    """Pods have no privileges: the profile `restricted`, a read-only root and no token of the API."""
    user = int(dockerfile(r"^USER (\d+):"))
    for each, template in objects.pods():
        spec = template["spec"]
        context = spec.get("securityContext", {})
        wanted = {"runAsNonRoot": True, "runAsUser": user, "runAsGroup": user, "fsGroup": user,
                  "seccompProfile": {"type": "RuntimeDefault"}}
        yield from (f"{title(each)}: {key} is not {value}" for key, value in wanted.items() if context.get(key) != value)
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(key):
                yield f"{title(each)}: {key}"
        for key in ("automountServiceAccountToken", "enableServiceLinks"):
            if spec.get(key) is not False:
                yield f"{title(each)}: {key} is not false"
        if len(spec["containers"]) != 1 or "initContainers" in spec:
            yield f"{title(each)}: not exactly one container: the rules check one"
        if any(not {"emptyDir", "projected"} & volume.keys() for volume in spec["volumes"]):
            yield f"{title(each)}: a volume is neither emptyDir nor projected"
        context = spec["containers"][0].get("securityContext", {})
        wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        if context != wanted:
            yield f"{title(each)}: the security context of the container is not {wanted}"
    for each in objects.of("ServiceAccount"):
        if each.get("automountServiceAccountToken") is not False:
            yield f"{title(each)}: automountServiceAccountToken is not false"


def resources(objects):
    """Pods have requests and limits. Scratch is where the worker writes, and its parts fit into each other."""
    for each, template in objects.pods():
        container = template["spec"]["containers"][0]
        terms = container.get("resources", {})
        for part in ("requests", "limits"):
            for resource in RESOURCES:
                if resource not in terms.get(part, {}):
                    yield f"{title(each)}: no {part} of {resource}"
        if each["kind"] == "Deployment" and terms.get("requests") != terms.get("limits"):
            yield f"{title(each)}: requests are not the limits: the kubelet evicts the pod first"
        settings = objects.settings(template)
        mounts = {mount["mountPath"]: mount for mount in container.get("volumeMounts", [])}
        volumes = {volume["name"]: volume for volume in template["spec"].get("volumes", [])}
        scratch = mounts.get(settings.get("VF_SCRATCH", ""), {})
        limit = volumes.get(scratch.get("name"), {}).get("emptyDir", {}).get("sizeLimit")
        if settings.get("VF_SCRATCH") != dockerfile(r"^ENV VF_SCRATCH=(\S+)") or scratch.get("readOnly") or not limit:
            yield f"{title(each)}: VF_SCRATCH is not a writable emptyDir with a limit, at the path of the image"
            continue
        if bytes_of(limit) > bytes_of(terms.get("limits", {}).get("ephemeral-storage", "0Ki")):
            yield f"{title(each)}: the scratch folder is larger than the limit of the storage"
        if each["kind"] == "Deployment" and bytes_of(settings["VF_SCRATCH_QUOTA"]) >= bytes_of(limit):
            yield f"{title(each)}: VF_SCRATCH_QUOTA is not below the size of the scratch folder"


def settings_volume(objects):
    """Files that variables name are mounted, read-only, and readable by the group only."""
    for each, template in objects.pods():
        settings = objects.settings(template)
        mounts = template["spec"]["containers"][0].get("volumeMounts", [])
        folders = {mount["mountPath"]: mount for mount in mounts if mount.get("readOnly")}
        for name, value in settings.items():
            if value.startswith("/") and name != "VF_SCRATCH" and str(Path(value).parent) not in folders:
                yield f"{title(each)}: {name} is not below a read-only mount"
        volumes = template["spec"]["volumes"]
        if {mount["name"] for mount in mounts} != {volume["name"] for volume in volumes}:
            yield f"{title(each)}: mounts do not name the volumes"
        for volume in volumes:
            if "projected" in volume and volume["projected"].get("defaultMode") != 0o440:
                yield f"{title(each)}: the mode of the files in {volume['name']} is not 0440"
        found = [source for volume in volumes for source in volume.get("projected", {}).get("sources", [])]
        secrets = [source["secret"]["name"] for source in found if "secret" in source]
        configs = [source["configMap"]["name"] for source in found if "configMap" in source]
        if secrets != [template["spec"].get("serviceAccountName")] or "vf-worker-database-ca" not in configs:
            yield f"{title(each)}: no password, or no authority of the database"
        required = [source for source in found if "secret" in source and not source["secret"].get("optional")]
        if settings.get("VF_DATABASE_AUTH") == "iam" and required:
            yield f"{title(each)}: waits for a password that nobody needs"
        files = {name for config in objects.of("ConfigMap") if config["metadata"]["name"] in configs for name in config["data"]}
        if Path(settings.get("VF_RULES", "rules.json")).name not in files:
            yield f"{title(each)}: no ConfigMap has the file of VF_RULES"


def variables(objects):
    """Every VF_ variable is one of the worker. No variable has a password."""
    for each, template in objects.pods():
        settings = objects.settings(template)
        for name in sorted(settings):
            if name.startswith("VF_") and name not in worker_variables():
                yield f"{title(each)}: the worker has no variable {name}"
        for name in ("DATABASE_URL", "VF_STORAGE"):
            if not settings.get(name):
                yield f"{title(each)}: no {name}"
        if re.match(r"\w+://[^/@]*:[^/@]*@", settings.get("DATABASE_URL", "")):
            yield f"{title(each)}: DATABASE_URL has a password"
        if "VF_DATABASE_PASSWORD_FILE" not in settings and settings.get("VF_DATABASE_AUTH") != "iam":
            yield f"{title(each)}: neither a password file nor VF_DATABASE_AUTH=iam"
        if settings.get("VF_DATABASE_AUTH") == "iam" and "VF_DATABASE_TLS_CA_FILE" not in settings:
            yield f"{title(each)}: the authority of RDS is not public, and no file has it"
        queues = [settings.get(f"VF_{queue}_QUEUE", "") for queue in ("INPUT", "NOTIFIER", "DEAD_LETTER")]
        if len({queue.startswith("sqs:") for queue in queues}) != 1:
            yield f"{title(each)}: some queues are those of SQS, some are tables"
        if each["kind"] == "Deployment" and settings.get("VF_MIGRATE") != "off":
            yield f"{title(each)}: pods migrate, as the wrong user of the database"
        if each["kind"] == "Deployment" and (settings.get("VF_METRICS"), settings.get("VF_LOG_FORMAT")) != ("prometheus", "json"):
            yield f"{title(each)}: no metrics for Prometheus, or no JSON logs"
    if objects.of("Secret"):
        yield "a Secret is in the repository"


def references(objects):
    """Names in objects are those of other objects, and every object belongs to the same namespace."""
    for each, template in objects.pods():
        spec = template["spec"]
        if spec.get("serviceAccountName") not in objects.names("ServiceAccount"):
            yield f"{title(each)}: no such ServiceAccount"
        wanted = [source["configMapRef"]["name"] for source in spec["containers"][0].get("envFrom", [])]
        sources = [source for volume in spec["volumes"] for source in volume.get("projected", {}).get("sources", [])]
        wanted += [source["configMap"]["name"] for source in sources
                   if "configMap" in source and not source["configMap"].get("optional")]
        missing = set(wanted) - objects.names("ConfigMap")
        if missing:
            yield f"{title(each)}: no ConfigMap {', '.join(sorted(missing))}"
    for each in objects.documents:
        if not each["metadata"].get("name") or COMMON.items() - each["metadata"].get("labels", {}).items():
            yield f"{title(each)}: no name, or not the labels {COMMON}"
    roles = [each["metadata"].get("annotations", {}).get(ROLE) for each in objects.of("ServiceAccount")]
    if any(roles) and (None in roles or len(set(roles)) != len(roles)):
        yield "the roles of workers and migration are not different roles"
    namespaces = {each["metadata"].get("namespace") for each in objects.documents}
    if len(namespaces) != 1 or None in namespaces:
        yield f"not exactly one namespace: {namespaces}"


def images(objects):
    """All pods of a release have the same image, of one version."""
    found = {template["spec"]["containers"][0]["image"] for _, template in objects.pods()}
    if len(found) != 1:
        yield f"pods have different images: {sorted(found)}"
    for image in found:
        tag = re.fullmatch(r"[^@]+/[^:@]+(?::(?!latest)([\w.-]+)|@sha256:[0-9a-f]{64})", image)
        if not tag:
            yield f"image '{image}' has no registry, or neither a version nor a digest"


def probes(objects):
    """Probes and metrics use the operations port."""
    for each in objects.of("Deployment"):
        template = each["spec"]["template"]
        container = template["spec"]["containers"][0]
        address, _, port = objects.settings(template).get("VF_OPS_LISTEN", "").rpartition(":")
        if address not in ("0.0.0.0", "[::]"):
            yield f"{title(each)}: probes do not reach the operations port at '{address}'"
        ports = {named.get("name"): named["containerPort"] for named in container.get("ports", [])}
        for name, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
            probe = container.get(name, {})
            get = probe.get("httpGet", {})
            if get.get("path") != path or str(ports.get(get.get("port"))) != port:
                yield f"{title(each)}: {name} does not ask for {path} at the operations port"
            if not {"periodSeconds", "timeoutSeconds", "failureThreshold"} <= probe.keys():
                yield f"{title(each)}: {name} has no period, timeout or threshold"
        startup = container.get("startupProbe", {})
        # A worker waits 15 s for the database, and a minute for queues and store.
        if startup.get("periodSeconds", 0) * startup.get("failureThreshold", 0) < 90:
            yield f"{title(each)}: the startup probe restarts a worker that waits for its dependencies"


def shutdown(objects):
    """The kubelet waits longer than the worker. Updates remove no capacity."""
    for each in objects.of("Deployment"):
        template = each["spec"]["template"]
        grace = seconds_of(objects.settings(template).get("VF_GRACE", "0s"))
        if not grace:
            yield f"{title(each)}: no VF_GRACE: the worker does not use the time that the kubelet gives"
        if template["spec"].get("terminationGracePeriodSeconds", 30) < grace + MARGIN:
            yield f"{title(each)}: the kubelet kills the worker before VF_GRACE has passed"
        if template["spec"].get("terminationGracePeriodSeconds", 30) > MAX_TERMINATION:
            yield f"{title(each)}: the cluster autoscaler kills the worker before VF_GRACE has passed"
        strategy = each["spec"].get("strategy", {})
        if strategy.get("type") != "RollingUpdate" or strategy["rollingUpdate"].get("maxUnavailable") != 0:
            yield f"{title(each)}: an update removes workers before others are ready"


def revisions(objects):
    """Releases side by side select only their own pods, and stand by until they are active."""
    for each in objects.of("Deployment"):
        template, name = each["spec"]["template"], each["metadata"]["name"]
        if template["metadata"]["labels"].get(INSTANCE) != name or each["spec"]["selector"]["matchLabels"].get(INSTANCE) != name:
            yield f"{title(each)}: the label {INSTANCE} is not the name of the release"
        if WORKERS.items() - each["spec"]["selector"]["matchLabels"].items():
            yield f"{title(each)}: selects pods of Jobs"
        if template["spec"]["containers"][0].get("args", [])[:1] != ["run"]:
            yield f"{title(each)}: does not run the worker"
        standby = "--standby" in template["spec"]["containers"][0].get("args", [])
        revision = objects.settings(template).get("VF_REVISION")
        if standby != bool(revision):
            yield f"{title(each)}: --standby without VF_REVISION, or VF_REVISION without --standby"
        shifts = [pod for _, pod in objects.pods() if objects.settings(pod).get("VF_REVISION") == name
                  and pod["spec"]["containers"][0]["args"] == ["fleet", "shift", "$(VF_REVISION)", "--workers", str(aws_default("MinTasks"))]]
        if standby and not (shifts and revision == name):
            yield f"{title(each)}: no Job shifts the messages to revision '{name}'"
    for each, template in objects.pods():
        if template["metadata"]["labels"] != each["metadata"]["labels"]:
            yield f"{title(each)}: its pods have other labels"
    # `kubectl apply --selector` and `kubectl delete --selector` use these labels.
    released = [each for each in objects.documents if each["kind"] in
                ("ConfigMap", "Deployment", "Job", "PodDisruptionBudget", "ScaledObject", "TriggerAuthentication")]
    for each in released:
        labels = each["metadata"].get("labels", {})
        if not {INSTANCE, COMPONENT} <= labels.keys() or labels[INSTANCE] not in objects.names("Deployment"):
            yield f"{title(each)}: no labels of the release and of its part"


def jobs(objects):
    """A Job migrates as the owner of the tables. Jobs run once, and are removed later."""
    for each in objects.of("Job"):
        spec = each["spec"]["template"]["spec"]
        if spec.get("restartPolicy") != "Never" or "ttlSecondsAfterFinished" not in each["spec"]:
            yield f"{title(each)}: restarts its container, or remains forever"
        if "shift" in spec["containers"][0]["args"] and each["spec"].get("backoffLimit") != 0:
            yield f"{title(each)}: repeats a shift that was rolled back"
    owners = [(each, template) for each, template in objects.pods()
              if template["spec"]["containers"][0].get("args") == ["migrate", "up"]]
    if [each["kind"] for each, _ in owners] != ["Job"]:
        yield "not exactly one Job migrates"
    for each, template in owners:
        users = {objects.settings(other).get("DATABASE_URL") for _, other in objects.pods() if other is not template}
        accounts = {other["spec"].get("serviceAccountName") for _, other in objects.pods() if other is not template}
        if objects.settings(template).get("DATABASE_URL") in users or template["spec"].get("serviceAccountName") in accounts:
            yield f"{title(each)}: migrates with the identity of the workers"
        if "activeDeadlineSeconds" not in each["spec"]:
            yield f"{title(each)}: waits forever for a lock"


def disruptions(objects):
    """A drain of nodes stops one worker after another, even if no worker is ready."""
    for each in objects.of("Deployment"):
        labels = each["spec"]["template"]["metadata"]["labels"]
        budgets = [budget["spec"] for budget in objects.of("PodDisruptionBudget")]
        budgets = [budget for budget in budgets if selects(budget.get("selector", {}), labels)]
        if [budget.get("maxUnavailable") for budget in budgets] != [1]:
            yield f"{title(each)}: not exactly one budget permits one disruption"
        elif budgets[0].get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"{title(each)}: an outage of the database blocks the drain of nodes"
        elif budgets[0]["selector"] != each["spec"]["selector"]:
            yield f"{title(each)}: the budget includes pods of other releases or of Jobs"
        spread = [(terms.get("topologyKey"), terms.get("whenUnsatisfiable"), terms.get("matchLabelKeys"))
                  for terms in each["spec"]["template"]["spec"].get("topologySpreadConstraints", [])
                  if terms.get("labelSelector") == each["spec"]["selector"]]
        if spread != [("topology.kubernetes.io/zone", "ScheduleAnyway", ["pod-template-hash"])]:
            yield f"{title(each)}: the loss of a zone may end all workers"


def network(objects):
    """Pods accept connections of Prometheus only, and open connections to known ports only."""
    policies = objects.of("NetworkPolicy")
    for each, template in objects.pods():
        selecting = [policy for policy in policies if selects(policy["spec"].get("podSelector", {}), template["metadata"]["labels"])]
        if len(selecting) != 1 or sorted(selecting[0]["spec"].get("policyTypes", [])) != ["Egress", "Ingress"]:
            yield f"{title(each)}: not exactly one policy for both directions"
    ports = {objects.settings(template).get("VF_OPS_LISTEN", "").rpartition(":")[2] for _, template in objects.pods()}
    for policy in policies:
        for rule in policy["spec"].get("ingress", []):
            spaces = [peer.get("namespaceSelector", {}).get("matchLabels") for peer in rule.get("from", [])]
            if not spaces or not all(spaces):
                yield f"{title(policy)}: every namespace may connect"
            if [(port.get("protocol"), str(port.get("port"))) for port in rule.get("ports", [])] != [("TCP", port) for port in ports]:
                yield f"{title(policy)}: Prometheus may connect to other ports than {sorted(ports)}"
        if not policy["spec"].get("ingress"):
            yield f"{title(policy)}: Prometheus may not connect"
        yield from egress(policy)


def egress(policy):
    """Yields the faults of connections from pods."""
    opened = set()
    for rule in policy["spec"].get("egress", []):
        ports = {(port.get("protocol"), port.get("port")) for port in rule.get("ports", [])}
        opened |= ports
        peers = rule.get("to", [])
        if not ports or not peers:
            yield f"{title(policy)}: a rule permits all ports or all addresses"
        for peer in peers:
            if "ipBlock" not in peer and not peer.get("namespaceSelector", {}).get("matchLabels"):
                yield f"{title(policy)}: a rule permits all namespaces"
            block = peer.get("ipBlock")
            for address in METADATA if block else ():
                if reaches(block, address):
                    yield f"{title(policy)}: a rule permits the metadata of the node at {address}"
        versions = {ipaddress.ip_network(peer["ipBlock"]["cidr"]).version for peer in peers if "ipBlock" in peer}
        if versions == {4} or versions == {6}:
            yield f"{title(policy)}: a rule has addresses of IPv{versions.pop()} only"
    wanted = {("UDP", 53), ("TCP", 53), ("TCP", 5432), ("TCP", 443), ("TCP", 80)}
    if opened != wanted:
        yield f"{title(policy)}: ports {sorted(map(str, opened ^ wanted))} are missing or needless"
    web = [peer for rule in policy["spec"].get("egress", []) for peer in rule.get("to", [])
           if {"port": 443, "protocol": "TCP"} in rule.get("ports", [])]
    for cidr in ("0.0.0.0/0", "::/0"):
        if not any(peer.get("ipBlock", {}).get("cidr") == cidr for peer in web):
            yield f"{title(policy)}: no rule permits HTTPS to {cidr}"


def reaches(block, address):
    address = ipaddress.ip_address(address)
    within = [ipaddress.ip_network(each) for each in (block["cidr"], *block.get("except", []))]
    return address in within[0] and not any(address in each for each in within[1:])


def autoscaling(objects):
    """KEDA has the numbers of the stack `service`, and reads the queue of the workers."""
    for each in objects.of("ScaledObject"):
        spec, name = each["spec"], each["spec"].get("scaleTargetRef", {}).get("name")
        targets = [target for target in objects.of("Deployment") if target["metadata"]["name"] == name]
        if len(targets) != 1 or "replicas" in targets[0]["spec"]:
            yield f"{title(each)}: no Deployment without replicas has the name '{name}'"
            continue
        if spec.get("minReplicaCount", 0) < aws_default("MinTasks") or not 2 < spec.get("maxReplicaCount", 0) <= aws_default("MaxTasks"):
            yield f"{title(each)}: the limits are not within those of the stack service"
        yield from scaling_behaviour(each)
        settings = objects.settings(targets[0]["spec"]["template"])
        yield from trigger(each, settings, objects.names("TriggerAuthentication"))
    for each in objects.of("TriggerAuthentication"):
        if each["spec"].get("podIdentity") != {"provider": "aws", "identityOwner": "keda"}:
            yield f"{title(each)}: not the role of the KEDA operator"


def scaling_behaviour(each):
    spec = each["spec"]
    behaviour = spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {})
    down, up = behaviour.get("scaleDown", {}), behaviour.get("scaleUp", {})
    if down.get("stabilizationWindowSeconds") != aws_default("ScaleInCooldown"):
        yield f"{title(each)}: the time before a scale-in is not ScaleInCooldown of the stack service"
    if up.get("stabilizationWindowSeconds") != 0:
        yield f"{title(each)}: a scale-out is late"
    for policies in (down.get("policies", []), up.get("policies", [])):
        if not policies or any(policy.get("value", 0) < 1 for policy in policies):
            yield f"{title(each)}: a direction has no policy"
    if len(up.get("policies", [])) != 2:
        yield f"{title(each)}: a scale-out from few pods, or from many pods, is slow"
    if spec.get("advanced", {}).get("restoreToOriginalReplicaCount") is not False:
        yield f"{title(each)}: without KEDA, the number of pods changes"
    fallback = spec.get("fallback", {})
    if not spec.get("minReplicaCount", 0) <= fallback.get("replicas", -1) <= spec.get("maxReplicaCount", 0):
        yield f"{title(each)}: no number of pods while the queue does not answer"


def trigger(each, settings, authentications):
    triggers = each["spec"].get("triggers", [])
    if len(triggers) != 1:
        yield f"{title(each)}: not exactly one trigger"
        return
    found = triggers[0]
    metadata = found.get("metadata", {})
    if (found.get("type"), found.get("metricType")) != ("aws-sqs-queue", "AverageValue"):
        yield f"{title(each)}: the metric is not the length of a queue of SQS per pod"
    if metadata.get("scaleOnInFlight") != "true":
        yield f"{title(each)}: a long job in an empty queue loses its pod"
    if metadata.get("queueLength") != str(aws_default("BacklogPerTask")):
        yield f"{title(each)}: queueLength is not BacklogPerTask of the stack service"
    region, queue = settings.get("AWS_REGION"), settings.get("VF_INPUT_QUEUE", "").removeprefix("sqs:")
    address = rf"https://sqs\.{region}\.amazonaws\.com/\d{{12}}/{queue}"
    if metadata.get("awsRegion") != region or not re.fullmatch(address, metadata.get("queueURL", "")):
        yield f"{title(each)}: not the region or the queue of the workers"
    if found.get("authenticationRef", {}).get("name") not in authentications:
        yield f"{title(each)}: no such TriggerAuthentication"


def monitoring(objects):
    """Prometheus reads the workers, and has the alerts of deploy/monitoring."""
    workers = [template for each, template in objects.pods() if each["kind"] == "Deployment"]
    for each in objects.of("PodMonitor"):
        if each["spec"].get("selector") != {"matchLabels": WORKERS}:
            yield f"{title(each)}: does not select the workers of all releases"
        ports = {port.get("name") for template in workers for port in template["spec"]["containers"][0].get("ports", [])}
        endpoints = each["spec"].get("podMetricsEndpoints", [])
        if len(endpoints) != 1 or endpoints[0].get("port") not in ports or endpoints[0].get("path") != "/metrics":
            yield f"{title(each)}: does not read /metrics at the operations port"
        # The windows of the rules need at least two samples in a minute.
        elif endpoints[0].get("interval") != "30s":
            yield f"{title(each)}: the interval is not that of docs/monitoring.md"
    for each in objects.of("PrometheusRule"):
        if each["spec"] != yaml.safe_load(ALERTS.read_text()):
            yield f"{title(each)}: not the rules of {ALERTS.name}: run scripts/check-kubernetes --write"
    if len(objects.of("PodMonitor")) != len(objects.of("PrometheusRule")):
        yield "metrics without alerts, or alerts without metrics"


RULES = (security, resources, settings_volume, variables, references, images, probes, shutdown, revisions, jobs, disruptions,
         network, autoscaling, monitoring)


def faults(objects):
    """Yields the faults of all rules."""
    for rule in RULES:
        for fault in rule(objects):
            yield f"{rule.__name__}: {fault}"
