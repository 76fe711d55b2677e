"""Pure: threads and processes of a test's own, and which of them lose nothing though nobody asks how they ended."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Set

from trainci.catalog.names import Names, asserts, names_in, parameters
from trainci.catalog.python.call_words import keyword_of
from trainci.catalog.python.never_asked import called_on
from trainci.catalog.python.says import ends_program, is_idle, kept_by, only_says
from trainci.catalog.scopes import Scope
from trainci.catalog.statements import all_parts, own_parts, statements

PROCESSES = ("multiprocessing.Process", "torch.multiprocessing.Process")
THREADS = ("threading.Thread", "threading.Timer")
_SHARED = ("Array", "Event", "JoinableQueue", "Manager", "Pipe", "Queue", "SimpleQueue", "Value")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def made_by(call: ast.Call, file: Names, kinds: Mapping[str, str]) -> str:
    """By which name a value was made; multiprocessing's where a context or a manager of it makes it."""
    if isinstance(call.func, ast.Attribute):
        of = call.func.value
        made = file.name(of.func) if isinstance(of, ast.Call) else kinds.get(file.name(of), "")
        if made.endswith("multiprocessing.get_context"):
            return f"multiprocessing.{call.func.attr}"
        if made.endswith("multiprocessing.Manager"):
            return made
    return file.name(call.func)


def may_lose(call: ast.Call, file: Names, inner: Mapping[str, _Function]) -> bool:
    """Whether a failure of what this worker runs would be lost with it; ``inner``: functions of the scope."""
    targets = _targets(call)
    run = [function for one in targets for function in _run_by(one, file, inner)]
    if run and all(_keeps_failures(one, file) or _cannot_fail(one, file) for one in run):
        return False
    if file.name(call.func) not in THREADS:
        return True
    names = map(file.name, targets)
    return any(map(file.own, targets)) or any(name in file.asserting or name == "pytest.main" for name in names)


def serves(call: ast.Call, file: Names, inner: Mapping[str, _Function]) -> bool:
    """Whether it asserts nothing, and ends with the test: a daemon for which, where it has a name, nobody waits."""
    return keyword_of(call, "daemon") is True and _is_no_test(call, file, inner)


def lose_nothing(
    scope: Scope, file: Names, kinds: Mapping[str, str], made: Mapping[str, ast.Call]
) -> Iterator[str]:
    """The names of the workers ``made`` in ``scope`` that only serve or answer the test, or that others get."""
    inner = {one.name: one for one, _ in statements(scope.body, True) if isinstance(one, _Function)}
    joined, ended = ({*called_on(scope, file, name)} for name in ("join", "terminate"))
    ended = (ended | {*called_on(scope, file, "kill")}) - _asked_first(scope)
    daemons = {*_daemons(scope)}
    for name, call in made.items():
        also = {name, *_also_known_as(name, scope)}
        asked = kinds.get(name) in PROCESSES and also & {*_handed(scope, file)}
        if asked or not may_lose(call, file, inner):
            yield from also
        elif _is_no_test(call, file, inner):
            waits = bool(also & joined)
            daemon = keyword_of(call, "daemon") is True or bool(also & daemons)
            shares = (one for one in names_in(call) if kinds.get(name) in THREADS or _is_shared(one, kinds))
            if (
                also & ended
                or (daemon and not waits)
                or any(_made_of(one, scope, file) & file.asserted for one in shares)
            ):
                yield from also


def _targets(worker: ast.Call) -> list[ast.expr]:
    return [one.value for one in worker.keywords if one.arg in ("target", "function")] or worker.args[1:2]


def _run_by(target: ast.expr, file: Names, inner: Mapping[str, _Function]) -> Iterator[_Function]:
    """The functions of the file that it runs: by their name, in a lambda, by a ``partial``."""
    if isinstance(target, ast.Lambda):
        for part in all_parts(target.body):
            if isinstance(part, ast.Call):
                yield from _run_by(part.func, file, inner)
    elif isinstance(target, ast.Call) and file.name(target.func) == "functools.partial":
        yield from (function for one in target.args[:1] for function in _run_by(one, file, inner))
    elif function := inner.get(file.name(target)) or file.functions.get(file.name(target)):
        yield function


def _keeps_failures(function: _Function, file: Names) -> bool:
    """Whether it catches whatever its tests raise, and does something with it, such as to keep it."""
    *before, last = function.body
    return (
        isinstance(last, ast.Try)
        and not any(map(asserts, before))
        and any(
            (handler.type is None or file.name(handler.type) in ("Exception", "BaseException"))
            and not all(is_idle(one, file) for one in handler.body)
            for handler in last.handlers
        )
    )


def _cannot_fail(function: _Function, file: Names) -> bool:
    """Whether it does nothing, or is made to die: its end is no result."""
    return all(is_idle(one, file) or isinstance(one, ast.Raise) or ends_program(one, file) for one in function.body)


def _is_no_test(worker: ast.Call, file: Names, inner: Mapping[str, _Function]) -> bool:
    """Whether nothing of the file's that it runs asserts, or calls what may."""
    targets = _targets(worker)
    run = [function for one in targets for function in _run_by(one, file, inner)]
    calls = ((one, part) for one in run for part in all_parts(one) if isinstance(part, ast.Call))
    # What it is given to call may be a test.
    may_test = any(file.own(call.func) or file.name(call.func) in parameters(one) for one, call in calls)
    return bool(targets) and not any(map(asserts, run)) and not may_test


def _daemons(scope: Scope) -> Iterator[str]:
    """``t.daemon = True``, ``t.setDaemon(True)``."""
    for statement, _ in statements(scope.body, True):
        match statement:
            case ast.Assign(targets=[ast.Attribute(attr="daemon", value=of)], value=ast.Constant(value=True)):
                yield ast.unparse(of)
            case ast.Expr(
                ast.Call(func=ast.Attribute(attr="setDaemon", value=of), args=[ast.Constant(value=True)])
            ):
                yield ast.unparse(of)


def _asked_first(scope: Scope) -> set[str]:
    """What is ended only where it did not end by itself: ``if p.is_alive(): p.terminate()``."""
    return {
        name
        for statement, _ in statements(scope.body, True)
        if isinstance(statement, ast.If)
        for part in all_parts(statement.test)
        if isinstance(part, ast.Attribute) and part.attr in ("is_alive", "exitcode")
        for name in names_in(part.value)
    }


def _also_known_as(name: str, scope: Scope) -> Iterator[str]:
    """The list that a worker is kept in, and what loops go through it as."""
    known = {name}
    for statement, _ in statements(scope.body, True):
        if isinstance(statement, ast.Expr) and (kept := kept_by(statement.value)) and known & names_in(statement):
            known.add(kept.id)
        loops = [
            part for part in own_parts(statement) if isinstance(part, (ast.For, ast.AsyncFor, ast.comprehension))
        ]
        known |= {one for loop in loops if known & names_in(loop.iter) for one in names_in(loop.target)}
    yield from known


def _handed(scope: Scope, file: Names) -> Iterator[str]:
    """What a function of another file gets, which may ask how it ended, or a pytest of its own."""
    for statement, _ in statements(scope.body, True):
        for part in own_parts(statement):
            if not isinstance(part, ast.Call) or only_says(part, file) or kept_by(part):
                continue
            name = file.name(part.func)
            if name.partition(".")[0] in {one.partition(".")[0] for one in file.imported.values()}:
                yield from (
                    one.id for one in (*part.args, *(k.value for k in part.keywords)) if isinstance(one, ast.Name)
                )


def _is_shared(name: str, kinds: Mapping[str, str]) -> bool:
    return kinds.get(name, "").rpartition(".")[2] in _SHARED


def _made_of(name: str, scope: Scope, file: Names) -> Set[str]:
    """It, and what the scope makes of it or with it: ``result = queue.get()``, ``here, there = Pipe()``."""
    known = {name}
    for statement, _ in statements(scope.body, True):
        if isinstance(statement, ast.Assign):
            names = names_in(statement) - file.imported.keys()
        elif isinstance(statement, ast.Expr) and kept_by(statement.value):
            names = names_in(statement)
        else:
            continue
        is_worker = isinstance(statement.value, ast.Call) and _targets(statement.value)
        known |= names if known & names and not is_worker else set()
    return known
