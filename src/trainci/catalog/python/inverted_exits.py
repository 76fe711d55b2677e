"""Pure: truth values handed to ``sys.exit`` that are true where all is well, which an exit code of 1 is not.

``sys.exit(ok())`` is red where ok() returns True and green where it returns False.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from trainci.catalog.expects_failure import is_code
from trainci.catalog.lost import LostResult
from trainci.catalog.names import Names
from trainci.catalog.statements import statements

# How sure it is that a true value says that all is well; negative: that something failed.
_SURE, _PERHAPS, _UNKNOWN = 2, 1, 0
_DEEPEST = 6
_WELL = re.compile(
    r"(?:^|_)(?:ok(?:ay)?|pass(?:e[sd])?|succe(?:ss(?:ful(?:ly)?)?|eded)|good|(?:is_?)?(?:valid|correct|equal|close)"
    r"|well|healthy|match(?:es|ed)?)(?:_|$)",
    re.IGNORECASE,
)
_BADLY = re.compile(
    r"fail|err|bad|wrong|mis(?:s|match)|diff|broken|inval|unequal|incorrect|\bnot_|bug|crash|leak", re.I
)
_TRUE_WHERE_WELL = {"all", "allclose", "isclose", "array_equal", "wasSuccessful"}


def inverted_exit(call: ast.Call, file: Names, certain: bool) -> LostResult | None:
    """What ``call``, one that ends the program with its argument, turns round; None for nothing."""
    given = call.args[0] if call.args else None
    sure = _says_well(given, file, {}, _DEEPEST) if given is not None else _UNKNOWN
    if given is None or sure <= _UNKNOWN:
        return None
    text = ast.unparse(given)
    what = f"`{text}` is True, an exit code of 1, where all is well, and False, which is 0, where not"
    return LostResult(call.lineno, what, f"Write `sys.exit(not {text})`.", certain and sure == _SURE)


def _says_well(value: ast.expr, file: Names, assigned: dict[str, list[ast.expr]], depth: int) -> int:
    if depth == 0:
        return _UNKNOWN
    match value:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return -_says_well(operand, file, assigned, depth - 1)
        case ast.BoolOp(values=values):
            return _common([_says_well(one, file, assigned, depth - 1) for one in values])
        case ast.IfExp(body=ast.Constant(value=bool(first)), orelse=ast.Constant(value=bool(second))):
            sure = _says_well(value.test, file, assigned, depth - 1)
            return _UNKNOWN if first == second else sure if first else -sure
        case ast.Compare(ops=[operator], comparators=[right]):
            return _of_comparison(value.left, operator, right)
        case ast.Call():
            return _of_call(value, file, assigned, depth)
        case ast.Name(id=name) if name in assigned:
            return _of_variable(name, assigned[name], file, depth)
        case ast.Name() | ast.Attribute():
            return _by_name(ast.unparse(value).rpartition(".")[2])
    return _UNKNOWN


def _common(found: list[int]) -> int:
    """What all of those say of which something is known."""
    known = [one for one in found if one]
    if not known or min(known) < 0 < max(known):
        return _UNKNOWN
    return max(known, key=abs)


def _by_name(name: str) -> int:
    if _BADLY.search(name):
        return -_PERHAPS
    return _PERHAPS if _WELL.search(name) else _UNKNOWN


def _of_comparison(left: ast.expr, operator: ast.cmpop, right: ast.expr) -> int:
    text = f"{ast.unparse(left)} {ast.unparse(right)}"
    bad, nothing = bool(_BADLY.search(text)), _is_nothing(right)
    if isinstance(operator, (ast.Eq, ast.Is)):
        if bad:
            return _SURE if nothing else _UNKNOWN
        of_code = is_code(left) or is_code(right) or (isinstance(left, ast.Call) and _is_number(right))
        return _UNKNOWN if of_code else _SURE
    if isinstance(operator, (ast.NotEq, ast.IsNot)):
        return -_of_comparison(left, ast.Eq(), right)
    return -_SURE if bad and nothing and isinstance(operator, ast.Gt) else _UNKNOWN


def _is_nothing(node: ast.expr) -> bool:
    match node:
        case ast.List(elts=[]) | ast.Tuple(elts=[]) | ast.Dict(keys=[]):
            return True
        case ast.Constant(value=value):
            return value in (0, None, False, "")
    return False


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def _of_call(call: ast.Call, file: Names, assigned: dict[str, list[ast.expr]], depth: int) -> int:
    last = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    first = call.args[0] if call.args else None
    inner = first.elt if isinstance(first, (ast.GeneratorExp, ast.ListComp)) else first
    if last in ("any", "all") and isinstance(call.func, ast.Name):
        within = _says_well(inner, file, assigned, depth - 1) if inner is not None else _UNKNOWN
        return within if within < 0 or last == "any" else _SURE
    if last == "bool" and first is not None:
        return _says_well(first, file, assigned, depth - 1)
    if last in _TRUE_WHERE_WELL:
        return _SURE
    function = file.functions.get(file.name(call.func)) or _method(last, call, file)
    return _of_function(function, file, depth - 1) if function else _UNKNOWN


def _method(name: str, call: ast.Call, file: Names) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The one of the file's methods of that name."""
    found = [
        node
        for one in (file.classes.values() if isinstance(call.func, ast.Attribute) else ())
        for node in one.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name
    ]
    return found[0] if len(found) == 1 else None


def _of_function(function: ast.FunctionDef | ast.AsyncFunctionDef, file: Names, depth: int) -> int:
    assigned: dict[str, list[ast.expr]] = {}
    returned: list[ast.expr] = []
    for statement, _ in statements(function.body, True):
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    assigned.setdefault(target.id, []).append(statement.value)
        elif isinstance(statement, (ast.AugAssign, ast.AnnAssign)) and isinstance(statement.target, ast.Name):
            assigned.setdefault(statement.target.id, []).append(statement.value or ast.Constant(None))
        elif isinstance(statement, ast.Return) and statement.value is not None:
            returned.append(statement.value)
    constants = [one.value for one in returned if isinstance(one, ast.Constant)]
    if any(type(one) is not bool for one in constants):
        return _UNKNOWN
    if len(constants) == len(returned):
        return _of_constants(function, constants)
    return _common([_says_well(one, file, assigned, depth) for one in returned])


def _of_constants(function: ast.FunctionDef | ast.AsyncFunctionDef, constants: Sequence[object]) -> int:
    """A function that returns True here and False there: what it returns of an exception is the bad one."""
    if len(set(constants)) < 2:
        return _UNKNOWN
    caught = {
        part.value.value
        for one in ast.walk(function)
        if isinstance(one, ast.ExceptHandler)
        for part in ast.walk(one)
        if isinstance(part, ast.Return) and isinstance(part.value, ast.Constant)
    }
    if caught in ({True}, {False}):
        return _SURE if caught == {False} else -_SURE
    named = _by_name(function.name)
    last = function.body[-1]
    if isinstance(last, ast.Return) and isinstance(last.value, ast.Constant):
        # What is left for the end, after all that could be wrong.
        at_the_end = _PERHAPS if last.value.value is True else -_PERHAPS
        return named if named else at_the_end
    return named


def _of_variable(name: str, values: list[ast.expr], file: Names, depth: int) -> int:
    constants = [one.value for one in values if isinstance(one, ast.Constant)]
    if len(constants) < len(values):
        others = [one for one in values if not isinstance(one, ast.Constant)]
        # `ok = ok and …` says of itself what it is.
        return _common([_by_name(name), *(_says_well(one, file, {}, depth - 1) for one in others)])
    if any(type(one) is not bool for one in constants) or len(set(constants)) < 2:
        return _by_name(name)
    named = _by_name(name)
    # A flag that is set to one value at first, and to the other where something happens.
    at_first = _PERHAPS if constants[0] is True else -_PERHAPS
    return 2 * named if named == at_first else named or at_first
