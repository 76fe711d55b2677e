"""A proposal as the text of a trainci.toml, with its notes as comments at their places."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from trainci.adopt.proposal import Entry, Note, Place, Project, Proposal, Suite, Workflow
from trainci.text import listed, printable
from trainci.toml_lines import quoted

_NOT_KEYS = {"name", "place", "notes", "mounts", "container_options", "registers", "registered", "tests"}
# As many as somebody reads of one sentence.
_PLACES = 12
_HEAD = """\
# What trainci runs, and when. `trainci check` finds what is wrong here; `trainci list` shows what it means.
# `trainci init` wrote it from what this repository's CI says; each comment names the line that it came from.
"""


def render(proposal: Proposal) -> str:
    """The text. Parsed, it has the proposal's values and nothing else. What several suites say is said once."""
    said: dict[str, list[Place]] = {}
    for note in (*(note for suite in proposal.suites for note in suite.notes), *proposal.notes):
        places = said.setdefault(note.text, [])
        places += [note.place] if note.place not in places else []
    blocks = [_HEAD.rstrip("\n"), "\n".join(_project(proposal.project))]
    if proposal.registers:
        blocks.append(f"[catalog]\nregisters = {_value(proposal.registers)}")
    blocks += ["\n".join(_suite(suite, said)) for suite in proposal.suites]
    if workflow := [_line(*pair) for pair in _said(proposal.workflow)]:
        blocks.append("\n".join(["[workflow]", *workflow]))
    if proposal.notes:
        blocks.append("\n".join(["# Not carried over:", *_comments(proposal.notes, said)]))
    return "\n\n".join(blocks) + "\n"


def _project(project: Project) -> Iterator[str]:
    yield "[project]"
    for name, value in _said(project):
        if name == "max_gpus":
            yield "# Devices of the largest host; what declares none gets none."
        yield _line(name, value)


def _suite(suite: Suite, said: dict[str, list[Place]]) -> Iterator[str]:
    if suite.place.file:
        yield f"# {_shown(suite.place)}"
    yield from _comments(suite.notes, said)
    yield f"[suites.{suite.name}]"
    yield from (_line(name, value) for name, value in _said(suite) if name not in _NOT_KEYS)
    if suite.tests:
        yield "tests = ["
        for entry in suite.tests:
            yield from _comments(entry.notes, {note.text: [note.place] for note in entry.notes}, "  ")
            yield f"  {entry_line(entry)},"
        yield "]"


def entry_line(entry: Entry) -> str:
    """An entry as one value of TOML: its path, or a table."""
    table = list(_entry_pairs(entry))
    return quoted(entry.path) if [key for key, _ in table] == ["path"] else _table(table)


def _entry_pairs(entry: Entry) -> Iterator[tuple[str, str]]:
    for name, value in _said(entry):
        if name == "steps":
            yield name, f"[{', '.join(_table(_entry_pairs(step)) for step in entry.steps)}]"
        elif name not in ("place", "notes"):
            yield name, _value(value)


def _said(table: Project | Suite | Workflow | Entry) -> Iterator[tuple[str, Any]]:
    """The fields that do not keep their default."""
    for field in fields(table):
        if (value := getattr(table, field.name)) != field.default:
            yield field.name, value


def _line(name: str, value: Any) -> str:
    return f"{name} = {_list(value) if name in ('tests', 'setup') else _value(value)}"


def _comments(notes: Iterable[Note], said: dict[str, list[Place]], indent: str = "") -> Iterator[str]:
    """Each of the notes that ``said`` still has, and out of it, with every place that says it."""
    for note in notes:
        if places := said.pop(note.text, []):
            others = [str(place) for place in places[1:]]
            also = f", also {listed(others, most=_PLACES)}" if others else ""
            left = "Left to you " if note.left else ""
            yield f"{indent}# {left}({_shown(places[0])}{also}) {printable(note.text)}"


def _shown(place: Place) -> str:
    return printable(str(place))


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        return _table((name, quoted(text)) for name, text in value)
    if isinstance(value, tuple):
        return f"[{', '.join(quoted(text) for text in value)}]"
    return quoted(str(value))


def _list(value: tuple[str, ...]) -> str:
    """A list with a line for each text."""
    return "\n".join(["[", *(f"  {quoted(text)}," for text in value), "]"])


def _table(pairs: Iterable[tuple[str, str]]) -> str:
    return f"{{ {', '.join(f'{_key(key)} = {value}' for key, value in pairs)} }}"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else quoted(key)
