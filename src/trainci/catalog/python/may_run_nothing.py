"""Pure: a program whose tests stand under a condition: where it does not hold, nothing runs and all is green."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from trainci.catalog.lost import LostResult
from trainci.catalog.names import Names
from trainci.catalog.python.conditions import covers, options_given, when_fails, when_holds
from trainci.catalog.python.result_calls import ends_as_computed, ends_green
from trainci.catalog.python.says import is_idle, only_says
from trainci.catalog.statements import own_parts

_MEND = "Let it run, or fail, where the condition does not hold."
# By their names these prepare what a test needs, and are none.
_PREPARES = re.compile(
    r"_?(?:prepare|set_?up|set_|init|download|seed|configure|clean|parse|add_|get_|load_|register|basic_?config|"
    r"insert|append|pop|update|Argument_?Parser|manual_seed|getenv|exists|is_available|device_count|dirname|abspath)",
    re.IGNORECASE,
)
_USAGE = re.compile(r"(?:\w+\.)*(?:print_)?(?:help|usage)\(")
_DEEPEST = 8


@dataclass(frozen=True)
class _Way:
    """``does``: it comes to a test whatever happens. ``line`` is where it turns away, ``certain``: it always does.

    ``ends``: nothing after it runs; ``leaves``: that may be so, and no test ran. ``has_tests``: in some way it
    comes to a test, and certainly where one of ``when`` holds.
    """

    does: bool = False
    line: int = 0
    certain: bool = True
    ends: bool = False
    leaves: bool = False
    has_tests: bool = False
    when: frozenset[str] = frozenset()


def may_run_nothing(tree: ast.Module, file: Names) -> LostResult | None:
    """The condition under which the program ``tree`` runs no test, if there is one."""
    body = [node for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom, ast.ClassDef))]
    way = _Reader(file, options_given(tree)).way(body, 0)
    if way.does or not way.line or not way.has_tests:
        return None
    if way.certain:
        return LostResult(way.line, "no test stands where the program comes", "Let it come to one.", certain=True)
    return LostResult(way.line, "no test runs where the program turns away here", _MEND, certain=False)


class _Reader:
    def __init__(self, file: Names, options: Sequence[Set[str]]) -> None:
        self._file = file
        self._options = options
        self._open: set[str] = set()

    def way(self, body: Sequence[ast.stmt], depth: int) -> _Way:
        """What the statements of ``body`` come to, one after another."""
        line, left, certain, has_tests = 0, 0, True, False
        when, one_of = frozenset[str](), [*self._options]
        for number, node in enumerate(body):
            way = self._one(node, depth)
            has_tests |= way.has_tests
            when |= way.when
            if isinstance(node, ast.Assign):
                one_of = [one for one in one_of if not _is_set_by(node, one)]
            elif isinstance(node, ast.If) and not node.orelse and self._refuses(node.body):
                one_of.append(when_fails(node.test))
            does = way.does or covers(when, one_of)
            if does and left:
                return _Way(line=left, certain=False, leaves=True, has_tests=True)
            if does:
                return _Way(does=True, has_tests=True)
            left = left or (way.line if way.leaves else 0)
            line, certain = line or way.line, certain and way.certain
            if way.ends:
                rest = self.way(body[number + 1 :], depth)
                return replace(way, line=line, certain=certain, has_tests=has_tests or rest.has_tests)
        return _Way(line=line, certain=certain, leaves=left > 0, has_tests=has_tests, when=when)

    def _one(self, node: ast.stmt, depth: int) -> _Way:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)):
            return _Way()
        if isinstance(node, (ast.Assert, ast.Raise)) and not ends_green(node, self._file):
            return _Way(does=True, has_tests=True)
        if isinstance(node, ast.Return) or ends_green(node, self._file):
            called = self._called(node, depth)
            return called if called.does or called.line else _Way(line=node.lineno, ends=True, leaves=True)
        if isinstance(node, ast.If):
            return self._branches(node, depth)
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            never = _constant(node.test) is False if isinstance(node, ast.While) else _is_empty(node.iter)
            inner = self.way(node.body, depth)
            if never:
                return _Way(line=node.lineno if inner.has_tests else 0, has_tests=inner.has_tests)
            head = self._called(node, depth, own_functions=True)
            return head if head.does else replace(inner, ends=False, leaves=False)
        if isinstance(node, (ast.With, ast.AsyncWith)):
            inner = self.way(node.body, depth)
            return inner if inner.does or inner.line else self._called(node, depth)
        if isinstance(node, ast.Try):
            return self._tried(node, depth)
        return self._called(node, depth)

    def _tried(self, node: ast.Try, depth: int) -> _Way:
        way = self.way([*node.body, *node.orelse, *node.finalbody], depth)
        leaves = next((one for one in node.handlers if ends_green(one.body[-1], self._file)), None)
        return way if way.does or leaves is None else _Way(line=leaves.lineno, certain=False, leaves=True)

    def _refuses(self, body: Sequence[ast.stmt]) -> bool:
        """An assertion in other words: it raises, or exits with another code than 0."""
        *before, last = body
        ends = isinstance(last, ast.Raise) or ends_as_computed(last, self._file) or _is_refused(last, self._file)
        idle = all(is_idle(one, self._file) or _USAGE.match(ast.unparse(one)) for one in before)
        return ends and idle and not ends_green(last, self._file)

    def _branches(self, node: ast.If, depth: int) -> _Way:
        asked = self._called(node, depth, own_functions=True)
        if asked.does:
            return asked
        if not node.orelse and self._refuses(node.body):
            return _Way()
        holds = _holds(node.test, self._file)
        if holds is not None:
            taken, missed = (node.body, node.orelse) if holds else (node.orelse, node.body)
            way, other = self.way(taken, depth), self.way(missed, depth)
            if other.has_tests and not way.has_tests:
                return replace(way, line=way.line or node.lineno, has_tests=True)
            return way
        one, two = self.way(node.body, depth), self.way(node.orelse, depth)
        if one.does and two.does:
            return one
        has_tests = one.has_tests or two.has_tests
        turns = has_tests or one.ends or two.ends
        line = one.line or two.line or (node.lineno if turns else 0)
        ends, leaves = one.ends and two.ends, one.leaves or two.leaves
        when = frozenset[str]()
        if one.does:
            when |= when_holds(node.test) | two.when | _flags(node.body)
        if two.does:
            when |= when_fails(node.test) | one.when | _flags(node.orelse)
        return _Way(line=line, certain=not turns, ends=ends, leaves=leaves, has_tests=has_tests, when=when)

    def _called(self, node: ast.stmt, depth: int, *, own_functions: bool = False) -> _Way:
        """What the calls of one statement come to; or only those of the file's ``own_functions``."""
        best = _Way()
        for part in own_parts(node):
            if not isinstance(part, ast.Call) or only_says(part, self._file):
                continue
            name = self._file.name(part.func)
            function = self._file.functions.get(name)
            last = name.rpartition(".")[2] or getattr(part.func, "attr", "")
            if _PREPARES.match(last) or ends_green(ast.Expr(part), self._file):
                continue
            if function is None and own_functions and not self._file.may_hold_function(part.func):
                continue
            if function is None or depth > _DEEPEST or name in self._open or function.decorator_list:
                return _Way(does=True, has_tests=True)
            self._open.add(name)
            way = self.way(function.body, depth + 1)
            self._open.discard(name)
            if way.does or not way.line:
                return _Way(does=True, has_tests=True)
            best = replace(way, ends=False, leaves=False, when=frozenset())
        return best


def _holds(test: ast.expr, file: Names) -> bool | None:
    """Whether a condition certainly holds, or certainly does not, in a file that runs as a program."""
    if isinstance(test, ast.BoolOp):
        parts = [_holds(part, file) for part in test.values]
        decides = isinstance(test.op, ast.Or)
        if decides in parts:
            return decides
        return None if None in parts else not decides
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _holds(test.operand, file)
        return None if inner is None else not inner
    if isinstance(test, ast.Call):
        # `for name in globals(): if name.startswith("test")`: somebody's own way to run what is here.
        match test:
            case ast.Call(func=ast.Attribute(attr="startswith"), args=[ast.Constant(value=str(begin))]):
                return any(name.startswith(begin) for name in file.functions) or None
            case ast.Call(func=ast.Name(id="callable")):
                return True
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        sides = (test.left, test.comparators[0])
        values = [side.value for side in sides if isinstance(side, ast.Constant)]
        if values and any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides):
            same = values[0] == "__main__"
            if isinstance(test.ops[0], (ast.Eq, ast.Is)):
                return same
            if isinstance(test.ops[0], (ast.NotEq, ast.IsNot)):
                return not same
    return _constant(test)


def _is_refused(statement: ast.stmt, file: Names) -> bool:
    """``parser.error("…")``, which exits with 2."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="error")) as call):
            return not only_says(call, file)
    return False


def _is_set_by(node: ast.Assign, conditions: Set[str]) -> bool:
    """Whether what one of ``conditions`` asks for gets another value here."""
    names = {ast.unparse(target).rpartition(".")[2] for target in node.targets}
    return any(names & set(re.findall(r"\w+", condition)) for condition in conditions)


def _flags(body: Sequence[ast.stmt]) -> frozenset[str]:
    """The names that say that the program came here: ``ran = True``, ``ran += 1``."""
    found = set()
    for node in body:
        match node:
            case ast.Assign(targets=[target], value=ast.Constant(value=value)) if value:
                found.add(ast.unparse(target))
            case ast.AugAssign(target=target):
                found.add(ast.unparse(target))
    return frozenset(found)


def _constant(test: ast.expr) -> bool | None:
    if isinstance(test, ast.Name) and test.id == "TYPE_CHECKING":
        return False
    return bool(test.value) if isinstance(test, ast.Constant) else None


def _is_empty(node: ast.expr) -> bool:
    return isinstance(node, (ast.List, ast.Tuple, ast.Set)) and not node.elts
