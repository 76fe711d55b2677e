"""Pure: results of tests that a file's ``__main__`` block throws away, so that it is green whatever they are.

``pytest.main([__file__])`` returns an exit code and raises nothing; so do ``unittest.main(exit=False)``, a test
runner's ``run`` and ``subprocess.run`` without ``check``. Followed from the block into the functions that it calls.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from trainci.catalog.lost import LostResult
from trainci.catalog.names import Names, asserts
from trainci.catalog.python.assertions import assert_nothing, says_how_it_went, turns_away
from trainci.catalog.python.never_asked import called_on, handed_out, never_asked
from trainci.catalog.python.never_run import (
    ends_before_the_rest,
    made_for_nothing,
    never_called,
    never_run,
    shadowed,
    whole_block,
)
from trainci.catalog.python.only_told import only_told
from trainci.catalog.python.result_calls import CANCELLED, lost_by, lost_inside
from trainci.catalog.python.says import is_idle, kept_by, kept_in, only_says
from trainci.catalog.python.swallowed import decided, expects_failure_in, suppressed, swallowed
from trainci.catalog.python.workers import PROCESSES, THREADS, lose_nothing, made_by
from trainci.catalog.scopes import Scope, reached, scope_of
from trainci.catalog.statements import all_parts, own_parts, statements


def lost_results(block: ast.If, file: Names) -> tuple[LostResult, ...]:
    """What ``block``, an ``if __name__ == "__main__":`` of ``file``, throws away, in the order of the lines."""
    if nothing := whole_block(block, file):
        return (nothing,)
    found: dict[tuple[int, str], LostResult] = {}
    for scope in reached(block, file):
        for lost in _lost_in(scope, file):
            known = found.get((lost.line, lost.what))
            found[lost.line, lost.what] = known if known and known.certain else lost
    return tuple(sorted(found.values(), key=lambda lost: (lost.line, lost.what)))


def lost_in_tests(tree: ast.Module, file: Names) -> tuple[LostResult, ...]:
    """What the single tests of a file of pytest's or unittest's throw away, in the order of the lines."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    holders = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    defined = [node for body in holders for node in body if isinstance(node, functions)]
    tests = [node for node in defined if node.name.startswith("test")]
    fixtures = [
        node
        for node in defined
        if any(ast.unparse(one).startswith("pytest.fixture") for one in node.decorator_list)
    ]
    found = {lost for one in tests for lost in _lost_in(scope_of(one, certain=False), file)}
    found |= {lost for one in fixtures for lost in _lost_in(scope_of(one, certain=False, prepares=True), file)}
    what, mend = "what a test returns counts for nothing", "Assert it."
    found |= {
        LostResult(statement.lineno, what, mend, certain=False)
        for test in tests
        for statement, _ in statements(test.body, True)
        if isinstance(statement, ast.Return) and says_how_it_went(statement.value, file)
    }
    found |= set(_never_awaited(tree, file))
    found |= {lost for body in holders for lost in shadowed(body)}
    found |= {lost for test in tests for lost in turns_away(test.body)}
    return tuple(sorted(found, key=lambda lost: (lost.line, lost.what)))


def _never_awaited(tree: ast.Module, file: Names) -> Iterator[LostResult]:
    """``async def`` in a plain TestCase: unittest calls it, and lets the coroutine fall."""
    cases = [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(file.name(base) == "unittest.TestCase" for base in node.bases)
    ]
    for test in (node for case in cases for node in case.body):
        if isinstance(test, ast.AsyncFunctionDef) and test.name.startswith("test"):
            what = "unittest does not await a test of a plain `TestCase`"
            yield LostResult(test.lineno, what, "Write `unittest.IsolatedAsyncioTestCase`.", certain=False)


def _lost_in(scope: Scope, file: Names) -> Iterator[LostResult]:
    file = file.hiding(scope.own | _stored_names(scope))
    kinds = _kinds_of_names(scope, file)
    used = _used_names(scope, file)
    unused = _stored_names(scope) - used
    elsewhere = set(map(id, decided(scope.body, used, file)))
    yield from ends_before_the_rest(scope, file)
    yield from never_called(scope.body)
    coroutines = {
        node.name
        for node, _ in statements(scope.body, True)
        if isinstance(node, ast.AsyncFunctionDef) and not node.decorator_list
    }
    yield from never_asked(scope, file)
    yield from only_told(scope.body, used, file)
    raising = {
        id(inner)
        for statement, _ in statements(scope.body, True)
        if isinstance(statement, ast.With) and expects_failure_in(statement)
        for inner, _ in statements(statement.body, True)
    }
    for statement, certain in statements(scope.body, scope.certain):
        yield from never_run(statement, file, certain, coroutines)
        if id(statement) not in raising:
            yield from assert_nothing(statement, file, certain)
        yield from lost_inside(statement, kinds, file, certain)
        for call in _dropped_calls(statement, used, file):
            lost = made_for_nothing(call, file, certain) or lost_by(call, kinds, file, certain)
            if lost is not None:
                yield lost
        if isinstance(statement, ast.Try) and id(statement) not in elsewhere:
            if scope.prepares and not any(map(asserts, statement.body)):
                continue
            yield from swallowed(statement, file, unused, certain, is_block=scope.is_block)
        elif isinstance(statement, (ast.With, ast.Expr)):
            yield from suppressed(statement, file, certain and scope.is_block)


def _kinds_of_names(scope: Scope, file: Names) -> dict[str, str]:
    """Local names that hold a test runner, a process or a pool: ``runner = unittest.TextTestRunner()``."""
    kinds: dict[str, str] = {}
    workers: dict[str, ast.Call] = {}

    def add(target: ast.expr | None, value: ast.expr) -> None:
        made = _first(value)
        kind = kinds.get(file.name(made), "")
        if isinstance(made, ast.Call):
            kind = made_by(made, file, kinds)
        for one in target.elts if isinstance(target, ast.Tuple) else [target]:
            if isinstance(one, ast.Name) and kind:
                kinds.setdefault(one.id, kind)
                if isinstance(made, ast.Call) and kind in (*PROCESSES, *THREADS):
                    workers.setdefault(one.id, made)

    for statement, _ in statements(scope.body, True):
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                add(target, statement.value)
        elif isinstance(statement, (ast.With, ast.AsyncWith)):
            for item in statement.items:
                add(item.optional_vars, item.context_expr)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) and statement.value.args:
            add(kept_by(statement.value), statement.value.args[0])
        for part in own_parts(statement):
            if isinstance(part, (ast.For, ast.AsyncFor, ast.comprehension)):
                add(part.target, part.iter)
    for name in [*lose_nothing(scope, file, kinds, workers), *handed_out(scope, file)] if kinds else ():
        kinds.pop(name, None)
    return kinds | dict.fromkeys(called_on(scope, file, "cancel"), CANCELLED)


def _first(value: ast.expr) -> ast.expr:
    """What a value is; of a list its first element, of what is awaited the call."""
    if isinstance(value, (ast.ListComp, ast.SetComp)):
        return value.elt
    if isinstance(value, (ast.List, ast.Tuple)) and value.elts:
        return value.elts[0]
    return value.value if isinstance(value, ast.Await) else value


def _stored_names(scope: Scope) -> set[str]:
    return {
        part.id
        for statement, _ in statements(scope.body, True)
        for part in own_parts(statement)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }


def _used_names(scope: Scope, file: Names) -> set[str]:
    """Names of which something is made other than a line of output."""
    used: set[str] = set()
    for statement, _ in statements(scope.body, True):
        if isinstance(statement, (ast.If, ast.For)) and _only_tells(statement, file):
            continue
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inner = (part for part in all_parts(statement) if isinstance(part, ast.Name))
            used |= {part.id for part in inner if isinstance(part.ctx, ast.Load)}
        kept = kept_by(statement.value) if isinstance(statement, ast.Expr) else None
        said = {id(kept)} | {
            id(found)
            for target in (statement.targets if isinstance(statement, ast.Assign) else ())
            if isinstance(target, ast.Subscript) and (found := kept_in(target))
        }
        said |= {
            id(inner)
            for part in own_parts(statement)
            if isinstance(part, ast.Call) and only_says(part, file)
            for inner in all_parts(part)
        }
        used |= {
            part.id
            for part in own_parts(statement)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and id(part) not in said
        }
    return used


def _only_tells(statement: ast.If | ast.For, file: Names) -> bool:
    """Whether nothing but a line of output comes of a condition."""
    return all(is_idle(inner, file) for inner in (*statement.body, *statement.orelse))


def _dropped_calls(statement: ast.stmt, used: set[str], file: Names) -> Iterator[ast.Call]:
    """The calls of a statement whose value goes nowhere."""
    if isinstance(statement, ast.Expr):
        yield from _outermost(statement.value, file)
    elif isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        # `status, text = subprocess.getstatusoutput(…)`
        targets = [
            one for target in targets for one in (target.elts if isinstance(target, ast.Tuple) else [target])
        ]
        if all(isinstance(target, ast.Name) and target.id not in used for target in targets):
            yield from _outermost(statement.value, file)
    elif isinstance(statement, ast.If) and _only_tells(statement, file):
        test = statement.test
        for side in (test.left, *test.comparators) if isinstance(test, ast.Compare) else (test,):
            yield from _outermost(side, file)


def _outermost(value: ast.expr, file: Names) -> Iterator[ast.Call]:
    """The call that is this value, seen through ``await`` and through what only prints it."""
    if isinstance(value, ast.Await):
        value = value.value
    elif isinstance(value, (ast.ListComp, ast.SetComp)):
        value = value.elt
    elif isinstance(value, ast.UnaryOp):
        value = value.operand
    if not isinstance(value, ast.Call):
        return
    if only_says(value, file) or file.name(value.func) == "asyncio.run":
        for argument in value.args:
            yield from _outermost(argument, file)
    else:
        yield value
