"""An 8-device request against a stream of 1-device jobs that keeps the host busy at 90 %."""

from __future__ import annotations

import random
import subprocess
import time

from benchmarks.lease.tools import Bench

DEVICES = 8
LOAD = 0.9
SHORTEST_S, LONGEST_S = 1.0, 3.0
LEAD_S = 6.0


def rows(bench: Bench) -> list[tuple[str, str, str]]:
    """How long the request waited, against the longest job that ran when it arrived."""
    rng = random.Random(7)
    every = (SHORTEST_S + LONGEST_S) / 2 / (DEVICES * LOAD)
    stream: list[tuple[float, float, subprocess.Popen[bytes]]] = []
    begun = time.monotonic()
    large = None
    arrived = waited = longest = 0.0
    while not waited:
        now = time.monotonic()
        if now - begun >= len(stream) * every:
            seconds = rng.uniform(SHORTEST_S, LONGEST_S)
            command = bench.lease(DEVICES, "--time-limit", f"{seconds + 5:.1f}", "--", "sleep", f"{seconds:.2f}")
            stream.append((now, seconds, quiet(bench, command)))
        if large is None and now - begun >= LEAD_S:
            arrived = now
            longest = max(seconds for _, seconds, process in stream if process.poll() is None)
            large = quiet(bench, bench.lease(DEVICES, "--count", str(DEVICES), "--", "true"))
        if large is not None and large.poll() is not None:
            waited = time.monotonic() - arrived
        time.sleep(0.005)
    for _, _, process in stream:
        process.wait()
    return [
        (
            "8-device request in a 90 % stream: its wait",
            f"{waited:.2f} s",
            f"{waited / longest:.2f} of the longest job",
        )
    ]


def quiet(bench: Bench, command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env=bench.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
