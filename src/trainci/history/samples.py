"""How busy the devices of a run were while tests held them, kept beside its events: one JSON object a line."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainci.errors import MachineError
from trainci.history.json_lines import objects
from trainci.model import events
from trainci.model.look import Sample, Usage

SAMPLES = "devices.jsonl"
_INTERVAL_S = 5.0
_LONGEST_LINE = 1 << 12
_MOST_LINES = 1_000_000


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


def _sample(said: Mapping[str, Any]) -> Sample | None:
    at, device, percent, memory = (said.get(name) for name in ("at", "device", "percent", "memory"))
    if not (isinstance(at, float) and math.isfinite(at) and isinstance(device, str)):
        return None
    if not (type(memory) is int and 0 <= memory < 1 << 50):
        return None
    if percent is not None and not (type(percent) is int and 0 <= percent <= 100):
        return None
    return Sample(at, device, percent, memory)
