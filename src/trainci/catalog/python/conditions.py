"""Pure: of which conditions a program makes sure that one holds, compared by their words."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence, Set

from trainci.catalog.statements import all_parts

_NEGATIONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.NotEq: ast.Eq,
    ast.IsNot: ast.Is,
    ast.NotIn: ast.In,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
}
_OPPOSITES = _NEGATIONS | {other: one for one, other in _NEGATIONS.items()}


def when_holds(test: ast.expr) -> frozenset[str]:
    """``test`` holds where one of these does, and only there: ``a`` and ``b`` of ``a or b``."""
    match test:
        case ast.BoolOp(op=ast.Or(), values=values):
            return frozenset[str]().union(*map(when_holds, values))
        case ast.Call(func=ast.Name(id="any"), args=[ast.List(elts=values) | ast.Tuple(elts=values)]):
            return frozenset[str]().union(*map(when_holds, values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return when_fails(operand)
        case ast.Compare(left=left, ops=[ast.In()], comparators=[ast.List(elts=values) | ast.Tuple(elts=values)]):
            return frozenset(ast.unparse(ast.Compare(left, [ast.Eq()], [value])) for value in values)
        case ast.Compare(left=left, ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            return frozenset({ast.unparse(left)})
        case ast.Compare(left=left, ops=[ast.Is()], comparators=[ast.Constant(value=None)]):
            return frozenset({f"not {ast.unparse(left)}"})
        case ast.Compare(left=left, ops=[operator], comparators=right) if type(operator) in _NEGATIONS:
            opposite = ast.Compare(left, [_NEGATIONS[type(operator)]()], right)
            return frozenset({f"not {ast.unparse(opposite)}"})
    return frozenset({ast.unparse(test)})


def when_fails(test: ast.expr) -> frozenset[str]:
    """``test`` does not hold where one of these does, and only there."""
    match test:
        case ast.BoolOp(op=ast.And(), values=values):
            return frozenset[str]().union(*map(when_fails, values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return when_holds(operand)
        case ast.Compare(left=left, ops=[operator], comparators=right):
            return when_holds(ast.Compare(left, [_OPPOSITES[type(operator)]()], right))
    return frozenset({f"not {ast.unparse(test)}"})


def covers(when: Set[str], one_of: Sequence[Set[str]]) -> bool:
    """Whether one of ``when`` certainly holds, as one of each of ``one_of`` does; ``.mode`` is anybody's."""
    if any(f"not {one}" in when for one in when):
        return True
    ends = {one[one.index(".") :] for one in when if "." in one}
    return any(one <= {*when, *ends} for one in one_of)


def options_given(tree: ast.AST) -> list[frozenset[str]]:
    """What argparse makes sure of: one of the ``choices`` of an option, one of the options of a group."""
    groups: dict[str, set[str]] = {}
    found = []
    for node in all_parts(tree):
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(func=ast.Attribute(attr="add_mutually_exclusive_group"), keywords=[keyword]),
            ) if keyword.arg == "required":
                groups[name] = set()
            case ast.Call(func=ast.Attribute(attr="add_argument", value=of), args=[ast.Constant(), *_]):
                name = _attribute(node)
                if isinstance(of, ast.Name) and of.id in groups:
                    groups[of.id].add(name)
                if values := [*_choices(node)]:
                    found.append(frozenset(f"{name} == {value!r}" for value in values))
    return found + [frozenset(group) for group in groups.values() if group]


def _attribute(call: ast.Call) -> str:
    """By which attribute of its arguments a program asks for an option: ``.dry_run`` for ``--dry-run``."""
    told = [one.value for one in call.keywords if one.arg == "dest"]
    names = [one.value for one in told or call.args if isinstance(one, ast.Constant)]
    name = next((one for one in names if str(one).startswith("--")), names[0] if names else "")
    return "." + str(name).lstrip("-").replace("-", "_")


def _choices(call: ast.Call) -> Iterator[object]:
    """The constants of which an option is one, where it is never left out."""
    given = {one.arg: one.value for one in call.keywords}
    first, choices = call.args[0], given.get("choices")
    positional = isinstance(first, ast.Constant) and not str(first.value).startswith("-")
    default = given.get("default")
    has_default = isinstance(default, ast.Constant) and default.value is not None
    if "nargs" not in given and (positional or has_default or "required" in given):
        values = choices.elts if isinstance(choices, (ast.List, ast.Tuple)) else []
        yield from (value.value for value in values if isinstance(value, ast.Constant))
