"""A Jinja template written out from its syntax tree, as far as constants decide it. No template is ever run.

jinja2 only parses. What is understood here is what job tables need: ``set``, ``for``, ``if``, constants, their
members and a few filters, each within a bound, so that no template takes more time or memory than it may.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import jinja2
from jinja2 import nodes

_MOST_STEPS = 200_000
_LARGEST = 4 << 20


class PlacedDict(dict[Any, Any]):
    """A dict of a template; ``line`` is where it is written."""

    line = 0


class NotConstant(Exception):
    """The template holds what only running it would give; ``line`` is where."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.line = line


class Template:
    """``text`` is the template written out; ``lines`` has, for each of its lines, that of the template.

    ``values`` are the constants that it sets at its top level.
    """

    def __init__(self, source: str) -> None:
        """
        :raises NotConstant: it does not parse, or only running it would give its text.
        """
        tree = parse(source)
        self.values: dict[str, Any] = {}
        self._parts: list[str] = []
        self.lines = [1]
        self._steps = self._size = 0
        try:
            self._write(tree.body, self.values)
        except RecursionError:
            raise NotConstant("it is nested too deeply", 1) from None
        self.text = "".join(self._parts)

    def _write(self, body: list[nodes.Node], names: dict[str, Any]) -> None:
        for node in body:
            self._step(node)
            if isinstance(node, nodes.Output):
                for part in node.nodes:
                    if isinstance(part, nodes.TemplateData):
                        self._emit(part.data, part.lineno, moves=True)
                    else:
                        self._emit(_text(self._value(part, names)), part.lineno, moves=False)
            elif isinstance(node, nodes.Assign) and isinstance(node.target, nodes.Name):
                names[node.target.name] = self._value(node.node, names)
            elif isinstance(node, nodes.If):
                self._write(self._branch(node, names), names)
            elif isinstance(node, nodes.For) and not node.recursive and node.test is None:
                self._loop(node, names)
            else:
                raise NotConstant(f"{type(node).__name__.lower()} is not understood", node.lineno)

    def _branch(self, node: nodes.If, names: dict[str, Any]) -> list[nodes.Node]:
        for one in (node, *node.elif_):
            if self._value(one.test, names):
                return one.body
        return node.else_

    def _loop(self, node: nodes.For, names: dict[str, Any]) -> None:
        values = self._value(node.iter, names)
        if not isinstance(values, (list, tuple, dict)):
            raise NotConstant("it loops over what is no list", node.lineno)
        listed = list(values)
        for position, value in enumerate(listed):
            # What a loop sets is gone after it.
            inner = {**names, **_unpacked(node.target, value)}
            inner["loop"] = {
                "index": position + 1,
                "index0": position,
                "first": position == 0,
                "last": position == len(listed) - 1,
                "length": len(listed),
            }
            self._write(node.body, inner)
        if not listed:
            self._write(node.else_, names)

    def _emit(self, text: str, line: int, *, moves: bool) -> None:
        self._size += len(text)
        if self._size > _LARGEST:
            raise NotConstant("it gives too long a text", line)
        self._parts.append(text)
        self.lines += [line + (number if moves else 0) for number in range(1, text.count("\n") + 1)]

    def _step(self, node: nodes.Node) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise NotConstant("it takes too many steps", node.lineno)

    def _value(self, node: nodes.Node, names: dict[str, Any]) -> Any:
        self._step(node)
        handler = _VALUES.get(type(node))
        if handler is None:
            raise NotConstant(f"{type(node).__name__.lower()} is not understood", node.lineno)
        value = handler(self, node, names)
        if not isinstance(node, (nodes.Name, nodes.Getattr, nodes.Getitem)):
            self._weigh(value, node.lineno)
        return value

    def _weigh(self, value: Any, line: int) -> None:
        """Count all that a made value holds: lists of lists double with each line of a template."""
        waiting = [value]
        while waiting:
            one = waiting.pop()
            self._size += len(one) if isinstance(one, str) else 1
            if self._size > _LARGEST:
                raise NotConstant("it holds too much", line)
            if isinstance(one, (list, tuple)):
                waiting += one
            elif isinstance(one, dict):
                waiting += one.values()

    def name(self, node: nodes.Name, names: dict[str, Any]) -> Any:
        if node.name not in names:
            raise NotConstant(f"{node.name} is not set in it", node.lineno)
        return names[node.name]

    def dictionary(self, node: nodes.Dict, names: dict[str, Any]) -> PlacedDict:
        made = PlacedDict()
        for pair in node.items:
            key = self._value(pair.key, names)
            if not isinstance(key, (str, int, float, bool)):
                raise NotConstant("a key is no text", pair.lineno)
            made[key] = self._value(pair.value, names)
        made.line = node.lineno
        return made

    def member(self, node: nodes.Getattr | nodes.Getitem, names: dict[str, Any]) -> Any:
        value = self._value(node.node, names)
        key = node.attr if isinstance(node, nodes.Getattr) else self._value(node.arg, names)
        if isinstance(value, dict):
            return value.get(key)
        if isinstance(value, (list, tuple)) and isinstance(key, int) and -len(value) <= key < len(value):
            return value[key]
        raise NotConstant(f"{key} is no member of a constant", node.lineno)

    def call(self, node: nodes.Call, names: dict[str, Any]) -> Any:
        if isinstance(node.node, nodes.Getattr) and not node.kwargs and not node.dyn_args:
            owner = self._value(node.node.node, names)
            arguments = [self._value(argument, names) for argument in node.args]
            if isinstance(owner, dict) and node.node.attr in ("items", "keys", "values", "get"):
                if node.node.attr == "get" and 1 <= len(arguments) <= 2:
                    return owner.get(*arguments)
                if not arguments:
                    return {"items": list(owner.items()), "keys": list(owner), "values": list(owner.values())}[
                        node.node.attr
                    ]
        raise NotConstant("a call is not understood", node.lineno)

    def filtered(self, node: nodes.Filter, names: dict[str, Any]) -> Any:
        known = _FILTERS.get(node.name)
        if known is None or node.node is None or node.dyn_args or node.dyn_kwargs:
            raise NotConstant(f"the filter {node.name} is not understood", node.lineno)
        if node.name in ("default", "d") and isinstance(node.node, nodes.Name) and node.node.name not in names:
            value = None
        else:
            value = self._value(node.node, names)
        arguments = [self._value(argument, names) for argument in node.args]
        named = {pair.key: self._value(pair.value, names) for pair in node.kwargs}
        try:
            return known(value, *arguments, **{str(key): one for key, one in named.items()})
        except (TypeError, ValueError, AttributeError) as error:
            raise NotConstant(f"the filter {node.name}: {error}", node.lineno) from None

    def test(self, node: nodes.Test, names: dict[str, Any]) -> bool:
        if node.name in ("defined", "undefined"):
            is_set = isinstance(node.node, nodes.Name) and node.node.name in names
            if not isinstance(node.node, nodes.Name):
                is_set = self._value(node.node, names) is not None
            return is_set == (node.name == "defined")
        value = self._value(node.node, names)
        checks = {"none": value is None, "string": isinstance(value, str), "mapping": isinstance(value, dict)}
        if node.name not in checks:
            raise NotConstant(f"the test {node.name} is not understood", node.lineno)
        return checks[node.name]

    def compare(self, node: nodes.Compare, names: dict[str, Any]) -> bool:
        left = self._value(node.expr, names)
        for operand in node.ops:
            right = self._value(operand.expr, names)
            try:
                if not _COMPARISONS[operand.op](left, right):
                    return False
            except TypeError as error:
                raise NotConstant(str(error), node.lineno) from None
            left = right
        return True

    def added(self, node: nodes.Add, names: dict[str, Any]) -> Any:
        left, right = self._value(node.left, names), self._value(node.right, names)
        for kind in (list, str, int):
            if isinstance(left, kind) and isinstance(right, kind):
                return left + right  # type: ignore[operator]
        raise NotConstant("only lists, texts and numbers are added", node.lineno)


# The marks of slime's templates and of trainci's, which leave GitHub's own `${{ }}` alone.
_OWN_MARKS = jinja2.Environment(
    block_start_string="<%",
    block_end_string="%>",
    variable_start_string="<<",
    variable_end_string=">>",
    comment_start_string="<#",
    comment_end_string="#>",
    autoescape=True,
)


def parse(source: str) -> nodes.Template:
    """The syntax tree of a template with the delimiters that it uses: ``<% %>`` or Jinja's own.

    :raises NotConstant: it does not parse.
    """
    try:
        return (_OWN_MARKS if "<%" in source else jinja2.Environment(autoescape=True)).parse(source)
    except jinja2.TemplateSyntaxError as error:
        raise NotConstant(error.message or "does not parse", error.lineno) from None
    except (RecursionError, ValueError, OverflowError) as error:
        raise NotConstant(str(error), 1) from None


def _unpacked(target: nodes.Node, value: Any) -> dict[str, Any]:
    if isinstance(target, nodes.Name):
        return {target.name: value}
    if isinstance(target, nodes.Tuple) and isinstance(value, (list, tuple)) and len(value) == len(target.items):
        return dict(_pairs(target, value))
    raise NotConstant("a loop's names do not fit its values", target.lineno)


def _pairs(target: nodes.Tuple, value: Any) -> Iterator[tuple[str, Any]]:
    for item, one in zip(target.items, value, strict=True):
        yield from _unpacked(item, one).items()


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _indent(value: Any, width: int = 4, first: bool = False, blank: bool = False) -> str:
    if not 0 <= width <= 64:
        raise ValueError("too wide")
    head, *rest = _text(value).split("\n")
    lines = [" " * width + line if line or blank else line for line in rest]
    return "\n".join([" " * width + head if first else head, *lines])


def _default(value: Any, other: Any = "", boolean: bool = False) -> Any:
    return other if value is None or (boolean and not value) else value


_FILTERS: dict[str, Callable[..., Any]] = {
    "tojson": lambda value, indent=None: json.dumps(value, indent=min(indent or 0, 16) or None, sort_keys=True),
    "indent": _indent,
    "default": _default,
    "d": _default,
    "join": lambda value, separator="": _text(separator).join(map(_text, value)),
    "lower": lambda value: _text(value).lower(),
    "upper": lambda value: _text(value).upper(),
    "trim": lambda value: _text(value).strip(),
    "string": _text,
    "safe": lambda value: value,
    "int": lambda value: int(value),
    "length": len,
    "count": len,
    "list": list,
    "yaml": lambda value: json.dumps(value),
}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: bool(left == right),
    "ne": lambda left, right: bool(left != right),
    "lt": lambda left, right: bool(left < right),
    "lteq": lambda left, right: bool(left <= right),
    "gt": lambda left, right: bool(left > right),
    "gteq": lambda left, right: bool(left >= right),
    "in": lambda left, right: left in right,
    "notin": lambda left, right: left not in right,
}
_VALUES: dict[type[nodes.Node], Callable[[Template, Any, dict[str, Any]], Any]] = {
    nodes.Const: lambda _, node, __: node.value,
    nodes.TemplateData: lambda _, node, __: node.data,
    nodes.Name: Template.name,
    nodes.Dict: Template.dictionary,
    nodes.List: lambda self, node, names: [self._value(item, names) for item in node.items],
    nodes.Tuple: lambda self, node, names: tuple(self._value(item, names) for item in node.items),
    nodes.Getattr: Template.member,
    nodes.Getitem: Template.member,
    nodes.Call: Template.call,
    nodes.Filter: Template.filtered,
    nodes.Test: Template.test,
    nodes.Compare: Template.compare,
    nodes.Add: Template.added,
    nodes.Concat: lambda self, node, names: "".join(_text(self._value(part, names)) for part in node.nodes),
    nodes.Not: lambda self, node, names: not self._value(node.node, names),
    nodes.And: lambda self, node, names: self._value(node.left, names) and self._value(node.right, names),
    nodes.Or: lambda self, node, names: self._value(node.left, names) or self._value(node.right, names),
    nodes.Neg: lambda self, node, names: -self._value(node.node, names),
    nodes.CondExpr: lambda self, node, names: (
        self._value(node.expr1, names)
        if self._value(node.test, names)
        else (self._value(node.expr2, names) if node.expr2 is not None else None)
    ),
}
