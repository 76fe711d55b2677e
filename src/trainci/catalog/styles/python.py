"""``python FILE ARGS…``: a file that is a program, by its ``__main__`` block."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

from trainci.catalog.declarations import constants, parse
from trainci.catalog.lost import LostResult
from trainci.catalog.main_block import as_block, framework, is_phased, main_blocks
from trainci.catalog.names import Names
from trainci.catalog.python.callbacks import lost_by_callbacks
from trainci.catalog.python.lost import lost_in_tests, lost_results
from trainci.catalog.python.may_run_nothing import may_run_nothing
from trainci.catalog.shell.expects import expects
from trainci.catalog.styles.base import Source, as_word
from trainci.catalog.styles.handed_over import framework_of_helpers
from trainci.catalog.styles.pytest import holds_tests
from trainci.model.tests import Declarations, Entry
from trainci.text import printable

_T = TypeVar("_T")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class PythonFile:
    """See Style."""

    suffix = ".py"
    leaves_results = False

    def recognises(self, source: Source) -> bool:
        """See Style."""
        return source.file.endswith(".py") and not source.is_folder and _is_program(source)

    def read(self, source: Source) -> Declarations:
        """See Style. What certainly throws a result away refuses the test, what perhaps does is a remark."""
        says = _of_program(source)
        if asked := {"--help", "-h"} & set(source.words):
            shows = LostResult(1, f"`{min(asked)}` shows a program's help and ends it", "Take it out.", False)
            says = replace(says, remarks=(*says.remarks, _remark(shows)))
        return says

    def command(self, entry: Entry, num_gpus: int, python: tuple[str, ...]) -> tuple[str, ...]:
        """See Commands."""
        return (*python, as_word(entry.file), *entry.args)


def _once(look: Callable[[Source], _T]) -> Callable[[Source], _T]:
    """``look``, which is not asked again for a file whose text is that of the last one.

    Entries that start one program with arguments of their own come one after another. The tree is not kept: it may
    take nine hundred times the memory of its text.
    """
    last: tuple[tuple[str, bytes], _T] | None = None

    def known(source: Source) -> _T:
        nonlocal last
        key, seen = (source.file, source.text), last
        if seen is None or seen[0] != key:
            last = seen = (key, look(source))
        return seen[1]

    return known


@_once
def _is_program(source: Source) -> bool:
    """Whether it has a ``__main__`` block; for a worker's, ``… and "--worker" in sys.argv``, its tests go first."""
    blocks = main_blocks(source.tree)
    return not all(isinstance(one.test, ast.BoolOp) for one in blocks) or bool(
        blocks and not holds_tests(source.tree)
    )


@_once
def _of_program(source: Source) -> Declarations:
    """What a file declares, whatever its arguments are.

    :raises SyntaxError, ValueError, RecursionError, MemoryError: it is no Python.
    """
    tree, file = source.tree, source.file
    says, blocks, names = constants(tree, file), main_blocks(tree), Names(tree)
    lost = _lost(tree, names)
    certain = next((one for one in lost if one.certain), None)
    if certain is not None:
        way_out = ' Or leave the file as it is: runner = "pytest" in its entry.' if holds_tests(tree) else ""
        says = replace(says, refusal=f"{printable(file)}:{certain.line}: {certain}{way_out}")
    elif not blocks and not _does_something(tree):
        says = replace(says, refusal=nothing_would_run(file), runs_nothing=True)
    name, always = framework(tree, names)
    if not name and holds_tests(tree):
        name = framework_of_helpers(source.root, file, tree, names)
    if name:
        lost += lost_in_tests(tree, names)
    return replace(
        says,
        phased=is_phased(tree),
        framework=name,
        hands_over=always,
        expects=expects(tree, by_framework=bool(name)),
        remarks=tuple(dict.fromkeys(_remark(one) for one in lost if not one.certain)),
    )


def _remark(lost: LostResult) -> tuple[int, str]:
    return lost.line, f"perhaps {lost}"


# Many entries start one program with arguments of their own.
@lru_cache(maxsize=32)
def lost_in_program(source: bytes) -> tuple[LostResult, ...]:
    """What a program throws away, be it a file or the text of ``python -c``.

    :raises SyntaxError, ValueError, RecursionError, MemoryError: it is no Python.
    """
    tree = parse(source)
    return tuple(_lost(tree, Names(tree))) or _only_defines(tree)


def _lost(tree: ast.Module, names: Names) -> list[LostResult]:
    blocks = main_blocks(tree) or [as_block(tree)]
    lost = [lost for block in blocks for lost in lost_results(block, names)]
    lost += lost_by_callbacks(tree, names)
    if not any(one.certain for one in lost) and (nothing := may_run_nothing(tree, names)):
        lost.append(nothing)
    return lost


def _only_defines(tree: ast.Module) -> tuple[LostResult, ...]:
    """A program that defines functions, tests perhaps, and calls none."""
    defined = next((node for node in tree.body if isinstance(node, (*_FUNCTIONS, ast.ClassDef))), None)
    if defined is None or main_blocks(tree) or _does_something(tree):
        return ()
    mend = "Start its tests with pytest." if holds_tests(tree) else "Call what it defines."
    return (LostResult(defined.lineno, "as a program it defines and runs nothing", mend, certain=True),)


def nothing_would_run(file: str) -> str:
    """The refusal of a file that holds no test and is no program."""
    return (
        f'{printable(file)}:1: nothing would run: it holds no test, and no `if __name__ == "__main__":` block that '
        'runs any. Add one of them; a program as it stands has runner = "python" in its entry.'
    )


def _does_something(tree: ast.Module) -> bool:
    """Its top level calls or asserts something."""
    bodies = [node for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom, ast.ClassDef))]
    return any(
        isinstance(part, (ast.Call, ast.Assert))
        for node in bodies
        if not isinstance(node, _FUNCTIONS)
        for part in ast.walk(node)
    )
