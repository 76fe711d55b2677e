"""Watches whether a job makes progress, and has it ended when it makes none (see ``trainci.verdict.progress``)."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from trainci.errors import MachineError
from trainci.executors.base import Job
from trainci.host.devices.usage import usage
from trainci.looks import tree
from trainci.looks.native import with_native_frames
from trainci.looks.report import lines_of, lines_of_usage
from trainci.looks.taking import Glances, look
from trainci.model.look import Look, Usage
from trainci.paths import RunPaths
from trainci.verdict.progress import Glance, Places, Said, is_hung, places_of, silent_since
from trainci.verdict.who_hung import who

# So many times in a window it is looked at what is new, more often once it is silent, and at most so often.
_GLANCES = 25
_SILENT_GLANCES = 100
_SHORTEST_S = 0.1
# A host that is busy takes longer to look.
_KEPT = 2 * _SILENT_GLANCES
# Once it is silent for this part of the window, its stacks are looked at, too.
_SILENT = 0.2
# So long before its time limit a job is looked at, or for this part of a short one.
_BEFORE_LIMIT_S = 4.0
_PART_OF_LIMIT = 0.25


class Onlooker:
    """One job's. ``end`` has the job ended, and is called once at most.

    Once the job has ended, ``sentence`` says who hung and where, or where a job was that was ended by its time
    limit, and ``written`` is all that was seen; both are empty where there is nothing to say.
    """

    def __init__(self, job: Job, end: Callable[[], None]) -> None:
        self._job = job
        self._end = end
        self._folder = RunPaths.probe(job.log)
        self._said = Said()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._devices: Sequence[str] = ()
        self.hung = False
        self.sentence = ""
        self.written: tuple[str, ...] = ()

    def granted(self, devices: Sequence[str]) -> None:
        """The job holds these devices."""
        self._devices = devices

    def begin(self, pid: int) -> None:
        """The job's command runs, as process ``pid``."""
        thread = threading.Thread(target=self._watch, args=(pid,), daemon=True)
        # Where the host gives no more threads, nobody looks on.
        with contextlib.suppress(RuntimeError):
            thread.start()
            self._thread = thread

    def printed(self, data: bytes) -> None:
        """The job printed ``data``."""
        self._said.add(data)

    def held_back(self) -> None:
        """What the job prints is left where it is, so that it may have to wait for us."""
        self._said.news += 1

    def close(self) -> None:
        """The job has ended."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _watch(self, pid: int) -> None:
        window, begun = self._job.test.stall, time.monotonic()
        limit = self._job.time_limit
        look_at = begun + limit - min(_BEFORE_LIMIT_S, limit * _PART_OF_LIMIT)
        glances: list[Glance] = []
        looks = Glances(pid, self._folder)
        silent = False
        while not self._over.wait(self._pause(silent, look_at - time.monotonic())):
            now = time.monotonic()
            silent = bool(glances) and now - silent_since(glances) >= window * _SILENT
            # What it does is its own: whatever goes wrong here must not end a test, nor keep it.
            with contextlib.suppress(OSError):
                places = places_of(*looks.take(now), tree.is_service) if silent else None
                glances = [*glances[-_KEPT:], self._glance(pid, now, places)]
                if is_hung(glances, window):
                    self._write_down(with_native_frames(look(pid, self._folder, now)), glances)
                    self.hung = True
                    self._end()
                    return
                if now >= look_at:
                    self._write_down(look(pid, self._folder, now), glances)
                    look_at = float("inf")
                if not silent:
                    looks = Glances(pid, self._folder)

    def _pause(self, silent: bool, until_look: float) -> float:
        pause = self._job.test.stall / (_SILENT_GLANCES if silent else _GLANCES)
        return max(min(pause, until_look), _SHORTEST_S)

    def _glance(self, pid: int, now: float, places: Places | None) -> Glance:
        processes = [each for each in tree.of_job(pid) if not tree.is_service(tree.words(each.pid))]
        facts = (
            self._said.take(),
            _size(RunPaths.metrics(self._job.log)),
            tree.written(processes, self._folder),
        )
        return Glance(now, facts) if places is None else Glance(now, facts, places, self._usage())

    def _usage(self) -> tuple[Usage, ...]:
        try:
            return usage(self._devices)
        except MachineError:
            return ()

    def _write_down(self, seen: Look, glances: Sequence[Glance]) -> None:
        since = silent_since(glances)
        usages = [usage for glance in glances if glance.at >= since for usage in glance.usage]
        self.sentence = who(seen, seen.at - since)
        self.written = (*lines_of(seen), *lines_of_usage(usages, seen.at - since))


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
