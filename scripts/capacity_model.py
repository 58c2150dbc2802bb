"""The capacity of a deployment: what a rate of jobs needs from workers, Postgres, SQS and S3, and what is full first.

Everything is proportional to jobs, to running jobs, or to workers. Waiting times do not follow from these sums: they are
the subject of scripts/queueing.py.
"""

import math
from dataclasses import dataclass

import figures
from figures import LIMITS, MEASURED

DAY, MONTH = 86400, figures.HOURS * 3600
# Part of a resource of the database that is planned: vacuums, sweeps and peaks need the rest.
DATABASE_SHARE = 0.7
# Classes of RDS: vCPUs, with 4 GiB of memory each, except the first.
CLASSES = [("t4g.medium", 2, 4), *((f"m7g.{size}", cpus, 4 * cpus) for size, cpus in (
    ("large", 2), ("xlarge", 4), ("2xlarge", 8), ("4xlarge", 16), ("8xlarge", 32), ("12xlarge", 48), ("16xlarge", 64)))]
# Part of the time in which db.t4g.medium may use its cores without CPU credits.
T4G_BASELINE = 0.2
MEMORY_PER_CONNECTION = 9_531_392


@dataclass(frozen=True)
class Mix:
    """The mean job: bytes in MB, pictures, and CPU seconds of decoding."""

    source_mb: float = 100
    result_mb: float = 10
    frames: float = 100
    decode: float = 20

    def cpu(self):
        """Returns the CPU seconds of a worker."""
        return self.decode + self.frames * MEASURED["picture"].value + MEASURED["start"].value


@dataclass(frozen=True)
class Size:
    """The size of a worker."""

    cpus: float = 2
    slots: int = 2
    storage_gb: float = 80
    minimum: int = 2

    def job_seconds(self, mix):
        """Returns the time of a job on a slot while all slots work."""
        cores = min(self.cpus / self.slots, MEASURED["parallelism"].value)
        return mix.cpu() / cores + MEASURED["gap"].value

    def task_hour(self):
        memory = 2 * self.cpus
        storage = max(self.storage_gb - figures.FREE_STORAGE, 0)
        return self.cpus * figures.CPU + memory * figures.MEMORY + storage * figures.STORAGE


@dataclass(frozen=True)
class Demand:
    """What a rate of jobs needs, in one cell."""

    rate: float
    tasks: int
    running: float
    connections: float
    database_cores: float
    commits: float
    log_mib: float
    rows: float
    database_gib: float
    s3_reads: float
    s3_writes: float
    sqs_requests: float
    read_mb: float
    written_mb: float
    idle: float

    def used(self, pooler):
        """Returns the used part of each limit of a cell. Reads are spread over as many prefixes of uploads as necessary; results
        share one prefix, since their keys begin with the time."""
        need = {
            "tasks": self.tasks, "database cores": self.database_cores / DATABASE_SHARE, "connections": self.connections,
            "log": self.log_mib / DATABASE_SHARE, "writes": self.commits / DATABASE_SHARE, "database size": self.database_gib,
            "S3 writes": self.s3_writes, "in flight": self.running,
        }
        # A pooler shares few connections among transactions.
        if pooler:
            del need["connections"]
        return {name: value / LIMITS[name].value for name, value in need.items()}

    def first(self, pooler):
        """Returns the resource that is full first, and its used part."""
        return max(self.used(pooler).items(), key=lambda each: each[1])


def demand(per_minute, mix, size, retention_days=30):
    """Returns what a rate of jobs needs."""
    rate = per_minute / 60
    seconds = size.job_seconds(mix)
    running = rate * seconds
    tasks = max(size.minimum, math.ceil(running / size.slots / figures.UTILIZATION))
    heartbeats = seconds / MEASURED["heartbeat"].value
    commits = MEASURED["job commits"].value + heartbeats
    rows = rate * DAY
    return Demand(
        rate=rate, tasks=tasks, running=running, connections=tasks * MEASURED["connections"].value,
        database_cores=(rate * (MEASURED["job cpu"].value + heartbeats * MEASURED["renew cpu"].value)
                        + tasks * MEASURED["idle cpu"].value) / 1000,
        commits=rate * commits + tasks * MEASURED["idle commits"].value,
        log_mib=rate * (MEASURED["job log"].value + heartbeats * MEASURED["renew log"].value) / 1024,
        rows=rows, database_gib=rows * retention_days * MEASURED["job bytes"].value / 2**30,
        s3_reads=rate * figures.S3_READS_PER_JOB, s3_writes=rate * figures.S3_WRITES_PER_JOB,
        sqs_requests=rate * figures.SQS_PER_JOB + (tasks * size.slots - running) * figures.POLLS_PER_SLOT_HOUR / 3600,
        read_mb=rate * mix.source_mb, written_mb=rate * mix.result_mb, idle=tasks * size.slots - running,
    )


def database_class(need, pooler):
    """Returns the smallest class that is sufficient with its vCPUs and price per hour, or the largest."""
    for name, cpus, memory in CLASSES:
        usable = cpus * (T4G_BASELINE if name.startswith("t4g") else DATABASE_SHARE)
        accepted = min(memory * 2**30 / MEMORY_PER_CONNECTION, LIMITS["connections"].value)
        if need.database_cores <= usable and (pooler or need.connections <= DATABASE_SHARE * accepted):
            break
    return name, cpus, figures.T4G_MEDIUM if name.startswith("t4g") else cpus * figures.M7G_CPU


def cost(need, mix, size, pooler):
    """Returns USD per month by part."""
    jobs = need.rate * MONTH
    _, _, hour = database_class(need, pooler)
    stored = max(100, need.database_gib * 1.074)
    results = jobs * mix.result_mb / 1000 * figures.MONTHS_KEPT
    return {
        "workers": need.tasks * figures.HOURS * size.task_hour(),
        "database": hour * figures.HOURS + stored * (figures.DATABASE_GB + 2 * figures.BACKUP_GB),
        "SQS": need.sqs_requests * MONTH * figures.SQS_REQUEST,
        "S3 requests": jobs * (figures.S3_WRITES_PER_JOB * figures.S3_WRITES + figures.S3_READS_PER_JOB * figures.S3_READS),
        "S3 storage": (jobs * mix.source_mb / 1000 * figures.MONTHS_KEPT + 2 * results) * figures.S3_GB + results * figures.REPLICATION_GB,
        "logs": (jobs * figures.LOG_KB_PER_JOB / 1e6 + need.tasks * figures.HOURS * 60 * figures.EMF_KB_PER_MINUTE / 1e6)
                * (figures.LOG_GB + 3 * figures.LOG_STORED_GB),
    }


def cells(per_minute, mix, size, pooler):
    """Returns the smallest number of equal cells of which no limit is full, and the demand of one cell."""
    number = 1
    while (need := demand(per_minute / number, mix, size)).first(pooler)[1] > 1:
        # The demand is nearly proportional to the rate.
        number = max(number + 1, math.floor(number * need.first(pooler)[1]))
    return number, need
