"""Runs one file of a folder of shapes by `trainci run`, in a repository of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
    log = next(root.glob(".trainci/runs/*/events.jsonl"), None)
    if log is None:
        raise RuntimeError(f"nothing ran: {done.stdout}{done.stderr}")
    return list(_seen([json.loads(line) for line in log.read_text().splitlines()], root, done.stdout + done.stderr))


def _seen(told: list[dict[str, object]], root: Path, output: str) -> Iterator[Seen]:
    logs = {event["test_id"]: event["log"] for event in told if event["kind"] == "queued"}
    for event in told:
        verdict = event.get("verdict")
        if isinstance(verdict, dict):
            log = logs.get(event["test_id"])
            stuck = STUCK.findall(Path(root, str(log)).read_bytes()) if log else []
            late = float(str(event["at"])) - max(map(float, stuck)) if stuck else None
            yield Seen(str(verdict["outcome"]), str(verdict["sentence"]), late, output)
