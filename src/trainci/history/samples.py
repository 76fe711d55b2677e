"""How busy the devices of a run were while tests held them, kept beside its events: one JSON object a line."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainci.errors import MachineError
from trainci.history.json_lines import objects, objects_of
from trainci.history.tail import Tail
from trainci.model import events
from trainci.model.look import Sample, Usage

SAMPLES = "devices.jsonl"
_INTERVAL_S = 5.0
_LONGEST_LINE = 1 << 12
_MOST_LINES = 1_000_000
_MOST_KEPT = 2000
_MOST_DEVICES = 1024


class Sampler:
    """A listener of the run that asks ``usage`` of the devices that tests hold, from a thread of its own.

    It is an extra: what cannot be asked or written is left out. ``clock`` gives Unix times.
    """

    def __init__(
        self,
        folder: Path,
        usage: Callable[[Sequence[str]], Sequence[Usage]],
        clock: Callable[[], float],
        interval: float = _INTERVAL_S,
    ) -> None:
        self._file = folder / SAMPLES
        self._usage = usage
        self._clock = clock
        self._interval = interval
        self._held: dict[str, tuple[str, ...]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)

    def __call__(self, event: events.Control) -> None:
        """Listen to the run."""
        match event:
            case events.Granted() if event.devices:
                self._held[event.test_id] = event.devices
                if not (self._thread.is_alive() or self._over.is_set()):
                    # Where the host gives no more threads, nobody asks.
                    with contextlib.suppress(RuntimeError):
                        self._thread.start()
            case events.Ended():
                self._held.pop(event.test_id, None)

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._interval):
            # The loop changes it meanwhile: a copy.
            held = [device for devices in list(self._held.values()) for device in devices]
            try:
                found = self._usage(held)
                if held and not found:
                    # Virtual devices: there is nothing to see of them.
                    self._over.set()
                self._write(found)
            except (MachineError, OSError):
                continue

    def _write(self, found: Sequence[Usage]) -> None:
        at = self._clock()
        said = ({"at": at, "device": one.device, "percent": one.percent, "memory": one.memory} for one in found)
        lines = "".join(f"{json.dumps(one)}\n" for one in said)
        if lines:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            with os.fdopen(os.open(self._file, flags, 0o644), "w", encoding="ascii") as file:
                file.write(lines)


def read_samples(folder: Path) -> Iterator[Sample]:
    """What is kept of the run in ``folder``, without lines that are no sample."""
    return filter(None, map(_sample, objects(folder / SAMPLES, _LONGEST_LINE, _MOST_LINES)))


class NewSamples:
    """The samples of a run that may go on, read on from the last look.

    Of each device at most ``_MOST_KEPT`` are kept: where there are more, neighbours become one, with the largest of
    what they say.
    """

    def __init__(self, folder: Path) -> None:
        self._tail = Tail(folder / SAMPLES, _LONGEST_LINE)
        self._kept: dict[str, _Kept] = {}

    def look(self) -> list[Sample]:
        """All so far, those of one device after those of another."""
        for sample in filter(None, map(_sample, objects_of(self._tail.lines()))):
            if sample.device in self._kept or len(self._kept) < _MOST_DEVICES:
                self._kept.setdefault(sample.device, _Kept()).add(sample)
        return [sample for kept in self._kept.values() for sample in kept.samples]


class _Kept:
    """The samples of one device; each stands for as many as ``_each``."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._each, self._of_last = 1, 0

    def add(self, sample: Sample) -> None:
        if self.samples and self._of_last < self._each:
            self.samples[-1] = _larger(self.samples[-1], sample)
            self._of_last += 1
            return
        if len(self.samples) == _MOST_KEPT:
            self.samples = list(map(_larger, self.samples[::2], self.samples[1::2]))
            self._each *= 2
        self.samples.append(sample)
        self._of_last = 1


def _larger(one: Sample, other: Sample) -> Sample:
    percents = [sample.percent for sample in (one, other) if sample.percent is not None]
    return replace(one, percent=max(percents, default=None), memory=max(one.memory, other.memory))


def _sample(said: Mapping[str, Any]) -> Sample | None:
    at, device, percent, memory = (said.get(name) for name in ("at", "device", "percent", "memory"))
    if not (isinstance(at, float) and math.isfinite(at) and isinstance(device, str)):
        return None
    if not (type(memory) is int and 0 <= memory < 1 << 50):
        return None
    if percent is not None and not (type(percent) is int and 0 <= percent <= 100):
        return None
    return Sample(at, device, percent, memory)
