"""How long a suite takes on one host of eight GPUs: one job a test on eight runners, against one packed job.

A simulation: nothing runs. Packed tests start as `trainci.schedule` says; a job of one test gets its GPUs from the
lease in the order of arrival, and a later one that fits goes first, which is the best that the queue can do for it.
"""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import measure
from trainci.model.tests import Test
from trainci.schedule import start_now

DEVICES, RUNNERS, SETUP = 8, 8, 90.0
SEED, LIMIT = 11, 3600.0


@dataclass(frozen=True)
class Suite:
    """Numbers of devices with how many tests take them, and the median of how long one runs, in seconds."""

    name: str
    tests: Sequence[tuple[int, int]]
    median: float


SUITES = (
    Suite("sglang-like: 60 tests of 1, 2, 4 GPUs, 2 min each", ((1, 40), (2, 14), (4, 6)), 120.0),
    Suite("sglang-like: 60 short tests, 20 s each", ((1, 40), (2, 14), (4, 6)), 20.0),
    Suite("slime-like: 31 tests of 4 and 8 GPUs, 10 min each", ((8, 24), (4, 6), (2, 1)), 600.0),
    Suite("slime-like: 51 CPU tests, 15 s each", ((0, 51),), 15.0),
)


def main() -> None:
    rows = []
    for suite in SUITES:
        seconds = durations(suite)
        tests = list(seconds)
        single = one_job_a_test(tests, seconds)
        packed = SETUP + makespan(tests, seconds, {test.id: took for test, took in seconds.items()})
        without = SETUP + makespan(tests, seconds, {})
        rows.append(
            [suite.name, *(f"{value / 60:.1f}" for value in (single, without, packed)), f"{packed / single:.2f}"]
        )
    header = ["suite", "one job a test, min", "packed without history, min", "packed, min", "ratio"]
    notes = (
        f"A simulation with the real `schedule`: one host of {DEVICES} GPUs, {RUNNERS} runners, {SETUP:.0f} s of "
        f"set-up a job, times log-normal around the median (seed {SEED}). Minutes until the last test has ended."
    )
    measure.record("packing", "A suite in one job, against one job a test", [header, *rows], notes)


def durations(suite: Suite) -> dict[Test, float]:
    """The tests of a suite in the order of its file, and how long each runs."""
    chance = random.Random(SEED)
    counts = [devices for devices, count in suite.tests for _ in range(count)]
    chance.shuffle(counts)
    tests = [Test(id=f"t{number}", num_gpus=devices, timeout=LIMIT) for number, devices in enumerate(counts)]
    return {test: suite.median * chance.lognormvariate(0, 0.6) for test in tests}


def makespan(tests: Sequence[Test], seconds: dict[Test, float], expected: dict[str, float]) -> float:
    """Seconds that one packed job runs its tests."""
    waiting, ends, now = list(tests), [], 0.0
    while waiting or ends:
        running = [test for _, _, test in ends]
        for test in start_now(waiting, running, DEVICES, DEVICES, expected):
            waiting.remove(test)
            heapq.heappush(ends, (now + seconds[test], test.id, test))
        now, _, _ = heapq.heappop(ends)
    return now


def one_job_a_test(tests: Sequence[Test], seconds: dict[Test, float]) -> float:
    """Seconds until the runners, each with one job after another, have ended the last one."""
    jobs, ready, free = list(tests), [], DEVICES
    events: list[tuple[float, str, str, Test | None]] = [
        (0.0, f"r{number}", "idle", None) for number in range(RUNNERS)
    ]
    now = 0.0
    while events:
        now, key, kind, test = heapq.heappop(events)
        if kind == "ended" and test:
            free += test.num_gpus
        if kind == "ready" and test:
            ready.append((key, test))
        elif jobs:
            heapq.heappush(events, (now + SETUP, key, "ready", jobs.pop(0)))
        for runner, fits in list(ready):
            if fits.num_gpus <= free:
                free -= fits.num_gpus
                ready.remove((runner, fits))
                heapq.heappush(events, (now + seconds[fits], runner, "ended", fits))
    return now


if __name__ == "__main__":
    main()
