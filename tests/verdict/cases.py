"""The endings in tests/cases/verdicts: a log, the facts beside it, and what is to be said of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainci.log_files import packaged_rules, read_log
from trainci.model.diagnosis import Diagnosis, Facts
from trainci.verdict.diagnose import diagnose, outcome_of
from trainci.verdict.facts_file import facts_of

ROOT = Path(__file__).parents[1] / "cases/verdicts"


@dataclass(frozen=True)
class Case:
    """One ending. ``expected`` has its outcome and blame, and may have a rule and a part of the evidence."""

    name: str
    log: Path
    facts: Facts
    expected: dict[str, Any]

    def judged(self) -> tuple[str, Diagnosis]:
        """The outcome and the diagnosis that trainci gives it."""
        diagnosis = diagnose(read_log(self.log, packaged_rules()), self.facts)
        return outcome_of(diagnosis, self.facts).value, diagnosis


def cases(root: Path = ROOT) -> Iterator[Case]:
    """Every case, by name."""
    for folder in sorted(path for path in root.iterdir() if (path / "expected.json").is_file()):
        facts = facts_of(json.loads((folder / "facts.json").read_text()))
        yield Case(folder.name, folder / "log", facts, json.loads((folder / "expected.json").read_text()))
