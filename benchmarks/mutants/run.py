"""Runs tests on a copy of the example: as it is, or with one change, until one of them fails."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutants.claims import COLD_TESTS
from benchmarks.mutants.warm import COLD, Warm

_LEFT_OUT = shutil.ignore_patterns(".trainci", "__pycache__", "*.pyc")
# A rank that has an idle core still computes with one thread: several mutants run beside each other.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
ENVIRONMENT = {
    **_ONE_THREAD,
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
# Below the ports that Linux gives to whoever asks for any: runs side by side must not meet on one.
_PORTS = itertools.cycle(range(12000, 28000))


class OutOfTime(Exception):
    """The budget of the whole run is used up."""


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
    """``assertion``, ``crash``, ``hung`` or ``survived``; of an example as it is ``passed`` for the last."""
    by: str
    """The test that noticed."""
    said: str
    seconds: float


@dataclass(frozen=True)
class Judge:
    """Knows the example, the Python for its tests, and when everything has to be over, by ``time.monotonic()``."""

    example: Path
    python: Warm
    until: float

    def sound(self, test: str) -> Verdict:
        """What ``test`` says of the example as it is.

        :raises OutOfTime: it was not done in time.
        """
        with self._copied() as copy:
            return self._first_to_fail(copy, {test: float("inf")}, "passed")

    def changed(self, subject: Subject, patience: Mapping[str, float]) -> Verdict:
        """What the tests say of a mutant, one after the other, each of which may take its seconds of ``patience``.

        :raises OutOfTime: they were not done in time.
        """
        with self._copied() as copy:
            (copy / subject.file).write_text(subject.source, encoding="utf-8")
            return self._first_to_fail(copy, patience, "survived")

    @contextmanager
    def _copied(self) -> Iterator[Path]:
        # A rank that was killed may still be writing.
        with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as scratch:
            copy = Path(scratch) / "posttrain"
            shutil.copytree(self.example, copy, ignore=_LEFT_OUT)
            yield copy

    def _first_to_fail(self, copy: Path, patience: Mapping[str, float], otherwise: str) -> Verdict:
        started = time.monotonic()
        for test, seconds in patience.items():
            outcome, said = self._run(copy, test, seconds)
            if outcome:
                return Verdict(outcome, test, said, time.monotonic() - started)
        return Verdict(otherwise, "", "", time.monotonic() - started)

    def _run(self, copy: Path, test: str, patience: float) -> tuple[str, str]:
        left = self.until - time.monotonic()
        if left <= 0:
            raise OutOfTime
        command, extra = _command(test)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TRAINCI_")}
        environment |= {**ENVIRONMENT, "MASTER_PORT": str(next(_PORTS)), **extra}
        environment |= COLD if test in COLD_TESTS else {}
        with (copy / "errors.txt").open("w+", encoding="utf-8") as errors:
            try:
                code = self.python.run(command, copy, environment, errors.fileno(), min(patience, left))
            except TimeoutError:
                if left < patience:
                    raise OutOfTime from None
                return "hung", f"not done after {patience:.0f} s"
            if code == 0:
                return "", ""
            errors.seek(0)
            return _said(errors.read())


def _command(test: str) -> tuple[list[str], dict[str, str]]:
    """Of a line of the claims: what Python gets, and the variables that stand before it."""
    words = shlex.split(test)
    extra = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_0-9]+=", word))
    return [word for word in words if word.partition("=")[0] not in extra], extra


def _said(text: str) -> tuple[str, str]:
    """The last error of the test itself: ranks' lines begin with their number.

    Where a test asserts that a process ended well, and quotes what it said, it is that process that crashed.
    """
    own = [line for line in text.splitlines() if not line.lstrip().startswith("[rank")]
    for form in (r"(?:E\s+)?AssertionError: (.*)", r"E\s+(assert .*)", r"AssertionError()$"):  # E begins pytest's
        found = [match[1] for match in (re.match(form, line) for line in own) if match]
        if found and not re.match(r"\[rank|Traceback|W\d{4} ", found[-1]):
            return "assertion", found[-1][:300]
    errors = [line for line in text.splitlines() if re.search(r"(?<!:raises )\b\w*(Error|Exception)\b: ", line)]
    last = errors[-1] if errors else own[-1] if own else ""
    return "crash", re.sub(r"^(E\s+)?\s*(\[rank\d+\]:\s*)*", "", last)[:300]
