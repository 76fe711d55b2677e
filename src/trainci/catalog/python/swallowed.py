"""Pure: failures that a piece of Python catches and makes nothing of."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence, Set

from trainci.catalog.lost import LostResult
from trainci.catalog.names import Names, asserts
from trainci.catalog.python.result_calls import ends_as_computed, ends_green, handed_on, raises_where_tests_fail
from trainci.catalog.python.says import is_idle, skips
from trainci.catalog.statements import all_parts, own_parts, statements

_CATCHES_FAILURES = ("Exception", "BaseException", "AssertionError", "SystemExit", "subprocess.CalledProcessError")
_TIMES_OUT = ("TimeoutError", "asyncio.TimeoutError", "subprocess.TimeoutExpired")
_EXPECTS = (
    "raises",
    "warns",
    "deprecated_call",
    "assertRaises",
    "assertWarns",
    "assertLogs",
    "assertRaisesRegex",
    "assertWarnsRegex",
)
_FAILS = ("raise", "assert False", "self.fail(", "pytest.fail(")
_FAILED = {"AssertionError", "pytest.fail.Exception", "(AssertionError, pytest.fail.Exception)"}
_NAMES_OF_TESTS = ("test", "check", "verify", "run", "main")
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try)
_RAISE = "Raise it again, or exit with 1."


def swallowed(
    node: ast.Try, file: Names, unused: Set[str], certain: bool, *, is_block: bool
) -> Iterator[LostResult]:
    """Handlers of ``node`` that only print the failure of the tests that it is around."""
    if not any(_may_fail(part, file) for inner, _ in statements(node.body, True) for part in own_parts(inner)):
        return
    if any(ends_as_computed(inner, file) or _returns_call(inner) for inner in node.finalbody):
        return
    if _must_fail(node, file):
        return
    # What is made in a `try` and missed later is no test that failed.
    runs = any(isinstance(inner, (ast.Expr, ast.Assert)) for inner in node.body)
    flags = any(isinstance(inner, ast.Assign) for inner in node.body)
    certain = certain and (_only_tests(node, file) or (is_block and not node.orelse and not flags))
    for handler in node.handlers:
        *before, last = handler.body
        late = _catches(handler, file, _TIMES_OUT)
        if not (late or _catches(handler, file, _CATCHES_FAILURES)):
            continue
        if not all(is_idle(inner, file, unused) for inner in before):
            continue
        if is_idle(last, file) or (runs and (is_idle(last, file, unused) or isinstance(last, ast.Continue))):
            what = "an `except` catches the failure and only prints it"
            # What counts failures, or goes on with the next test, may still be looked at in another way.
            yield LostResult(handler.lineno, what, _RAISE, certain and is_idle(last, file) and not late)
        elif ends_green(last, file):
            yield LostResult(last.lineno, "an `except` catches the failure and exits with 0", _RAISE, certain)
        elif runs and skips(last):
            yield LostResult(last.lineno, "an `except` makes a skipped test of the failure", _RAISE, certain=False)
        elif runs and isinstance(last, ast.Return) and (last.value is None or _is_none(last.value)):
            yield LostResult(
                last.lineno, "an `except` catches the failure and returns nothing", _RAISE, certain=False
            )
    for inner in node.finalbody:
        if ends_green(inner, file):
            what = "a `finally` exits with 0 whatever failed"
            yield LostResult(inner.lineno, what, "Take the exit out of the `finally`.", certain)
        elif isinstance(inner, (ast.Return, ast.Break, ast.Continue)):
            what = "a `finally` that leaves drops the failure"
            told = isinstance(inner, ast.Return) and inner.value and not isinstance(inner.value, ast.Constant)
            sure = certain and runs and isinstance(inner, ast.Return) and not told
            yield LostResult(inner.lineno, what, "Take it out of the `finally`.", sure)


def decided(body: list[ast.stmt], used: Set[str], file: Names, *, in_loop: bool = False) -> Iterator[ast.Try]:
    """The ``try`` of which something else makes a failure: by a flag that is among ``used``, or by where it stands.

    That of a loop fails where no round was good, by the loop's ``else``, by what follows, by a flag.
    """
    for number, node in enumerate(body):
        is_loop = isinstance(node, (ast.For, ast.AsyncFor, ast.While))
        for name in ("body", "orelse", "finalbody"):
            inner_body = getattr(node, name, []) if isinstance(node, _BLOCKS) else []
            yield from decided(inner_body, used, file, in_loop=in_loop or is_loop)
        if isinstance(node, ast.Try) and not in_loop and _tells_how_it_went(node, used):
            yield node
        if not isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            continue
        otherwise, after = (any(_fails(one, file) for one in part) for part in (node.orelse, body[number + 1 :]))
        for inner in (one for one in node.body if isinstance(one, ast.Try)):
            last = (inner.orelse or inner.body)[-1]
            leaves = isinstance(last, ast.Return) and (otherwise or after)
            if leaves or (
                isinstance(last, ast.Break) and (otherwise or _sets_flag([*inner.body, *inner.orelse], used))
            ):
                yield inner


def _returns_call(node: ast.stmt) -> bool:
    """``return worst_of(processes)``, which is how it went."""
    return isinstance(node, ast.Return) and isinstance(node.value, ast.Call)


def _fails(node: ast.stmt, file: Names) -> bool:
    return isinstance(node, (ast.Raise, ast.Assert)) or ends_as_computed(node, file)


def _must_fail(node: ast.Try, file: Names) -> bool:
    """Whether what succeeds in it is the failure: something fails behind it that its handlers do not catch."""
    if node.orelse:
        return ast.unparse(node.orelse[-1]).startswith(_FAILS) or ends_as_computed(node.orelse[-1], file)
    kinds = {file.name(kind) for handler in node.handlers for kind in _kinds(handler)}
    if not all(handler.type for handler in node.handlers) or "BaseException" in kinds:
        return False
    last = node.body[-1]
    raised = last.exc if isinstance(last, ast.Raise) else None
    if raised is not None:
        return not {"Exception", file.name(raised.func if isinstance(raised, ast.Call) else raised)} & kinds
    # What pytest raises is no `Exception`.
    return ast.unparse(last).startswith("pytest.fail(")


def _tells_how_it_went(node: ast.Try, used: Set[str]) -> bool:
    """``good = True`` behind its tests, or ``bad = True`` where something is met that must not be."""
    return (bool(node.orelse or node.body[1:]) and _sets_flag((node.orelse or node.body)[-1:], used)) or (
        _only_expects(node) and _sets_flag([part for part in all_parts(node) if isinstance(part, ast.Assign)], used)
    )


def _only_expects(node: ast.Try) -> bool:
    """``with pytest.warns(…)`` with no assertion, so that one fails only where what is expected does not come."""
    match node:
        case ast.Try(body=[ast.With(body=body) as first, *rest]) if expects_failure_in(first):
            kinds = [ast.unparse(handler.type or handler) for handler in node.handlers]
            return {*kinds} <= _FAILED and not any(map(asserts, [*body, *rest]))
    return False


def expects_failure_in(node: ast.With) -> bool:
    """``with pytest.raises(…):``, ``with self.assertLogs():``."""
    of = (item.context_expr.func for item in node.items if isinstance(item.context_expr, ast.Call))
    return any(ast.unparse(one).rpartition(".")[2] in _EXPECTS for one in of)


def _sets_flag(body: Sequence[ast.stmt], used: Set[str]) -> bool:
    return any(
        isinstance(one, ast.Assign)
        and isinstance(one.value, ast.Constant)
        and any(isinstance(target, ast.Name) and target.id in used for target in one.targets)
        for one in body
    )


def suppressed(node: ast.With | ast.Expr, file: Names, certain: bool) -> Iterator[LostResult]:
    """``with contextlib.suppress(Exception):``, or a class of the file whose ``__exit__`` returns True.

    An ``ExitStack`` may be given one by ``enter_context``. ``pytest.raises(Exception)`` takes any for the expected.
    """
    entered = [item.context_expr for item in node.items] if isinstance(node, ast.With) else _entered(node.value)
    for call in entered:
        if isinstance(call, ast.Call) and (_is_suppress(call, file) or file.name(call.func) in file.silent_classes):
            tests = isinstance(node, ast.With) and any(
                _may_fail(part, file) for inner in node.body for part in all_parts(inner)
            )
            what = "failures inside this `with` are suppressed"
            if tests or isinstance(node, ast.Expr):
                sure = certain and tests and _is_suppress(call, file)
                yield LostResult(node.lineno, what, "Let them through.", sure)
        elif isinstance(node, ast.With) and isinstance(call, ast.Call) and _expects_all(call, node, file):
            what = "an assertion that fails in here is taken for what is expected"
            yield LostResult(node.lineno, what, "Name the exception that is expected.", certain=False)


def _expects_all(call: ast.Call, node: ast.With, file: Names) -> bool:
    """``pytest.raises(Exception)``, whatever it says, around an assertion or a function that makes one."""
    parts = [part for inner in node.body for part in all_parts(inner)]
    called = [file.functions.get(file.name(part.func)) for part in parts if isinstance(part, ast.Call)]
    if not any(isinstance(part, ast.Assert) for part in parts) and not any(map(asserts, filter(None, called))):
        return False
    last = call.func.attr if isinstance(call.func, ast.Attribute) else file.name(call.func).rpartition(".")[2]
    kind = file.name(call.args[0]) if call.args and not call.keywords else ""
    return last in ("raises", "assertRaises") and kind in ("Exception", "BaseException")


def _only_tests(node: ast.Try, file: Names) -> bool:
    """Nothing else is in its body, so that nobody can look later at what came of it."""

    def is_test(inner: ast.stmt) -> bool:
        match inner:
            case ast.Assert():
                return True
            case ast.Expr(value=ast.Call(func=ast.Name(id=name) as function)):
                return name.startswith(_NAMES_OF_TESTS) or file.may_hold_function(function)
        return False

    return not node.orelse and all(map(is_test, node.body))


def _entered(value: ast.expr) -> list[ast.expr]:
    match value:
        case ast.Call(func=ast.Attribute(attr="enter_context" | "push"), args=args):
            return args
    return []


def _may_fail(part: ast.AST, file: Names) -> bool:
    """An assertion, or a call that runs tests: of the file's own function, or of a name that holds one."""
    # What a `with` around a generator's `yield` fails of is raised there.
    if isinstance(part, (ast.Assert, ast.Yield)):
        return True
    if not isinstance(part, ast.Call):
        return False
    if file.name(part.func) in ("exec", "runpy.run_path", "runpy.run_module"):
        return True
    if isinstance(part.func, ast.Attribute) and part.func.attr.startswith("assert"):
        return True
    if any(map(file.own, handed_on(part))):
        return True
    if file.name(part.func) in file.functions or file.may_hold_function(part.func):
        return True
    # What a future, a task or ray hands on is raised where it is asked for.
    if isinstance(part.func, ast.Attribute) and (part.func.attr == "result" or file.name(part.func) == "ray.get"):
        return True
    return raises_where_tests_fail(part, file)


def _catches(handler: ast.ExceptHandler, file: Names, wanted: Collection[str]) -> bool:
    if handler.type is None:
        return wanted is _CATCHES_FAILURES
    return any(file.name(kind) in wanted for kind in _kinds(handler))


def _kinds(handler: ast.ExceptHandler) -> Sequence[ast.expr]:
    if isinstance(handler.type, ast.Tuple):
        return handler.type.elts
    return [handler.type] if handler.type else []


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_suppress(call: ast.Call, file: Names) -> bool:
    return file.name(call.func) == "contextlib.suppress" and any(
        file.name(argument) in _CATCHES_FAILURES for argument in call.args
    )
