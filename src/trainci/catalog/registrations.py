"""Tests that name their suites in their own files, by ``CI_SUITES = […]`` or a call of the repository's own marker.

Read like NUM_GPUS: the file is never imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainci.catalog.declarations import parse
from trainci.catalog.source import read_source
from trainci.findings import Finding
from trainci.model.project import Project
from trainci.model.tests import Entry
from trainci.text import printable

CONSTANT = "CI_SUITES"
# The arguments of a marker that are told by their place.
_PLACES = ("est_time", "suite")


@dataclass(frozen=True)
class Registration:
    """A file names ``suite`` on ``line``; what else it says there of its test."""

    suite: str
    line: int
    num_gpus: int | None = None
    expected: float | None = None
    disabled: str = ""


class Unreadable(ValueError):
    """A registration that says something which is no constant."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line


def register(root: Path, project: Project, files: Iterable[str]) -> tuple[Project, tuple[Finding, ...]]:
    """``project`` with the tests of ``files`` that register themselves, and what is wrong with how they do."""
    suites = {suite.name: suite for suite in project.suites}
    faults: list[Finding] = []
    words = tuple(word.encode() for word in (CONSTANT, *project.registers))
    for file in files:
        try:
            found = _read(root, file, words, project.registers)
        except Unreadable as error:
            faults.append(Finding(file, error.line, str(error)))
            continue
        for one in found:
            suite = suites.get(one.suite)
            if suite is None or suite.changed or suite.all_tests:
                known = ", ".join(s.name for s in project.suites if not (s.changed or s.all_tests)) or "none"
                what = f"{printable(one.suite)} is no suite of {project.config_file} to register for"
                faults.append(Finding(file, one.line, f"{what}; there are: {known}."))
                continue
            entry = Entry(
                file=file,
                num_gpus=one.num_gpus,
                expected=one.expected,
                disabled=one.disabled,
                where=f"{file}:{one.line}",
            )
            if entry.id not in {other.id for other in suite.entries}:
                suites[one.suite] = replace(suite, entries=(*suite.entries, entry))
    return replace(project, suites=tuple(suites.values())), tuple(faults)


def _read(root: Path, file: str, words: tuple[bytes, ...], calls: tuple[str, ...]) -> tuple[Registration, ...]:
    try:
        # Most files register nothing, and parsing is what takes time.
        source = read_source(root, file) if file.endswith(".py") else b""
        if not any(word in source for word in words):
            return ()
        tree = parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        # What cannot be read is told where it is read as a test.
        return ()
    return tuple(registrations(tree, calls))


def registrations(tree: ast.Module, calls: tuple[str, ...]) -> Iterator[Registration]:
    """What the top level of a file registers.

    :raises Unreadable: it says something that is no constant.
    """
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == CONSTANT for target in targets):
                yield from _constant(node.value)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = node.value.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in calls:
                yield _call(name, node.value)


def _constant(value: ast.expr) -> Iterator[Registration]:
    names = value.elts if isinstance(value, (ast.List, ast.Tuple)) else []
    constants = [name.value for name in names if isinstance(name, ast.Constant) and isinstance(name.value, str)]
    if not names or len(constants) != len(names):
        raise Unreadable(value.lineno, f'{CONSTANT} must be a list of names of suites, such as ["short"].')
    yield from (Registration(name, value.lineno) for name in constants)


def said_by(call: ast.Call) -> dict[str, ast.expr]:
    """What a call of a marker says, by the keywords that mean something here.

    Those of sglang's markers: ``register_cpu_ci(5, "unit")`` gives the time and the suite by their place, and
    ``stage="base-b", runner_config="1-gpu"`` are the suite ``base-b-test-1-gpu``.
    """
    said = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    first = call.args[0] if call.args else None
    if isinstance(first, ast.Constant) and type(first.value) in (int, float):
        said = {**dict(zip(_PLACES, call.args, strict=False)), **said}
    parts = [said.get(name) for name in ("stage", "runner_config")]
    texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    if "suite" not in said and len(texts) == len(parts):
        said["suite"] = ast.copy_location(ast.Constant("-test-".join(texts)), call)
    return said


def _call(name: str, call: ast.Call) -> Registration:
    said = said_by(call)
    suite = _value(name, said, "suite", str)
    if suite is None:
        raise Unreadable(call.lineno, f'{name}(…) names no suite: write suite="short".')
    seconds = _value(name, said, "est_time", (int, float))
    return Registration(
        suite,
        call.lineno,
        num_gpus=_value(name, said, "num_gpus", int),
        expected=None if seconds is None else float(seconds),
        disabled=_value(name, said, "disabled", str) or "",
    )


def _value(name: str, said: dict[str, ast.expr], key: str, kind: type | tuple[type, ...]) -> Any:
    """The constant that a call passes as ``key``; None for none."""
    node = said.get(key)
    value = node.value if isinstance(node, ast.Constant) else ...
    if node is None or value is None:
        return None
    good = isinstance(value, kind) and not isinstance(value, bool)
    if not good or (isinstance(value, (int, float)) and not 0 <= value <= 10**9):
        raise Unreadable(node.lineno, f"{key} of {name}(…) is no constant that fits: this file is read, not run.")
    return value
