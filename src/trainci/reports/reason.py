"""Pure: what a report says of a test that did not pass, the most telling first."""

from __future__ import annotations

import re

from trainci.model.diagnosis import Frame
from trainci.model.run import Outcome, Result, Run, Verdict
from trainci.output.screen import Screen
from trainci.text import printable

# How a refusal begins: tests/test_a.py:3: ….
_PLACE = re.compile(r"(.+?):(\d{1,9}): ", re.DOTALL)
_FINE = (Outcome.PASSED, Outcome.SKIPPED)
# A job is red for these; what the machine did comes after what the code did.
_IMPORTANCE = (
    Outcome.FAILED,
    Outcome.TIMED_OUT,
    Outcome.HUNG,
    Outcome.UNSURE,
    Outcome.REFUSED,
    Outcome.MACHINE,
    Outcome.INTERRUPTED,
    Outcome.FLAKY,
)


def is_red(result: Result) -> bool:
    """Whether the test neither passed nor was skipped."""
    return result.verdict.outcome not in _FINE


def red(run: Run) -> list[Result]:
    """The tests that are red, the most important first."""
    ranks = {outcome: rank for rank, outcome in enumerate(_IMPORTANCE)}
    found = [result for result in run.results if is_red(result)]
    return sorted(found, key=lambda result: ranks.get(result.verdict.outcome, 0))


def reason(verdict: Verdict) -> str:
    """Why, in the first line to read."""
    return printable(verdict.reason)


def place(run: Run, result: Result) -> Frame | None:
    """Where to look first: where it failed, or what its sentence names, else its file; that has no line (0)."""
    verdict = result.verdict
    file = run.files.get(result.test_id, "")
    # What a log and a sentence show of a name is not all of it.
    names = {shown: name for name in (result.test_id, file) for shown in (printable(name), _on_screen(name))}
    if verdict.diagnosis and (frame := verdict.diagnosis.frame):
        return Frame(names.get(frame.file, frame.file), frame.line)
    if (named := _PLACE.match(verdict.sentence)) and (named[1] in names or not re.search(r"\s", named[1])):
        return Frame(names.get(named[1], named[1]), int(named[2]))
    return Frame(file, 0) if file else None


def _on_screen(name: str) -> str:
    return "\n".join(Screen().feed(f"{name}\n".encode("utf-8", "replace")))


def particulars(verdict: Verdict) -> list[tuple[str, str]]:
    """What follows the reason, each with its label: the place in the repository, whose fault, by which rule."""
    diagnosis = verdict.diagnosis
    excused = [("but", printable(verdict.excused))] if verdict.excused else []
    if diagnosis is None:
        return excused
    found = [*excused, *([("at", printable(str(diagnosis.frame)))] if diagnosis.frame else [])]
    place = f"line {diagnosis.line} of the log" if diagnosis.line else printable(diagnosis.evidence)
    rule = ", ".join(part for part in (f"rule {diagnosis.rule}", place) if part)
    said = "" if reason(verdict) == printable(verdict.sentence) else f": {printable(verdict.sentence)}"
    return [*found, ("why", f"{diagnosis.blame.value} ({rule}){said}")]
