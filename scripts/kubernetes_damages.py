"""Damages of rendered objects: the rule that reports each, a text, and the change."""

from kubernetes_rules import (
    COMPONENT, INSTANCE, ROLE, autoscaling, disruptions, images, jobs, monitoring, network, probes, references, resources, revisions,
    security, settings_volume, shutdown, variables)

POD = "spec.template.spec"
SOURCES = f"{POD}.volumes.1.projected.sources"
OWNER = "arn:aws:iam::222222222222:role/videoframes-production-owner"
DATABASE = "postgres://vf_worker@videoframes-production.example.eu-central-1.rds.amazonaws.com:5432/videoframes"
DOWN = "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.stabilizationWindowSeconds"
QUEUE = "https://sqs.eu-central-1.amazonaws.com/222222222222/other"
CONTAINER = f"{POD}.containers.0"


def step(node, key):
    return node[int(key)] if isinstance(node, list) else node[key]


def put(kind, path, value, number=0):
    """Returns a damage that sets a field of the object with this number among those of a kind."""
    def damage(objects):
        *folders, last = path.split(".")
        node = objects.of(kind)[number]
        for key in folders:
            node = step(node, key)
        node[int(last) if isinstance(node, list) else last] = value
    return damage


def change(kind, path, edit):
    """Returns a damage that edits the value of a field in place."""
    def damage(objects):
        node = objects.of(kind)[0]
        for key in path.split("."):
            node = step(node, key)
        edit(node)
    return damage


def setting(name, value, place=""):
    """Returns a damage that sets a variable of the worker, in the first ConfigMap or in that of the migration."""
    def damage(objects):
        found = [each for each in objects.of("ConfigMap") if "DATABASE_URL" in each["data"]]
        next(each for each in found if place in each["metadata"]["name"])["data"][name] = value
    return damage


def add(document):
    return lambda objects: objects.documents.append(document)


DAMAGES = (
    (security, "a root user", put("Deployment", f"{POD}.securityContext.runAsUser", 0)),
    (security, "a privileged container", put("Deployment", f"{CONTAINER}.securityContext.privileged", True)),
    (security, "one more capability", put("Deployment", f"{CONTAINER}.securityContext.capabilities.add", ["NET_RAW"])),
    (security, "no seccomp profile", put("Job", f"{POD}.securityContext.seccompProfile.type", "Unconfined")),
    (security, "the network of the node", put("Deployment", f"{POD}.hostNetwork", True)),
    (security, "the processes of the node", put("Job", f"{POD}.hostPID", True)),
    (security, "a folder of the node", put("Deployment", f"{POD}.volumes.0", {"name": "scratch", "hostPath": {"path": "/"}})),
    (security, "a second container", change("Deployment", f"{POD}.containers", lambda each: each.append({**each[0], "name": "b"}))),
    (security, "a token in the migration", put("Job", f"{POD}.automountServiceAccountToken", True)),
    (resources, "more scratch than storage", put("Deployment", f"{CONTAINER}.resources.limits.ephemeral-storage", "50Gi")),
    (resources, "a quota above the scratch folder", setting("VF_SCRATCH_QUOTA", "90GiB")),
    (resources, "scratch elsewhere", setting("VF_SCRATCH", "/tmp")),
    (resources, "burstable memory", put("Deployment", f"{CONTAINER}.resources.requests.memory", "1Gi")),
    (settings_volume, "a file in scratch", setting("VF_RULES", "/scratch/rules.json")),
    (settings_volume, "the password of the owner", put("Deployment", f"{SOURCES}.1.secret.name", "vf-worker-migrate")),
    (settings_volume, "files for everyone", put("Deployment", f"{POD}.volumes.1.projected.defaultMode", 0o444)),
    (variables, "an unknown variable", setting("VF_SCRATCH_QOUTA", "80GiB")),
    (variables, "a password in a ConfigMap", setting("DATABASE_URL", "postgres://vf:secret@db/videoframes")),
    (variables, "no credentials of the database", setting("VF_DATABASE_AUTH", "password")),
    (variables, "pods that migrate", setting("VF_MIGRATE", "on")),
    (variables, "a dead-letter queue in the database", setting("VF_DEAD_LETTER_QUEUE", "dead-letters")),
    (variables, "a Secret", add({"kind": "Secret", "metadata": {"name": "vf-worker", "namespace": "videoframes"}})),
    (references, "an unknown ServiceAccount", put("Job", f"{POD}.serviceAccountName", "default")),
    (references, "a ConfigMap of another release", put("Deployment", f"{CONTAINER}.envFrom.0.configMapRef.name", "vf-worker")),
    (references, "the role of the owner for workers", put("ServiceAccount", "metadata.annotations", {ROLE: OWNER})),
    (references, "another namespace", put("NetworkPolicy", "metadata.namespace", "default")),
    (images, "the tag latest", put("Deployment", f"{CONTAINER}.image", "registry.example.org/vf-worker:latest")),
    (images, "no tag", put("Deployment", f"{CONTAINER}.image", "registry.example.org/vf-worker")),
    (images, "the migration of another release", put("Job", f"{CONTAINER}.image", "registry.example.org/vf-worker:v0.0.9")),
    (probes, "the loopback interface", setting("VF_OPS_LISTEN", "127.0.0.1:9464")),
    (probes, "another port of the worker", setting("VF_OPS_LISTEN", "0.0.0.0:9465")),
    (probes, "a restart after an outage", put("Deployment", f"{CONTAINER}.livenessProbe.httpGet.path", "/readyz")),
    (probes, "a short start", put("Deployment", f"{CONTAINER}.startupProbe.failureThreshold", 3)),
    (shutdown, "the default of Kubernetes", put("Deployment", f"{POD}.terminationGracePeriodSeconds", 30)),
    (shutdown, "no VF_GRACE", lambda objects: objects.of("ConfigMap")[0]["data"].pop("VF_GRACE")),
    (shutdown, "a longer VF_GRACE", setting("VF_GRACE", "590s")),
    (shutdown, "more than the cluster autoscaler waits", put("Deployment", f"{POD}.terminationGracePeriodSeconds", 3600)),
    (shutdown, "fewer pods during an update", put("Deployment", "spec.strategy.rollingUpdate.maxUnavailable", 1)),
    (shutdown, "no pods during an update", put("Deployment", "spec.strategy", {"type": "Recreate"})),
    (revisions, "a label of another release", change("Deployment", "spec.template.metadata.labels", lambda labels: labels.update({INSTANCE: "x"}))),
    (revisions, "a worker that activates itself", put("Deployment", f"{CONTAINER}.args", ["run"])),
    (revisions, "a worker outside of the fleet", put("Deployment", f"{CONTAINER}.env", [])),
    (revisions, "a selector that includes Jobs", change("Deployment", "spec.selector.matchLabels", lambda labels: labels.pop(COMPONENT))),
    (jobs, "a shift that is repeated", put("Job", "spec.backoffLimit", 6, number=1)),
    (jobs, "a migration by the worker", setting("DATABASE_URL", DATABASE, "migrate")),
    (jobs, "no migration", put("Job", f"{CONTAINER}.args", ["migrate", "status"])),
    (disruptions, "all pods at once", put("PodDisruptionBudget", "spec.maxUnavailable", "100%")),
    (disruptions, "no drain during an outage", put("PodDisruptionBudget", "spec.unhealthyPodEvictionPolicy", "IfHealthyBudget")),
    (disruptions, "one zone", change("Deployment", f"{POD}.topologySpreadConstraints", list.clear)),
    (network, "every namespace", put("NetworkPolicy", "spec.ingress.0.from.0.namespaceSelector", {})),
    (network, "another port", put("NetworkPolicy", "spec.ingress.0.ports.0.port", 22)),
    (network, "no policy for connections from pods", put("NetworkPolicy", "spec.policyTypes", ["Ingress"])),
    (network, "the metadata of the node", change("NetworkPolicy", "spec.egress.2.to.0.ipBlock", lambda block: block.pop("except"))),
    (network, "all ports", change("NetworkPolicy", "spec.egress.1", lambda rule: rule.pop("ports"))),
    (network, "a port more", change("NetworkPolicy", "spec.egress.1.ports", lambda ports: ports.append({"protocol": "TCP", "port": 22}))),
    (network, "no policy", lambda objects: objects.documents.remove(objects.of("NetworkPolicy")[0])),
    (autoscaling, "no pods", put("ScaledObject", "spec.minReplicaCount", 0)),
    (autoscaling, "more pods than connections", put("ScaledObject", "spec.maxReplicaCount", 500)),
    (autoscaling, "only visible messages", put("ScaledObject", "spec.triggers.0.metadata.scaleOnInFlight", "false")),
    (autoscaling, "another target than on ECS", put("ScaledObject", "spec.triggers.0.metadata.queueLength", "5")),
    (autoscaling, "another queue", put("ScaledObject", "spec.triggers.0.metadata.queueURL", QUEUE)),
    (autoscaling, "a fast scale-in", put("ScaledObject", DOWN, 0)),
    (autoscaling, "no pods while SQS is down", put("ScaledObject", "spec.fallback.replicas", 0)),
    (autoscaling, "replicas in the Deployment", put("Deployment", "spec.replicas", 2)),
    (monitoring, "another port", put("PodMonitor", "spec.podMetricsEndpoints.0.port", "metrics")),
    (monitoring, "a rule without its condition", put("PrometheusRule", "spec.groups.1.rules.0.expr", "vector(0)")),
    (monitoring, "metrics of one release only", put("PodMonitor", "spec.selector.matchLabels", {INSTANCE: "vf-worker-0-1-0"})),
)
