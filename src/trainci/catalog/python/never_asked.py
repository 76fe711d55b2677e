"""Pure: what runs elsewhere and is never asked how it went: a process, a future, a task of ray's."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from trainci.catalog.lost import LostResult
from trainci.catalog.names import Names, names_in
from trainci.catalog.python.call_words import runs_tests
from trainci.catalog.python.says import only_says
from trainci.catalog.scopes import Scope
from trainci.catalog.statements import all_parts, own_parts, statements

_PROCESSES = ("subprocess.Popen", "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell")
_SPAWNS = ("torch.multiprocessing.spawn", "torch.multiprocessing.start_processes")
_FUTURES = {"result", "exception", "add_done_callback", "as_completed"}
_MOST_PROCESSES = 20
_ENDS = ("terminate", "kill", "send_signal")


def never_asked(scope: Scope, file: Names) -> Iterator[LostResult]:
    """What is started in ``scope``, given a name, and asked by nobody."""
    over = {*called_on(scope, file, "cancel"), *_awaited(scope)}
    for statement, _ in statements(scope.body, True):
        if isinstance(statement, ast.Return):
            continue
        for part in own_parts(statement):
            if not isinstance(part, ast.Call) or (over and over & names_in(part)):
                continue
            if found := _never(part, statement, file):
                yield LostResult(part.lineno, *found, certain=False)
    processes = list(dict(_processes(scope, file)).items())[:_MOST_PROCESSES]
    elsewhere = {*handed_out(scope, file)} if processes else set[str]()
    for name, line in processes:
        if name not in elsewhere and not _is_asked(name, scope, file):
            what = "the exit code of the process goes nowhere"
            yield LostResult(line, what, "Use `subprocess.run(…, check=True)`.", certain=False)


def _never(call: ast.Call, statement: ast.stmt, file: Names) -> tuple[str, str] | None:
    name = file.name(call.func)
    last = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    first = call.args[0] if call.args else None
    if last == "submit" and file.own(first) and not _FUTURES - {"as_completed"} & file.attributes:
        return "an exception stays in the future that nobody asks", "Call its `result()`."
    if last in ("imap", "imap_unordered") and file.own(first) and isinstance(statement, ast.Expr):
        return "an exception stays in the results that nobody asks", "Write `list(…)` around it."
    asked = {"result", "exception"} & file.attributes or (isinstance(statement, ast.Assign) and file.counts_pending)
    if name == "asyncio.wait" and not asked:
        return "`asyncio.wait` raises nothing", "Use `asyncio.gather(…)`."
    leaves = name in _SPAWNS and any(one.arg == "join" and _is_false(one.value) for one in call.keywords)
    # `join()` of a single process tells nothing, and that of the whole does.
    if leaves and ("processes" in file.attributes or "join" not in file.attributes):
        return "`spawn(…, join=False)` raises nothing", "Call `join()` of what it returns, or leave it out."
    of = call.func.value if isinstance(call.func, ast.Attribute) else None
    if last == "remote" and of is not None and "ray.get" not in file.called and _is_task(of, file):
        return "an exception stays in the object that nobody gets", "Write `ray.get(…)`."
    return None


def _is_task(of: ast.expr, file: Names) -> bool:
    """A function of the file, or a method of an actor: those that ray starts, and not what makes an actor."""
    if isinstance(of, ast.Name):
        return file.name(of) in file.functions
    actors = [
        node for node in file.classes.values() if any("remote" in ast.unparse(one) for one in node.decorator_list)
    ]
    return isinstance(of, ast.Attribute) and any(
        isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)) and method.name == of.attr
        for node in actors
        for method in node.body
    )


def _processes(scope: Scope, file: Names) -> Iterator[tuple[str, int]]:
    for statement, _ in statements(scope.body, True):
        bound: list[tuple[ast.expr | None, ast.expr]] = []
        if isinstance(statement, ast.Assign):
            bound = [(target, statement.value) for target in statement.targets]
        elif isinstance(statement, (ast.With, ast.AsyncWith)):
            bound = [(item.optional_vars, item.context_expr) for item in statement.items]
        for target, value in bound:
            made = value.value if isinstance(value, ast.Await) else value
            if not isinstance(target, ast.Name) or not isinstance(made, ast.Call):
                continue
            if file.name(made.func) in _PROCESSES and runs_tests(made, file):
                yield target.id, made.lineno


def _awaited(scope: Scope) -> Iterator[str]:
    """What is awaited by its own name, and raises there what it raised."""
    for part in (part for node in scope.body for part in all_parts(node)):
        if isinstance(part, ast.Await) and isinstance(part.value, (ast.Name, ast.Attribute)):
            yield ast.unparse(part.value)


def _is_asked(name: str, scope: Scope, file: Names) -> bool:
    """Whether somebody looks at how the process of this name ended, ends it, or may do so elsewhere."""
    bases: set[int] = set()
    asked: set[int] = set()
    for part in (part for node in scope.body for part in all_parts(node)):
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == name:
            if part.attr == "returncode" or part.attr in _ENDS:
                return True
            bases.add(id(part.value))
            asked |= {id(part)} if part.attr in ("wait", "poll") else set()
    for statement, _ in statements(scope.body, True):
        if _asserts_output(statement, name, file):
            return True
        # A loop that waits for the end, and what stands alone, make nothing of it.
        alone = statement.value if isinstance(statement, ast.Expr) else None
        alone = alone.value if isinstance(alone, ast.Await) else alone
        for part in own_parts(statement):
            loaded = isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Load)
            if loaded and id(part) not in bases:
                return True
            answers = isinstance(part, ast.Call) and id(part.func) in asked and part is not alone
            kept = any(isinstance(one, ast.NamedExpr) and one.value is part for one in own_parts(statement))
            if answers and (kept or not isinstance(statement, ast.While)):
                return True
    return False


def _asserts_output(statement: ast.stmt, name: str, file: Names) -> bool:
    """``out, _ = process.communicate()``, where an assertion is about ``out``."""
    value = statement.value if isinstance(statement, ast.Assign) else None
    match value.value if isinstance(value, ast.Await) else value:
        case ast.Call(func=ast.Attribute(attr="communicate", value=ast.Name(id=of))) if of == name:
            return bool(names_in(statement) & file.asserted)
    return False


def handed_out(scope: Scope, file: Names) -> Iterator[str]:
    """The names of which others get the process, or its number, and may end it or ask it: ``end(server.pid)``."""
    for statement, _ in statements(scope.body, True):
        parts = own_parts(statement)
        said = {
            id(inner)
            for part in parts
            if isinstance(part, ast.Call) and only_says(part, file)
            for inner in all_parts(part)
        }
        for part in parts:
            match part:
                case ast.Attribute(attr="pid", value=ast.Name(id=of)) | ast.Yield(value=ast.Name(id=of)):
                    yield from () if id(part) in said else (of,)


def called_on(scope: Scope, file: Names, method: str) -> Iterator[str]:
    """What ``method`` is called on in ``scope``, by its own name or by that of what a loop goes through."""
    parts = [part for node in scope.body for part in all_parts(node)] if method in file.attributes else []
    loops: dict[str, set[str]] = {}
    for part in parts:
        if isinstance(part, (ast.For, ast.AsyncFor, ast.comprehension)):
            for name in names_in(part.target):
                loops.setdefault(name, set()).update(names_in(part.iter))
    for part in parts:
        if isinstance(part, ast.Attribute) and part.attr == method:
            of = ast.unparse(part.value)
            yield from (of, *loops.get(of, ()))


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False
