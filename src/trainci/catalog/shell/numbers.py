"""Pure: the numbers that a shell script keeps (``rc=$?``, ``failed=1``), and the conditions that ask for them."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence

_LONGEST = 60
_LARGEST = 1 << 32
_NAME = r"\$?\{?([A-Za-z_]\w*)(?::?[-=](\d+))?\}?"
_REFERENCE = re.compile(r"\$([A-Za-z_]\w*)|\$\{([A-Za-z_]\w*)(?::?[-=](\d+))?\}|\$\{(?P<part>PIPESTATUS\[\d+\])\}")
# How each part of the last pipe ended, as a variable of that name and place.
PIPE = "PIPESTATUS"
FIRST = f"{PIPE}[0]"
_COMPUTED = re.compile(r"\$\(\((?P<text>[^()]*)\)\)")
_IN_COMPUTED = re.compile(rf"\$\?|{_NAME}")
_COUNTS = re.compile(r"(?:\+\+)?([A-Za-z_]\w*)(?:\+\+|\+=(\d+))?")
_ASKED = re.compile(r"(\$\?|\$?\{?[A-Za-z_]\w*\}?)(?:(==|!=|>=|<=|>|<)(\d+))?")
_COMPUTES: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Mod: operator.mod,
}
_COMPARES: dict[str, Callable[[int, int], bool]] = {
    **dict.fromkeys(("-eq", "=", "=="), operator.eq),
    **dict.fromkeys(("-ne", "!="), operator.ne),
    **dict.fromkeys(("-gt", ">"), operator.gt),
    **dict.fromkeys(("-lt", "<"), operator.lt),
    **dict.fromkeys(("-ge", ">="), operator.ge),
    **dict.fromkeys(("-le", "<="), operator.le),
}


def number(word: str, status: int, variables: Mapping[str, int]) -> int | None:
    """The number that ``word`` stands for after a command of ``status``; None for what is not known."""
    text = word.replace('"', "").replace("'", "")
    if text == "$?":
        return status
    if re.fullmatch(r"\d{1,9}", text):
        return int(text)
    if found := _REFERENCE.fullmatch(text):
        absent = int(found[3]) if found[3] else None
        name = found[1] or found[2] or found["part"]
        name = FIRST if name == PIPE else name
        return variables.get(name, status if name == FIRST else absent)
    if found := _COMPUTED.fullmatch(text):
        known = _IN_COMPUTED.sub(lambda one: str(_known(one, status, variables)), found["text"].strip())
        return _computed(known)
    return None


def _known(found: re.Match[str], status: int, variables: Mapping[str, int]) -> int | None:
    absent = int(found[2]) if found[2] else None
    return status if found[0] == "$?" else variables.get(found[1], absent)


def _computed(text: str) -> int | None:
    """The value of ``2 * 128``; None for more than a few sums and products, and where something is not known."""
    try:
        return _value(ast.parse(text[:_LONGEST], mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int(value)) if abs(value) < _LARGEST:
            return value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _COMPUTES:
            return _COMPUTES[type(op)](_value(left), _value(right))
    raise ValueError


def holds(words: Sequence[str], status: int, variables: Mapping[str, int]) -> bool | None:
    """Whether a condition (``[ $? -ne 0 ]``, ``((failed))``) holds; None for one that asks for something else."""
    name, *rest = words
    if name == "((":
        return _arithmetic("".join(rest), status, variables)
    if name not in ("[", "[[", "test"):
        return None
    rest = rest[:-1] if name == "[" else rest
    if rest[:1] == ["!"]:
        inner = holds((name, *rest[1:], "]"), status, variables) if name == "[" else None
        return None if inner is None else not inner
    if len(rest) != 3 or rest[1] not in _COMPARES:
        return None
    left, right = (number(side, status, variables) for side in (rest[0], rest[2]))
    return None if left is None or right is None else _COMPARES[rest[1]](left, right)


def counted_up(words: Sequence[str], variables: Mapping[str, int]) -> dict[str, int]:
    """The variables after ``((failed++))`` or ``let failed+=1``; what else such a command sets is not known."""
    after = dict(variables)
    for text in ["".join(words[1:])] if words[0] == "((" else words[1:]:
        plain = text.replace('"', "").replace("'", "")
        found = _COUNTS.fullmatch(plain)
        if found and plain != found[1]:
            before = after.pop(found[1], None)
            if before is not None:
                after[found[1]] = before + int(found[2] or 1)
        elif "=" in re.sub(r"[=!<>]=", "", plain) or "++" in plain or "--" in plain:
            after = {}
    return after


def _arithmetic(text: str, status: int, variables: Mapping[str, int]) -> bool | None:
    found = _ASKED.fullmatch(text)
    if found is None:
        return None
    name = found[1].strip("${}")
    left = status if found[1] == "$?" else variables.get(name)
    if left is None:
        return None
    return _COMPARES[found[2]](left, int(found[3])) if found[2] else bool(left)
