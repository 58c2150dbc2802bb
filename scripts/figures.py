"""The figures of the models of costs and capacity, each with its source: prices, limits of AWS, and measurements.

The prices are list prices of us-east-1 in USD, published on https://aws.amazon.com/pricing/ in 2026. scripts/capacity prints
the limits and the measurements with their sources.
"""

from typing import NamedTuple

HOURS = 730
# --- Prices ---
# Fargate, Linux on x86: per hour of a vCPU, a GB of memory, and a GB of storage above 20 GB.
CPU, MEMORY, STORAGE, FREE_STORAGE = 0.04048, 0.004445, 0.000111, 20
ENDPOINT_HOUR, ENDPOINT_GB = 0.01, 0.01
# Postgres of RDS in two zones, per hour: db.t4g.medium, and a vCPU of the classes db.m7g.
T4G_MEDIUM, M7G_CPU = 0.129, 0.168
DATABASE_GB, BACKUP_GB = 0.23, 0.095
S3_GB, S3_WRITES, S3_READS, REPLICATION_GB = 0.023, 0.005 / 1000, 0.0004 / 1000, 0.02
SQS_REQUEST, KMS_KEY, KMS_REQUEST, SECRET = 0.40e-6, 1.00, 0.03 / 10_000, 0.40
LOG_GB, LOG_STORED_GB, METRIC, ALARM, COMPOSITE, DASHBOARD = 0.50, 0.03, 0.30, 0.10, 0.50, 3.00
TRAIL_EVENT, GUARD_EVENT, IMAGE_GB = 0.10 / 100_000, 0.80e-6, 0.10

# --- Requests and bytes per job ---
S3_WRITES_PER_JOB, S3_READS_PER_JOB, SQS_PER_JOB, LOG_KB_PER_JOB = 4, 30, 12, 8
# EMF lines of a worker, per minute.
EMF_KB_PER_MINUTE = 60
# Custom metrics: those of docs/metrics.md with their metric filters, and those of Container Insights.
METRICS = 80
# Part of the paid time in which tasks are busy: pattern "diurnal" of deploy/autoscaling.md.
UTILIZATION = 0.77
# Requests per hour of a slot that waits for messages: a long poll takes 10 s (VF_LONG_POLL).
POLLS_PER_SLOT_HOUR = 360
MONTHS_KEPT = 1


class Figure(NamedTuple):
    """A number with its unit and source."""

    value: float
    unit: str
    source: str


AWS = "https://docs.aws.amazon.com/"
# --- Limits of AWS: defaults of an account, or of the largest class ---
LIMITS = {
    "tasks": Figure(5_000, "tasks of a service", f"{AWS}AmazonECS/latest/developerguide/service-quotas.html"),
    "starts": Figure(500, "task starts per service and minute", f"{AWS}AmazonECS/latest/developerguide/service-quotas.html"),
    "database cores": Figure(64, "vCPUs of db.m7g.16xlarge", f"{AWS}AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.html"),
    "connections": Figure(5_000, "connections, `LEAST(memory / 9531392, 5000)`",
                          f"{AWS}prescriptive-guidance/latest/tuning-postgresql-parameters/max-connections.html"),
    "log": Figure(500, "MiB per second of a gp3 volume from 400 GiB", f"{AWS}AmazonRDS/latest/UserGuide/CHAP_Storage.html"),
    "writes": Figure(12_000, "I/O operations per second of the same volume", f"{AWS}AmazonRDS/latest/UserGuide/CHAP_Storage.html"),
    "database size": Figure(65_536, "GiB of a gp3 volume", f"{AWS}AmazonRDS/latest/UserGuide/CHAP_Storage.html"),
    "S3 reads": Figure(5_500, "GET and HEAD requests per second and partitioned prefix",
                       f"{AWS}AmazonS3/latest/userguide/optimizing-performance.html"),
    "S3 writes": Figure(3_500, "PUT and POST requests per second and partitioned prefix",
                        f"{AWS}AmazonS3/latest/userguide/optimizing-performance.html"),
    "in flight": Figure(120_000, "received messages of a standard queue, about",
                        f"{AWS}AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html"),
}
DRILL = "`scripts/capacity-drill`"
# --- Measurements on one machine with two cores, shared with builds: docs/benchmarks.md and docs/capacity.md. CPU times are
# --- therefore upper bounds.
MEASURED = {
    "start": Figure(0.06, "CPU seconds per job for the start of ffmpeg", "docs/benchmarks.md, small clips"),
    "picture": Figure(0.008, "CPU seconds per picture of 1080p as JPEG", "docs/benchmarks.md, 120 pictures"),
    "parallelism": Figure(1.7, "cores that a job keeps busy at most", "docs/benchmarks.md, CPU ÷ wall"),
    "gap": Figure(0.01, "seconds between two jobs of a slot", DRILL),
    "heartbeat": Figure(20, "seconds between renewals of a lease", "docs/worker.md, `VF_HEARTBEAT`"),
    "connections": Figure(9, "connections of a worker to Postgres at most", "`VF_DATABASE_CONNECTIONS`, and one for renewals"),
    "job cpu": Figure(4.1, "CPU ms of Postgres per job, without heartbeats", DRILL),
    "renew cpu": Figure(0.3, "CPU ms of Postgres per heartbeat", DRILL),
    "idle cpu": Figure(1.25, "CPU ms of Postgres per worker and second", DRILL),
    "idle commits": Figure(1.57, "commits per worker and second", DRILL),
    "job commits": Figure(7.05, "commits per job, without heartbeats", DRILL),
    "job log": Figure(7.1, "KiB of WAL per job, without heartbeats", DRILL),
    "renew log": Figure(1.0, "KiB of WAL per heartbeat", DRILL),
    "job bytes": Figure(2_212, "bytes of tables and indexes per job, after a vacuum", DRILL),
}
