"""The endings in tests/cases/verdicts: a log, the facts beside it, and what is to be said of them.

Most are folders. Sets that were measured as one (blind…) are a file each: of every ending a line ``@@ name blame``,
which its facts follow where they are more than exit code 1, and its log.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainci.log_files import packaged_rules, reading_of
from trainci.model.diagnosis import Diagnosis, Facts
from trainci.verdict.diagnose import diagnose, outcome_of
from trainci.verdict.facts_file import facts_of

ROOT = Path(__file__).parents[1] / "cases/verdicts"


@dataclass(frozen=True)
class Case:
    """One ending. ``expected`` has its outcome and blame, and may have a rule and a part of the evidence."""

    name: str
    log: bytes
    facts: Facts
    expected: dict[str, Any]

    def judged(self) -> tuple[str, Diagnosis]:
        """The outcome and the diagnosis that trainci gives it."""
        diagnosis = diagnose(reading_of(io.BytesIO(self.log), packaged_rules()), self.facts)
        return outcome_of(diagnosis, self.facts).value, diagnosis


def cases(root: Path = ROOT) -> Iterator[Case]:
    """Every case, by name."""
    for folder in sorted(path for path in root.iterdir() if (path / "expected.json").is_file()):
        facts = facts_of(json.loads((folder / "facts.json").read_text()))
        log = (folder / "log").read_bytes()
        yield Case(folder.name, log, facts, json.loads((folder / "expected.json").read_text()))
    for file in sorted(root.glob("*.txt")):
        yield from _of_set(file)


def one_of(share: int, every: Iterable[Case]) -> list[Case]:
    """One of so many of them, by name: the same ones when others are added."""
    return [case for case in every if zlib.crc32(case.name.encode()) % share == 1]


_OUTCOMES = {"machine": "machine's fault", "unsure": "unsure", "code": "failed", "config": "failed"}


def _of_set(file: Path) -> Iterator[Case]:
    for block in f"\n{file.read_text()}".split("\n@@ ")[1:]:
        head, _, log = block.partition("\n")
        name, blame, *facts = head.split(None, 2)
        known = facts_of(json.loads(facts[0]) if facts else {"exit_code": 1})
        outcome = "timed out" if known.timed_out and blame != "machine" else _OUTCOMES[blame]
        yield Case(f"{file.stem}_{name}", f"{log}\n".encode(), known, {"outcome": outcome, "blame": blame})
