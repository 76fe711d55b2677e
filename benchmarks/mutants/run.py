"""Runs one mutant: a copy of the example, the change, and the tests that claim its ground until one fails."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 480
_LEFT_OUT = shutil.ignore_patterns(".trainci", "__pycache__", "*.pyc")


@dataclass(frozen=True)
class Subject:
    """A file of the example with one change."""

    kind: str
    """``by hand`` or ``by rule``."""
    family: str
    what: str
    met: str
    file: str
    source: str


@dataclass(frozen=True)
class Verdict:
    outcome: str
    """``assertion``, ``crash``, ``hung`` or ``survived``."""
    by: str
    """The test that noticed."""
    said: str
    seconds: float


def judge(example: Path, subject: Subject, tests: list[str]) -> Verdict:
    """What the tests make of it, one after the other."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as scratch:
        copy = Path(scratch) / "posttrain"
        shutil.copytree(example, copy, ignore=_LEFT_OUT)
        (copy / subject.file).write_text(subject.source, encoding="utf-8")
        for test in tests:
            outcome, said = _run(copy, test)
            if outcome:
                return Verdict(outcome, test, said, time.monotonic() - started)
    return Verdict("survived", "", "", time.monotonic() - started)


def _run(copy: Path, test: str) -> tuple[str, str]:
    words = test.split()
    extra = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_0-9]+=", word))
    command = [sys.executable, *(word for word in words if word.partition("=")[0] not in extra)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRAINCI_")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **extra}
    with (copy / "errors.txt").open("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command, cwd=copy, env=environment, stdout=errors, stderr=errors, start_new_session=True
        )
        try:
            code = process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            _end(process.pid)
            process.wait()
            return "hung", f"not done after {TIMEOUT_S} s"
        _end(process.pid)  # what it left behind
        if code == 0:
            return "", ""
        errors.seek(0)
        return _said(errors.read())


def _end(session: int) -> None:
    """Kill every process of the session, and so the ranks that torchrun started in groups of their own."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if os.getsid(int(entry.name)) == session:
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue


def _said(text: str) -> tuple[str, str]:
    """The last error of the test itself: ranks' lines begin with their number."""
    own = [line for line in text.splitlines() if not line.lstrip().startswith("[rank")]
    for form in (r"(?:E\s+)?AssertionError: (.*)", r"E\s+(assert .*)", r"AssertionError()$"):  # E begins pytest's
        found = [match[1] for match in (re.match(form, line) for line in own) if match]
        if found:
            return "assertion", found[-1][:300]
    errors = [line for line in text.splitlines() if re.search(r"\b\w*(Error|Exception)\b: ", line)]
    return "crash", re.sub(r"^\s*(\[rank\d+\]:)+\s*", "", errors[-1] if errors else own[-1] if own else "")[:300]


def as_row(subject: Subject, verdict: Verdict) -> dict[str, Any]:
    row = {**asdict(subject), **asdict(verdict)}
    del row["source"]
    return row
