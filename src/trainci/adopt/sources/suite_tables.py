"""Tables of suites in Python: ``suites = {"per-commit": [TestFile("test_a.py", 80), …]}`` of a ``run_suite.py``.

A name with a dictionary of lists, whose items are a test file, or a call, a tuple or a dictionary that begins with
one. The file is parsed, never imported.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterator

from trainci.adopt.github.runners import gpus_of
from trainci.adopt.proposal import Entry, Found, Note, Place, Suite
from trainci.adopt.tree import Tree
from trainci.catalog.declarations import parse

_GPUS = ("num_gpus", "gpus", "n_gpus", "gpu_count")


def read(tree: Tree) -> Found:
    """A suite for each key of such a table; the jobs that run it give it the rest."""
    suites: list[Suite] = []
    notes: list[Note] = []
    for file in [path for path in tree.files if path.endswith(".py") and "suite" in posixpath.basename(path)]:
        try:
            module = parse(tree.read(file))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for name, listed in _tables(module):
            suite, gone = _suite(name, listed, file, tree)
            suites += [suite] if suite.tests else []
            notes += gone
    return Found(tuple(suites), tuple(notes))


def _tables(module: ast.Module) -> Iterator[tuple[str, ast.List]]:
    for node in module.body:
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if isinstance(value, ast.Dict):
            for key, listed in zip(value.keys, value.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str) and isinstance(listed, ast.List):
                    yield key.value, listed


def _suite(name: str, listed: ast.List, file: str, tree: Tree) -> tuple[Suite, list[Note]]:
    entries: dict[Entry, None] = {}
    gone: list[Note] = []
    for item in listed.elts:
        place = Place(file, item.lineno)
        written = _file(item)
        if not written.partition("::")[0].endswith((".py", ".sh")):
            continue
        folders = (posixpath.dirname(file), "", "tests", "test")
        paths = (posixpath.normpath(posixpath.join(folder, written)) for folder in folders)
        path = next((one for one in paths if tree.is_file(one.partition("::")[0])), "")
        if path:
            entries.setdefault(Entry(path=path, num_gpus=_number(item), place=place))
        else:
            gone.append(Note(f"{written} of the suite {name}: no such file", place))
    place = Place(file, listed.lineno)
    suite = Suite(name, num_gpus=gpus_of([name]), tests=tuple(entries), place=place, registers=True)
    return suite, gone if entries else []


def _file(item: ast.expr) -> str:
    first: ast.expr | None = item
    if isinstance(item, ast.Call):
        first = item.args[0] if item.args else next((one.value for one in item.keywords), None)
    elif isinstance(item, ast.Tuple):
        first = item.elts[0] if item.elts else None
    elif isinstance(item, ast.Dict):
        first = item.values[0] if item.values else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def _number(item: ast.expr) -> int | None:
    """The devices that an item names by keyword."""
    pairs: list[tuple[object, ast.expr]] = []
    if isinstance(item, ast.Call):
        pairs = [(keyword.arg, keyword.value) for keyword in item.keywords]
    elif isinstance(item, ast.Dict):
        keys = [key.value if isinstance(key, ast.Constant) else None for key in item.keys]
        pairs = list(zip(keys, item.values, strict=True))
    for key, value in pairs:
        if key in _GPUS and isinstance(value, ast.Constant) and type(value.value) is int:
            return value.value
    return None
