"""A simulated fortnight of an 8-GPU host under three orders of service."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from trainci.lease.queue.policy import plan
from trainci.lease.store.records import Request, Reservation
from trainci.model.device import Device

DEVICES = tuple(Device(i, f"g{i}") for i in range(8))
FORTNIGHT_S = 14 * 86400.0
MEAN_S = 1200.0
SIZES = (1, 2, 4, 8)
WEIGHTS = (0.4, 0.25, 0.2, 0.15)


class Job:
    def __init__(self, number: int, arrival: float, size: int, seconds: float, bound: float) -> None:
        self.id = f"j{number}"
        self.arrival = arrival
        self.size = size
        self.seconds = seconds
        self.request = Request(self.id, size, DEVICES, bound)
        self.reservation = Reservation()
        self.start = 0.0


Order = Callable[[float, dict[str, float], list[Job]], list[tuple[Job, tuple[str, ...]]]]


def jobs(load: float, seed: int) -> list[Job]:
    """Poisson arrivals; durations log-normal around 20 minutes, told bounds 1 to 3 times as long."""
    rng = random.Random(seed)
    demand = sum(size * weight for size, weight in zip(SIZES, WEIGHTS, strict=True)) * MEAN_S
    made, now = [], 0.0
    while True:
        now += rng.expovariate(load * len(DEVICES) / demand)
        if now > FORTNIGHT_S:
            return made
        seconds = min(4 * 3600.0, rng.lognormvariate(0.0, 1.0) * MEAN_S / 1.6487)
        size = rng.choices(SIZES, WEIGHTS)[0]
        made.append(Job(len(made), now, size, seconds, seconds * rng.uniform(1, 3)))


def fifo(_now: float, busy: dict[str, float], queue: list[Job]) -> list[tuple[Job, tuple[str, ...]]]:
    free = [device.uuid for device in DEVICES if device.uuid not in busy]
    started = []
    for job in queue:
        if job.size > len(free):
            break
        started.append((job, tuple(free[: job.size])))
        free = free[job.size :]
    return started


def greedy(_now: float, busy: dict[str, float], queue: list[Job]) -> list[tuple[Job, tuple[str, ...]]]:
    free = [device.uuid for device in DEVICES if device.uuid not in busy]
    started = []
    for job in queue:
        if job.size <= len(free):
            started.append((job, tuple(free[: job.size])))
            free = free[job.size :]
    return started


def backfill(now: float, busy: dict[str, float], queue: list[Job]) -> list[tuple[Job, tuple[str, ...]]]:
    """The policy of the lease, with the promises that it made before."""
    promised = {job.id: job.reservation for job in queue}
    reservations = plan(now, busy, set(), [job.request for job in queue], promised)
    started = []
    for job in queue:
        job.reservation = reservations[job.id]
        if job.reservation.start <= now:
            started.append((job, job.reservation.devices))
    return started


def simulate(order: Order, work: list[Job]) -> tuple[float, float, float, float]:
    """Mean wait, longest wait, longest wait of an 8-GPU job (hours), and utilisation until the last one ends."""
    queue: list[Job] = []
    busy: dict[str, float] = {}
    ends: list[tuple[float, str, tuple[str, ...]]] = []
    arrivals = iter(work)
    following = next(arrivals, None)
    now = 0.0
    while following or ends:
        now = min([*([following.arrival] if following else []), *([ends[0][0]] if ends else [])])
        while ends and ends[0][0] <= now:
            for device in heapq.heappop(ends)[2]:
                del busy[device]
        while following and following.arrival <= now:
            queue.append(following)
            following = next(arrivals, None)
        for job, devices in order(now, dict(busy), queue):
            queue.remove(job)
            job.start = now
            busy.update((device, now + job.request.bound) for device in devices)
            heapq.heappush(ends, (now + job.seconds, job.id, devices))
    waits = [(job.start - job.arrival) / 3600 for job in work]
    large = max((wait for wait, job in zip(waits, work, strict=True) if job.size == 8), default=0.0)
    used = sum(job.seconds * job.size for job in work) / (now * len(DEVICES))
    return sum(waits) / len(waits), max(waits), large, used


def rows() -> list[tuple[str, str, str]]:
    """A row for each load and order, with the utilisation's ratio to greedy's."""
    found = []
    for load in (0.7, 0.85):
        results = {
            name: simulate(order, jobs(load, seed=1))
            for name, order in (("greedy", greedy), ("FIFO", fifo), ("backfill (ours)", backfill))
        }
        for name, (mean, longest, large, used) in results.items():
            found.append(
                (
                    f"fortnight at {load:g}: {name}",
                    f"wait {mean:.2f} h, longest {longest:.2f} h (8 GPUs: {large:.2f} h); utilisation {used:.3f}",
                    f"{used / results['greedy'][3]:.3f}, 8-GPU longest {large / results['greedy'][2]:.2f}",
                )
            )
    return found
