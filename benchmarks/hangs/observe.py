"""Runs one file of a folder of shapes by `trainci run`, in a repository of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trainci.history.event_log import read_events
from trainci.model import events

# The first line of a shape: what its verdict must say.
_EXPECTED = re.compile(r"# expect: (.+)")
# Each process of a shape prints this, and the time, as the last thing before it is stuck.
STUCK = re.compile(rb"stuck (\d{10}\.\d+)")


@dataclass(frozen=True)
class Seen:
    """What became of a run. ``late`` is how many seconds after the last process was stuck it was ended."""

    outcome: str
    sentence: str
    late: float | None
    output: str


@dataclass(frozen=True)
class Judged:
    """Whether who is stuck was named, and in time; ``cells`` are a row: the shape, named, how late, the verdict."""

    named: bool
    in_time: bool
    cells: tuple[str, ...]


def expected(shape: Path) -> re.Pattern[str]:
    """What the verdict of a shape must say.

    :raises ValueError: its first line does not tell.
    """
    match = _EXPECTED.match(shape.read_text())
    if match is None:
        raise ValueError(f"{shape.name} does not say what to expect")
    return re.compile(match[1])


@contextmanager
def repository(shape: Path, window_s: float, limit_s: float, count: int = 1) -> Iterator[Path]:
    """A repository with ``count`` tests that are ``shape``."""
    with tempfile.TemporaryDirectory(prefix="trainci-hangs-") as directory:
        root = Path(directory, "repo")
        root.mkdir()
        names = [f"test_{shape.stem}_{number}{shape.suffix}" for number in range(count)]
        for name in names:
            shutil.copy(shape, root / name)
        (root / "trainci.toml").write_text(
            f"[project]\nstall_minutes = {window_s / 60}\ntimeout_minutes = {limit_s / 60}\n"
            f"[suites.hangs]\ntests = {json.dumps(names)}\n"
        )
        yield root


def observe(root: Path, devices: str, patience_s: float) -> list[Seen]:
    """Run what stands in the repository, one after another."""
    words = [sys.executable, "-m", "trainci", "run", "hangs", "--devices", devices]
    environment = {**os.environ, "TRAINCI_LOCK_DIR": str(root.parent / "locks")}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).parents[2] / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    done = subprocess.run(
        words, cwd=root, env=environment, capture_output=True, text=True, timeout=patience_s, check=False
    )
    kept = next(root.glob(".trainci/runs/*/events.jsonl"), None)
    if kept is None:
        raise RuntimeError(f"nothing ran: {done.stdout}{done.stderr}")
    return list(_seen(read_events(kept), root, done.stdout + done.stderr))


def _seen(told: Iterable[events.Control], root: Path, output: str) -> Iterator[Seen]:
    logs: dict[str, Path] = {}
    for event in told:
        match event:
            case events.Queued():
                logs[event.test_id] = root / event.log
            case events.Concluded():
                log = logs.get(event.test_id)
                stuck = STUCK.findall(log.read_bytes()) if log else []
                late = event.at - max(map(float, stuck)) if stuck else None
                yield Seen(event.verdict.outcome.value, event.verdict.sentence, late, output)


def judged(shape: Path, seen: Seen, within_s: float) -> Judged:
    """Whether the verdict names who is stuck in ``shape``, so many seconds after that at most."""
    named = seen.outcome == "hung" and expected(shape).search(seen.sentence) is not None
    in_time = seen.late is not None and seen.late <= within_s
    late = "not known" if seen.late is None else f"{seen.late:.1f} s{'' if in_time else ' (late)'}"
    return Judged(named, in_time, (shape.stem, "yes" if named else "NO", late, f"{seen.outcome}: {seen.sentence}"))
