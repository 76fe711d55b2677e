"""``python -m pytest``: files that hold tests and are no programs, folders of them, and single tests of them."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace

from trainci.catalog.always_green import pytest_runs_nothing
from trainci.catalog.declarations import constants
from trainci.catalog.lost import LostResult
from trainci.catalog.main_block import main_blocks
from trainci.catalog.names import Names
from trainci.catalog.python.lost import lost_in_tests, lost_results
from trainci.catalog.python.not_collected import not_collected
from trainci.catalog.source import read_source
from trainci.catalog.styles.base import Source, as_word
from trainci.model.tests import Declarations, Entry
from trainci.text import printable

_MARKER = "mark.num_gpus"
_CONFIGURES = ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
_TEST = re.compile(rb"^(?:async )?def test|^class Test|^class \w+\(.*TestCase\):", re.MULTILINE)
# What only the tree of a file tells: how many devices it takes, and what a program of its own does.
_SAYS_MORE = re.compile(
    rb"NUM_GPUS|NUM_NODES|REQUIRES_GPU|METRICS|num_gpus|__main__(?!.{,9}\s+(?:unittest|pytest)\.main)"
)
_OWN_NAMES = re.compile(rb"python_(?:classes|functions)")


class Pytest:
    """See Style."""

    suffix = ".py"
    leaves_results = True

    def recognises(self, source: Source) -> bool:
        """See Style."""
        return source.is_folder or (source.file.endswith(".py") and holds_tests(source.tree))

    def read(self, source: Source) -> Declarations:
        """See Style. NUM_GPUS is a constant, or the largest number of a marker ``num_gpus``."""
        if flag := pytest_runs_nothing(source.words):
            sentence = f"{printable(source.file)}:1: `pytest {flag}` runs no test. Take it out of `args`."
            return Declarations(needs_count=False, refusal=sentence)
        # Most such files need no device, and say nothing about it; a plugin runs a README or a notebook.
        if source.is_folder or not source.file.endswith(".py"):
            return Declarations(needs_count=False)
        names = Names(source.tree)
        lost = (*lost_in_tests(source.tree, names), *_in_functions(source.tree, names), *_not_collected(source))
        remarks = tuple(dict.fromkeys((one.line, f"perhaps {one}") for one in lost))
        says = replace(constants(source.tree, source.file), needs_count=False, remarks=remarks)
        if says.fault or says.num_gpus is not None:
            return says
        markers = list(_markers(source.tree)) if b"num_gpus" in source.text else []
        for marker in markers:
            if _number(marker) is None:
                place = f"{printable(source.file)}:{marker.lineno}"
                return replace(says, fault=f"{place}: the marker num_gpus takes one whole number: num_gpus(2)")
        largest = max(markers, key=lambda marker: _number(marker) or 0, default=None)
        return says if largest is None else replace(says, num_gpus=_number(largest), line=largest.lineno)

    def command(self, entry: Entry, num_gpus: int, python: tuple[str, ...]) -> tuple[str, ...]:
        """See Commands."""
        return (*python, "-m", "pytest", f"{as_word(entry.file)}{entry.node}", *entry.args)


def unread(source: Source, fault: str) -> Declarations | None:
    """A file of pytest's that has no tree here, for the reason ``fault``; None where it cannot be told how it runs.

    It can be run for all that: pytest is red where it does not parse for the tests' own Python either.
    """
    with contextlib.suppress(OSError):
        text = read_source(source.root, source.file, parsed=False)
        if _TEST.search(text) and not _SAYS_MORE.search(text):
            return Declarations(needs_count=False, style="pytest", unread=fault)
    return None


def _in_functions(tree: ast.Module, names: Names) -> Iterator[LostResult]:
    """What functions of the file throw away that a ``__main__`` block calls, as the tests may; not the block."""
    for block in main_blocks(tree):
        own = range(block.lineno, (block.end_lineno or block.lineno) + 1)
        yield from (one for one in lost_results(block, names) if one.line not in own)


def _not_collected(source: Source) -> Iterator[LostResult]:
    """See ``not_collected``, where the repository has no names of its own for tests."""
    found = tuple(not_collected(source.tree))
    for name in _CONFIGURES if found else ():
        with contextlib.suppress(OSError):
            if _OWN_NAMES.search(read_source(source.root, name)):
                return
    yield from found


def holds_tests(tree: ast.Module) -> bool:
    """Would pytest or unittest find tests in it, by their usual names?"""
    return any(_is_test(node) for node in _top_level(tree.body))


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those below an ``if``, ``try`` or ``with`` included."""
    for node in body:
        yield node
        for inner in ("body", "orelse", "finalbody"):
            if isinstance(node, (ast.If, ast.Try, ast.With)):
                yield from _top_level(getattr(node, inner, []))


def _is_test(node: ast.stmt) -> bool:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return node.name.startswith("test")
    if isinstance(node, ast.ClassDef):
        inherited = any(ast.unparse(base).rpartition(".")[2].endswith("TestCase") for base in node.bases)
        named = node.name.startswith("Test")
        # What it inherits of may be a TestCase under a name of its own; pytest is red where it is none.
        return inherited or (named and bool(node.bases)) or ((named or bool(node.bases)) and _has_test(node))
    if isinstance(node, ast.ImportFrom):
        # Tests that another file holds are run wherever their names are.
        names = [alias.asname or alias.name for alias in node.names]
        of_tests = (node.module or "").rpartition(".")[2].startswith("test_")
        return any(name.startswith(("test_", "Test")) or (name == "*" and of_tests) for name in names)
    # A file that pytest skips as a whole may have left its tests for later.
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and any(one.arg == "allow_module_level" for one in call.keywords)


def _has_test(node: ast.ClassDef) -> bool:
    methods = (
        inner for inner in _top_level(node.body) if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    return any(method.name.startswith("test") for method in methods)


def _markers(tree: ast.Module) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = ast.unparse(node.func) if node.func.attr == "num_gpus" else ""
            if name == _MARKER or name.endswith(f".{_MARKER}"):
                yield node


def _number(marker: ast.Call) -> int | None:
    values = [*marker.args, *(keyword.value for keyword in marker.keywords)]
    value = values[0].value if len(values) == 1 and isinstance(values[0], ast.Constant) else None
    return value if type(value) is int and value >= 0 else None
