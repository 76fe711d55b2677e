"""A proposal without what ``trainci check`` would refuse: each such thing becomes a comment with its reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

from trainci.adopt.proposal import Note, Place, Proposal, Suite
from trainci.adopt.toml import entry_line, render

Fault = tuple[tuple[str | int, ...], str]
# What is left out can bring out another fault; each turn takes at least one thing out.
_MOST_TURNS = 20


def accepted(proposal: Proposal, faults_of: Callable[[str], Sequence[Fault]]) -> Proposal:
    """The proposal, without what is at fault. ``faults_of`` gives the faults of a trainci.toml, by path of keys."""
    for _ in range(_MOST_TURNS):
        faults = faults_of(render(proposal))
        if not faults:
            break
        proposal = _without(proposal, faults)
    return proposal


def _without(proposal: Proposal, faults: Sequence[Fault]) -> Proposal:
    by_suite: dict[str, list[Fault]] = defaultdict(list)
    project, workflow, notes = proposal.project, proposal.workflow, list(proposal.notes)
    for path, sentence in faults:
        match path:
            case ("suites", str(name), *rest):
                by_suite[name].append((tuple(rest), sentence))
            case ("project", str(key), *rest):
                project, note = _cleared(project, key, rest, sentence, Place("trainci.toml", 1))
                notes.append(note)
            case ("workflow", str(key), *rest):
                workflow, note = _cleared(workflow, key, rest, sentence, Place("trainci.toml", 1))
                notes.append(note)
    suites: list[Suite] = []
    for suite in proposal.suites:
        made = _suite(suite, by_suite[suite.name], notes) if suite.name in by_suite else suite
        suites += [made] if made else []
    return replace(proposal, project=project, workflow=workflow, suites=tuple(suites), notes=tuple(notes))


def _suite(suite: Suite, faults: Sequence[Fault], notes: list[Note]) -> Suite | None:
    """The suite without what is at fault; None, with a note, where that is the suite itself."""
    entries = {path[1]: sentence for path, sentence in faults if path[:1] == ("tests",) and len(path) > 1}
    for number, sentence in entries.items():
        entry = suite.tests[int(number)]
        note = Note(f"{entry_line(entry)}: {sentence}", entry.place)
        suite = replace(suite, notes=(*suite.notes, note))
    kept = tuple(entry for number, entry in enumerate(suite.tests) if number not in entries)
    suite = replace(suite, tests=kept)
    for path, sentence in faults:
        if not path or path == ("tests",):
            notes.append(Note(f"the suite {suite.name} with {len(suite.tests)} tests: {sentence}", suite.place))
            return None
        if path[0] != "tests":
            suite, note = _cleared(suite, str(path[0]), path[1:], sentence, suite.place)
            suite = replace(suite, notes=(*suite.notes, note))
    return suite


def _cleared(table: Any, key: str, rest: Sequence[str | int], sentence: str, place: Place) -> tuple[Any, Note]:
    """The table without the value, or that item of it, which the path names."""
    field = next((one for one in fields(table) if one.name == key), None)
    if field is None:
        return table, Note(f"{key}: {sentence}", place)
    value, at = getattr(table, key), rest[0] if rest else None
    if isinstance(value, tuple) and at is not None:
        names = [one[0] if _is_pair(one) else number for number, one in enumerate(value)]
        kept = tuple(one for name, one in zip(names, value, strict=True) if name != at)
        if kept != value:
            return replace(table, **{key: kept}), Note(f"{key}: {sentence}", place)
    return replace(table, **{key: field.default}), Note(f"{key}: {sentence}", place)


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2
