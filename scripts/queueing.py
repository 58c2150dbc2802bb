"""A model of a fleet of fixed size: one queue, machines with slots, and jobs that share the cores of their machine.

Time is in seconds. A free slot takes the oldest waiting job. A job has an amount of CPU time and a parallelism, the mean
number of cores that it keeps busy while it runs alone. While the jobs of a machine would keep more cores busy than there
are, all slow down by the same factor. After a job, a slot needs a while (`gap`) until it takes the next one: to commit, to
delete the message and to receive.
"""

import heapq
import itertools
import math
import random
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Work:
    """A job."""

    arrival: float
    cpu: float
    parallelism: float = 1.0


@dataclass(frozen=True)
class Fleet:
    """A number of equal machines."""

    machines: int
    slots: int
    cores: float
    gap: float = 0.0


@dataclass(frozen=True)
class Run:
    """The start and the end of each job, in the order of the jobs."""

    jobs: list
    starts: list
    ends: list

    def waits(self):
        return [start - job.arrival for job, start in zip(self.jobs, self.starts)]

    def throughput(self):
        """Returns jobs per second from the first arrival to the last end."""
        return len(self.jobs) / (max(self.ends) - min(job.arrival for job in self.jobs))


def percentile(values, part):
    """Returns the value that the part of the values does not exceed."""
    return sorted(values)[max(math.ceil(part * len(values)) - 1, 0)]


@dataclass(eq=False)
class Machine:
    """A machine and its running jobs: number of the job → CPU time that is left."""

    running: dict = field(default_factory=dict)
    since: float = 0.0
    version: int = 0


class Simulation:
    """Runs jobs until the last one ends."""

    def __init__(self, fleet, jobs, seed=1):
        self.fleet, self.jobs, self.random = fleet, jobs, random.Random(seed)
        self.machines = [Machine() for _ in range(fleet.machines)]
        self.free = [machine for machine in self.machines for _ in range(fleet.slots)]
        self.waiting, self.events, self.numbers = deque(), [], itertools.count()
        self.starts, self.ends = [math.nan] * len(jobs), [math.nan] * len(jobs)
        for number, job in enumerate(jobs):
            self.at(job.arrival, self.arrive, number)

    def at(self, time, action, *arguments):
        heapq.heappush(self.events, (time, next(self.numbers), action, arguments))

    def run(self):
        while self.events:
            now, _, action, arguments = heapq.heappop(self.events)
            action(now, *arguments)
        return Run(self.jobs, self.starts, self.ends)

    def arrive(self, now, number):
        self.waiting.append(number)
        self.assign(now)

    def assign(self, now):
        while self.waiting and self.free:
            # Every free slot waits for a message: any of them may receive it.
            index = self.random.randrange(len(self.free))
            self.free[index], self.free[-1] = self.free[-1], self.free[index]
            machine, number = self.free.pop(), self.waiting.popleft()
            self.advance(machine, now)
            machine.running[number] = self.jobs[number].cpu
            self.starts[number] = now
            self.plan(machine, now)

    def speed(self, machine):
        """Returns the factor by which the jobs of a machine are slower than alone."""
        wanted = sum(self.jobs[number].parallelism for number in machine.running)
        return min(1.0, self.fleet.cores / wanted) if wanted else 1.0

    def advance(self, machine, now):
        """Subtracts the work since the last change."""
        speed = self.speed(machine)
        for number in machine.running:
            machine.running[number] -= (now - machine.since) * self.jobs[number].parallelism * speed
        machine.since = now

    def plan(self, machine, now):
        """Schedules the next end of a job."""
        machine.version += 1
        if machine.running:
            speed = self.speed(machine)
            left, number = min((left / (self.jobs[number].parallelism * speed), number)
                               for number, left in machine.running.items())
            self.at(now + max(left, 0.0), self.finish, machine, number, machine.version)

    def finish(self, now, machine, number, version):
        if version != machine.version:
            return
        self.advance(machine, now)
        del machine.running[number]
        self.ends[number] = now
        self.plan(machine, now)
        self.at(now + self.fleet.gap, self.release, machine)

    def release(self, now, machine):
        self.free.append(machine)
        self.assign(now)


def poisson(rate, seconds, kinds, seed=1):
    """Returns jobs that arrive at random with a rate per second. `kinds` are pairs of CPU time and parallelism."""
    source, jobs, time = random.Random(seed), [], 0.0
    while (time := time + source.expovariate(rate)) < seconds:
        jobs.append(Work(time, *source.choice(kinds)))
    return jobs
