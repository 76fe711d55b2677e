"""Tests that name their suites in their own files: ``CI_SUITES = […]``, or a call of the repository's own marker.

Such a call stands at the top level, begins with ``register`` and names a constant suite:
``register_cuda_ci(est_time=80, suite="stage-b")``, or a stage and a runner. Files are parsed, never imported.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trainci.adopt.github.runners import gpus_of
from trainci.adopt.proposal import Found, Note, Place, Suite
from trainci.adopt.tree import Tree
from trainci.catalog.declarations import parse
from trainci.catalog.registrations import said_by

# What the catalog reads of such a call.
_KNOWN = {"suite", "est_time", "num_gpus", "disabled", "nightly", "stage", "runner_config"}
# How such a statement begins: thousands of files hold none, and to parse them takes the time of all the rest.
_MAY_REGISTER = re.compile(r"^(?:CI_SUITES\b|(?:\w+\s*\.\s*)*register\w*\s*\()", re.MULTILINE)


@dataclass(frozen=True)
class _Registration:
    suite: str
    call: str
    others: tuple[str, ...]
    place: Place


def read(tree: Tree) -> Found:
    """A suite for each name that a file registers for, and the markers' names."""
    found = [one for file in tree.files if file.endswith(".py") for one in _registrations(file, tree.read(file))]
    by_suite: dict[str, list[_Registration]] = defaultdict(list)
    for one in found:
        if one.suite:
            by_suite[one.suite].append(one)
    suites = [_suite(name, ones) for name, ones in by_suite.items()]
    calls = tuple(dict.fromkeys(one.call for one in found if one.call))
    return Found(tuple(suites), tuple(_unread(found)), registers=calls)


def _suite(name: str, ones: list[_Registration]) -> Suite:
    place = ones[0].place
    gpus = gpus_of([name])
    return Suite(name, num_gpus=gpus, place=place, notes=(_where(ones),), registers=True, registered=len(ones))


def _where(ones: list[_Registration]) -> Note:
    files = len({one.place.file for one in ones})
    text = f"{files} files name it themselves, first {ones[0].place}" if files > 1 else "this file names it itself"
    return Note(text, ones[0].place, left=False)


def _unread(found: list[_Registration]) -> Iterator[Note]:
    """One note for each keyword that has no meaning for the catalog."""
    first: dict[tuple[str, str], list[_Registration]] = defaultdict(list)
    for one in found:
        for keyword in one.others:
            first[one.call, keyword].append(one)
    nameless = [one for one in found if not one.suite]
    if nameless:
        text = f"{nameless[0].call}(…) names no suite that could be read ({len(nameless)} calls)"
        yield Note(text, nameless[0].place)
    for (call, keyword), ones in first.items():
        yield Note(f"{keyword} of {call}(…) has no key here ({len(ones)} calls)", ones[0].place)


def _registrations(file: str, text: str) -> Iterator[_Registration]:
    if not _MAY_REGISTER.search(text):
        return
    try:
        tree = parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # `check` says so of a test file
    for node in tree.body:
        place = Place(file, node.lineno)
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["CI_SUITES"]:
            if isinstance(node.value, (ast.List, ast.Tuple)):
                yield from (_Registration(suite, "", (), place) for suite in map(_text, node.value.elts) if suite)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            name = node.value.func.attr if isinstance(node.value.func, ast.Attribute) else _name(node.value.func)
            keywords = said_by(node.value)
            suite = _text(keywords.get("suite"))
            if name.startswith("register") and (suite or _is_marker(keywords)):
                others = tuple(
                    keyword for keyword, value in keywords.items() if keyword not in _KNOWN and not _is_empty(value)
                )
                yield _Registration(suite, name, others, place)


def _is_marker(keywords: Mapping[str, ast.expr]) -> bool:
    """Whether a call that names no suite speaks of a test's time all the same."""
    return "est_time" in keywords and bool({"suite", "stage", "runner_config"} & keywords.keys())


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _is_empty(node: ast.expr) -> bool:
    return isinstance(node, (ast.List, ast.Tuple)) and not node.elts
