"""A model of ECS with Application Auto Scaling: target tracking on the backlog per task. scripts/scale-sim runs it.

Time is in seconds. The model follows the documentation of AWS:

- Metrics have one data point per minute, which alarms see after a delay.
- Target tracking scales out after 3 data points above the target, and in after 15 below 90 % of the target. The new
  number of tasks is the current one times metric / target, rounded up.
- During the cooldown after a scale-out, the number before this scale-out counts as the current one, and only a larger
  scale-out happens. A scale-in waits for the cooldown after the previous activity.
- New tasks start after a while. Tasks with a job are protected from scale-in.
"""

import heapq
import itertools
import math
import random
from collections import deque
from dataclasses import dataclass, field

MINUTE, HOUR, DAY = 60, 3600, 86400
# Interval of the scheduler of ECS.
SCHEDULE = 10
OUT_POINTS, IN_POINTS, IN_RATIO = 3, 15, 0.9
# Maximum duration of a simulation.
LIMIT = 20 * DAY
# A scale-in within this time after a scale-out, or the reverse, is flapping.
FLAP = 30 * MINUTE


@dataclass(frozen=True)
class Policy:
    """Parameters of the autoscaling, with the names of deploy/aws/service.yaml."""

    target: float
    out_cooldown: float
    in_cooldown: float
    min_tasks: int
    max_tasks: int
    # The number of tasks by which the metric divides: desired or running.
    divisor: str = "desired"
    protection: bool = True


@dataclass(frozen=True)
class Platform:
    """Properties of tasks and metrics."""

    slots: int = 2
    start_seconds: float = 60
    metric_delay: float = 60
    # VF_GRACE minus the last 15 s: a stopped worker finishes shorter jobs.
    grace: float = 95


@dataclass(eq=False)
class Task:
    """A running task."""

    since: float
    jobs: list = field(default_factory=list)
    stopping: bool = False


@dataclass(eq=False)
class Job:
    """A job."""

    arrival: float
    seconds: float
    attempt: int = 0


@dataclass
class Result:
    """Outcome of a simulation."""

    waits: list
    task_hours: float
    max_tasks: int
    activities: list
    interrupted: int
    seconds: float

    def percentile(self, part):
        """Returns the wait that the part of the jobs does not exceed."""
        ordered = sorted(self.waits)
        return ordered[max(math.ceil(part * len(ordered)) - 1, 0)]

    def flaps(self):
        """Returns the number of activities that reverse another one shortly before."""
        pairs = itertools.pairwise(self.activities)
        return sum(1 for (before, one), (after, two) in pairs if one * two < 0 and after - before < FLAP)


class Simulation:
    """Runs jobs, given as arrival times and durations, until the last one ends."""

    def __init__(self, policy, platform, arrivals, seed=1):
        self.policy, self.platform = policy, platform
        self.random = random.Random(seed)
        self.queue, self.tasks = deque(), [Task(0.0) for _ in range(policy.min_tasks)]
        self.starting = 0
        self.desired = self.before_scale_out = policy.min_tasks
        self.last_out = self.last_in = -math.inf
        # Data points: time, backlog, and divisor.
        self.points, self.activities = [], []
        self.waits, self.interrupted, self.used, self.peak = [], 0, 0.0, policy.min_tasks
        self.now, self.unfinished = 0.0, len(arrivals)
        self.events, self.numbers = [], itertools.count()
        for arrival, seconds in arrivals:
            self.at(arrival, self.arrive, Job(arrival, seconds))
        self.at(0, self.schedule)
        self.at(MINUTE, self.measure)

    def at(self, time, action, *arguments):
        heapq.heappush(self.events, (time, next(self.numbers), action, arguments))

    def run(self):
        while self.unfinished:
            self.now, _, action, arguments = heapq.heappop(self.events)
            if self.now > LIMIT:
                raise RuntimeError(f"{self.unfinished} jobs do not end")
            action(*arguments)
        for task in self.tasks:
            self.used += self.now - task.since
        return Result(self.waits, self.used / HOUR, self.peak, self.activities, self.interrupted, self.now)

    # --- Jobs ---

    def arrive(self, job):
        self.queue.append(job)
        self.assign()

    def assign(self):
        """Gives waiting jobs to free slots."""
        free = [task for task in self.tasks if not task.stopping for _ in range(self.platform.slots - len(task.jobs))] \
            if self.queue else []
        for task in free:
            if not self.queue:
                return
            job = self.queue.popleft()
            if job.attempt == 0:
                self.waits.append(self.now - job.arrival)
            job.attempt += 1
            task.jobs.append(job)
            self.at(self.now + job.seconds, self.finish, task, job, job.attempt)

    def finish(self, task, job, attempt):
        if job.attempt != attempt or job not in task.jobs:
            return
        task.jobs.remove(job)
        self.unfinished -= 1
        if task.stopping and not task.jobs:
            self.remove(task)
        self.assign()

    # --- Tasks ---

    def schedule(self):
        """Starts or stops tasks, as the scheduler of ECS does."""
        self.at(self.now + SCHEDULE, self.schedule)
        active = [task for task in self.tasks if not task.stopping]
        missing = self.desired - len(active) - self.starting
        for _ in range(max(missing, 0)):
            self.starting += 1
            self.at(self.now + self.platform.start_seconds, self.started)
        stoppable = [task for task in active if not (self.policy.protection and task.jobs)]
        self.random.shuffle(stoppable)
        for task in stoppable[: max(-missing, 0)]:
            self.stop(task)

    def started(self):
        self.starting -= 1
        self.tasks.append(Task(self.now))
        self.peak = max(self.peak, len(self.tasks))
        self.assign()

    def stop(self, task):
        task.stopping = True
        if not task.jobs:
            self.remove(task)
        for job in task.jobs:
            self.at(self.now + self.platform.grace, self.hand_back, task, job, job.attempt)

    def hand_back(self, task, job, attempt):
        """Returns a job that has not ended to the queue: its work is lost."""
        if job.attempt != attempt or job not in task.jobs:
            return
        task.jobs.remove(job)
        self.interrupted += 1
        self.queue.appendleft(job)
        if not task.jobs:
            self.remove(task)
        self.assign()

    def remove(self, task):
        self.tasks.remove(task)
        self.used += self.now - task.since

    # --- Autoscaling ---

    def measure(self):
        """Records a data point, and evaluates the alarms."""
        self.at(self.now + MINUTE, self.measure)
        backlog = len(self.queue) + sum(len(task.jobs) for task in self.tasks)
        running = sum(1 for task in self.tasks if not task.stopping)
        divisor = self.desired if self.policy.divisor == "desired" else running
        self.points.append((self.now, backlog / max(divisor, 1)))
        self.scale([value for time, value in self.points[-IN_POINTS - 60:] if time <= self.now - self.platform.metric_delay])

    def scale(self, values):
        policy = self.policy
        if len(values) >= OUT_POINTS and min(values[-OUT_POINTS:]) > policy.target:
            in_cooldown = self.now - self.last_out < policy.out_cooldown
            base = self.before_scale_out if in_cooldown else self.desired
            wanted = min(math.ceil(base * values[-1] / policy.target), policy.max_tasks)
            if wanted > self.desired:
                if not in_cooldown:
                    self.before_scale_out = self.desired
                self.last_out = self.now
                self.change(wanted)
        elif len(values) >= IN_POINTS and max(values[-IN_POINTS:]) < IN_RATIO * policy.target:
            if self.now - max(self.last_in, self.last_out) < policy.in_cooldown:
                return
            wanted = max(math.ceil(self.desired * values[-1] / policy.target), policy.min_tasks)
            if wanted < self.desired:
                self.last_in = self.now
                self.change(wanted)

    def change(self, wanted):
        self.activities.append((self.now, wanted - self.desired))
        self.desired = wanted


# --- Patterns of arrival ---

def pattern(name, rate):
    """Returns duration, times of bursts with their numbers of jobs, and the rate in jobs per second at a time."""
    if name == "steady":
        return 6 * HOUR, {}, lambda _: rate
    if name == "burst":
        # The jobs of two hours arrive at once.
        return 6 * HOUR, {HOUR: round(rate * 2 * HOUR)}, lambda _: rate / 10
    if name == "diurnal":
        return DAY, {}, lambda time: rate * (1 - 0.9 * math.cos(2 * math.pi * time / DAY))
    if name == "tenfold":
        return 8 * HOUR, {}, lambda time: rate * (10 if 2 * HOUR <= time < 4 * HOUR else 1)
    raise ValueError(f"no pattern '{name}'")


PATTERNS = ("steady", "burst", "diurnal", "tenfold")


def arrivals(name, load, durations, platform, seed=1):
    """Returns arrivals with recorded durations, in order. `load` is the mean number of tasks that the jobs keep busy.
    Equal seeds give equal arrivals."""
    source = random.Random(seed)
    length, bursts, rate = pattern(name, load * platform.slots * len(durations) / sum(durations))
    peak = max(rate(time) for time in range(0, length, MINUTE))
    times, time = [], 0.0
    while time < length:
        # A Poisson process whose rate varies: a part of the arrivals of one with the maximum rate.
        time += source.expovariate(peak)
        if time < length and source.random() * peak <= rate(time):
            times.append(time)
    times += [at for at, number in bursts.items() for _ in range(number)]
    return [(each, source.choice(durations)) for each in sorted(times)]
