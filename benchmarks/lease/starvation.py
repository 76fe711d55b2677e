"""An 8-device request against a stream of 1-device jobs that keeps the host busy at 90 %."""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import time

from benchmarks.lease.tools import Bench

DEVICES = 8
LOAD = 0.9
SHORTEST_S, LONGEST_S = 1.0, 3.0
LEAD_S = 6.0


class Run:
    """A lease that tells what happens to it; ``at`` is when each event came."""

    def __init__(self, bench: Bench, *arguments: str) -> None:
        self.reports, write_end = os.pipe()
        self.process = subprocess.Popen(
            bench.lease(DEVICES, "--status-fd", str(write_end), *arguments),
            env=bench.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(write_end,),
        )
        os.close(write_end)
        self.at: dict[str, float] = {}
        self._text = b""

    def take(self) -> None:
        """Take in what it has told."""
        more = os.read(self.reports, 65536)
        if not more:
            raise RuntimeError(f"a lease told {list(self.at)} and no more")
        self._text += more
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            self.at[json.loads(line)["event"]] = time.monotonic()


def rows(bench: Bench) -> list[tuple[str, str, str]]:
    """How long the request waited, against the longest job that ran when it arrived.

    Its wait is from its ticket to its grant, and a job lasts from its own grant until its device is given back.
    """
    rng = random.Random(7)
    every = (SHORTEST_S + LONGEST_S) / 2 / (DEVICES * LOAD)
    stream: list[Run] = []
    large: Run | None = None
    begun = time.monotonic()
    while large is None or "granted" not in large.at:
        if time.monotonic() - begun >= len(stream) * every:
            seconds = rng.uniform(SHORTEST_S, LONGEST_S)
            stream.append(Run(bench, "--time-limit", f"{seconds + 5:.1f}", "--", "sleep", f"{seconds:.2f}"))
        if large is None and time.monotonic() - begun >= LEAD_S:
            large = Run(bench, "--count", str(DEVICES), "--", "true")
        hear([*stream, *([large] if large else [])], begun + len(stream) * every - time.monotonic())
    while any("ended" not in run.at for run in (large, *stream)):
        hear([large, *stream], 1.0)
    for run in (large, *stream):
        run.process.wait()
        os.close(run.reports)
    arrived = large.at.get("waiting", large.at["granted"])
    waited = large.at["granted"] - arrived
    lengths = [run.at["ended"] - run.at["granted"] for run in stream if runs_at(run, arrived)]
    ahead = sum("waiting" in run.at and run.at["waiting"] < arrived < run.at["granted"] for run in stream)
    return [
        (
            f"8-device request in a 90 % stream, {len(lengths)} jobs running and {ahead} ahead of it: its wait",
            f"{waited:.2f} s",
            f"{waited / max(lengths):.2f} of the longest job",
        )
    ]


def runs_at(run: Run, moment: float) -> bool:
    return run.at["granted"] <= moment < run.at["ended"]


def hear(runs: list[Run], patience: float) -> None:
    """Take in what is told within ``patience`` seconds, if anything is."""
    telling = [run for run in runs if "ended" not in run.at]
    ready = select.select([run.reports for run in telling], [], [], max(0.0, patience))[0]
    for run in telling:
        if run.reports in ready:
            run.take()
