"""How the processes of a job ended, as the probe in them wrote it down: where they do so, and how it is read.

The file is one that the test's own code can write: it is bounded, and can turn green to red alone.
"""

from __future__ import annotations

import contextlib
import mmap
from dataclasses import replace
from pathlib import Path

from trainci import probe
from trainci.executors.base import Job
from trainci.host import files
from trainci.model.run import Ending, Failure, Phase
from trainci.paths import RunPaths
from trainci.reported_ends import failures

_LARGEST = 40 << 20


def variables(job: Job, python_path: str) -> dict[str, str]:
    """What each Python process of ``job`` is told; ``python_path`` is its PYTHONPATH otherwise."""
    return {
        probe.ENDS_VARIABLE: str(RunPaths.ends(job.log)),
        "PYTHONPATH": probe.python_path_with(python_path),
    }


def collect(job: Job, ending: Ending) -> tuple[Failure, ...]:
    """What failed in ``job``, which has ended, though its exit code is 0."""
    if job.phase is Phase.PREPARE or not ending.passed:
        return ()
    try:
        with files.open_plain(RunPaths.ends(job.log)) as file:
            lines = file.read(_LARGEST).splitlines()
    except OSError:
        return ()
    found = failures(lines, lambda text: _holds(job.log, text))
    return tuple(replace(one, certain=one.certain and not job.test.expects_failure) for one in found)


def discard(job: Job) -> None:
    """Remove what was written down, once it is in the events of the run."""
    with contextlib.suppress(OSError):
        RunPaths.ends(job.log).unlink()


def _holds(log: Path, text: str) -> bool:
    """Whether the log shows ``text``."""
    try:
        with files.open_plain(log) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as all_of_it:
            return all_of_it.find(text.encode("utf-8", "surrogateescape")) >= 0
    except (OSError, ValueError):  # an empty file cannot be mapped
        return False
