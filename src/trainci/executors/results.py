"""The results that tests leave beside their log: how a command is told to, and how they are read afterwards.

Both are files that the test's own code can write, so whatever they hold is bounded and taken for hostile.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from trainci import probe
from trainci.executors.base import Job
from trainci.executors.inherited import inherited
from trainci.framework_ends import UnittestEnd, pytest_end, unittest_end
from trainci.host import files
from trainci.items import LARGEST_FILE, BrokenResults, read_junit
from trainci.model.run import Item, Phase, Results
from trainci.model.tests import Step, Test
from trainci.paths import RunPaths
from trainci.probe import steps as step_runner
from trainci.text import counted

_LARGEST_REPORT = 1 << 20
_LARGEST_METRICS = 1 << 24
# Where a framework's last words are looked for: what libraries say at Python's exit comes after them.
_END_BYTES = 1 << 16


def command(job: Job) -> tuple[str, ...]:
    """The words that start ``job``, told where to leave results."""
    test = job.test
    if not test.steps:
        return _with_results(test.command, RunPaths.results(job.log)) if test.leaves_results else test.command
    paths = [RunPaths.results(job.log, number) for number, _ in enumerate(test.steps, start=1)]
    steps = [
        {
            "name": step.name,
            "command": _with_results(step.command, path) if step.leaves_results else step.command,
            "env": {
                **_with_probe(dict(step.env)),
                **_told(step.framework, (*test.env, *step.env), path),
            },
        }
        for path, step in zip(paths, test.steps, strict=True)
    ]
    # Isolated and by its file, so that nothing of the repository or of the test's environment gets into it.
    return (sys.executable, "-I", step_runner.__file__, str(RunPaths.steps(job.log)), json.dumps(steps))


def _with_probe(env: dict[str, str]) -> dict[str, str]:
    """A step's own PYTHONPATH goes before that of its test, and the probe's stays before both."""
    return {**env, "PYTHONPATH": probe.python_path_with(env["PYTHONPATH"])} if "PYTHONPATH" in env else env


def variables(job: Job) -> dict[str, str]:
    """What a program that runs pytest itself is told by its environment, which it may ignore."""
    if job.phase is Phase.PREPARE:
        return {}
    return _told(job.test.framework, job.test.env, RunPaths.results(job.log))


def _told(framework: str, env: Iterable[tuple[str, str]], path: Path) -> dict[str, str]:
    if framework != "pytest":
        return {}
    before = dict(env).get("PYTEST_ADDOPTS", inherited(os.environ).get("PYTEST_ADDOPTS", ""))
    return {"PYTEST_ADDOPTS": f"{before} {shlex.join(_options(path))}".strip()}


def collect(job: Job) -> Results | None:
    """What ``job``, which has ended, left; None for a test that leaves nothing, or only prepared."""
    if job.phase is Phase.PREPARE:
        return None
    if job.test.steps:
        return _steps(job)
    return _left(job.test, RunPaths.results(job.log), lambda: _end_of(job.log))


def _left(what: Test | Step, path: Path, end: Callable[[], str]) -> Results | None:
    """What a test or a step left: in its report at ``path``, and at the ``end`` of what it printed."""
    if what.framework == "unittest":
        return _of_unittest(what, unittest_end(end()))
    if what.leaves_results or (what.framework == "pytest" and path.exists()):
        results = _junit(path)
        return replace(results, fault=results.fault or pytest_end(end()).fault)
    if what.framework == "pytest":
        said = pytest_end(end())
        fault = said.fault or ("pytest left no results" if what.hands_over and not said.summary else "")
        if what.may_turn_away and not (fault or said.summary):
            return Results((Item("pytest", "skipped", message="the script ended before it"),))
        return Results(fault=fault) if fault else None
    return None


def _of_unittest(what: Test | Step, end: UnittestEnd | None) -> Results | None:
    if end is None:
        return Results(fault="unittest did not come to its end") if what.hands_over else None
    if end.ran > end.not_passed:
        return None
    said = "unittest passed none"
    return Results((Item(counted(end.ran, "test"), "skipped", message=said),) if end.ran else ())


def _end_of(log: Path, step: int = 0, steps: int = 0) -> str:
    """The end of what a test printed, or one step of it."""
    try:
        with files.open_plain(log) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            end = text.rfind(f"{step_runner.place(step, steps)} ended".encode()) if step else len(text)
            begin = text.rfind(f"{step_runner.place(step, steps)} begins".encode(), 0, max(0, end)) if step else 0
            return text[max(0, begin, end - _END_BYTES) : max(0, end)].decode("utf-8", "replace")
    except (OSError, ValueError):  # an empty file cannot be mapped
        return ""


def _with_results(words: tuple[str, ...], path: Path) -> tuple[str, ...]:
    """Last, so that they outweigh what the entry's own arguments say."""
    return (*words, *_options(path))


def _options(path: Path) -> tuple[str, ...]:
    return ("-o", "junit_family=xunit2", f"--junitxml={path}")


def _junit(path: Path) -> Results:
    try:
        data = files.read_plain(path, LARGEST_FILE + 1)
    except OSError as error:
        return Results(fault=f"pytest left no results ({error.strerror})")
    try:
        return Results(read_junit(data).items)
    except BrokenResults as error:
        return Results(fault=f"what pytest left cannot be read: {error}")


def _steps(job: Job) -> Results:
    """One item for each step, and below it those of its tests."""
    told = _told_steps(RunPaths.steps(job.log))
    items: list[Item] = []
    faults = [] if any(told.values()) else ["no step ended"]
    for number, step in enumerate(job.test.steps, start=1):
        name = f"step {number} of {len(job.test.steps)}: {step.name}"
        if number not in told:
            items.append(Item(name, "skipped", message="not started"))
            continue
        if (ended := told[number]) is None:
            items.append(Item(name, "error", message="had begun when the test was ended"))
            continue
        code, seconds = ended
        results = _left(
            step, RunPaths.results(job.log, number), partial(_end_of, job.log, number, len(job.test.steps))
        )
        items.append(_step_item(name, code, seconds, results))
        items += results.items if results else ()
        if results and results.fault:
            faults.append(f"step {number}: {results.fault}")
    return Results(tuple(items), "; ".join(faults))


def _step_item(name: str, code: int, seconds: float, results: Results | None) -> Item:
    if code:
        return Item(name, "failed", seconds, f"exit code {code}")
    if results is None:
        return Item(name, "passed", seconds)
    if not results.items:
        return Item(name, "failed", seconds, results.fault or "nothing ran")
    skipped = all(item.outcome == "skipped" for item in results.items)
    said = f"all of its {counted(len(results.items), 'item')} skipped" if skipped else ""
    return Item(name, "skipped" if skipped else "passed", seconds, said)


def _told_steps(path: Path) -> dict[int, tuple[int, float] | None]:
    """Each step that began, by its number; with its exit code and its seconds, once it ended."""
    try:
        lines = files.read_plain(path, _LARGEST_REPORT).splitlines()
    except OSError:
        return {}
    return dict(told for line in lines for told in _told_step(line))


def _told_step(line: bytes) -> Iterator[tuple[int, tuple[int, float] | None]]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return
    if not isinstance(said, dict):
        return
    number, code, seconds = (said.get(key) for key in ("step", "exit_code", "seconds"))
    if type(number) is int:
        is_ended = type(code) is int and isinstance(seconds, float) and math.isfinite(seconds)
        yield number, (code, seconds) if is_ended else None  # type: ignore[misc]


def mask_metrics(job: Job, mask: Callable[[str], str]) -> None:
    """Take secrets out of what ``job`` recorded of itself: it wrote that past us, and it stays beside its log."""
    path = RunPaths.metrics(job.log)
    try:
        data = files.read_plain(path, _LARGEST_METRICS).decode("utf-8", "surrogateescape")
        if (masked := mask(data)) != data:
            files.replace(path, masked.encode("utf-8", "surrogateescape"))
    except OSError:
        # There is none, or there is no room for another: then none stays.
        with contextlib.suppress(OSError):
            path.unlink()


def discard(job: Job) -> None:
    """Remove what ``job`` left: its content goes on in the events of the run, which must have it before."""
    steps = (RunPaths.results(job.log, number) for number, _ in enumerate(job.test.steps, start=1))
    for path in (RunPaths.results(job.log), RunPaths.steps(job.log), *steps):
        with contextlib.suppress(OSError):
            path.unlink()
