"""YAML as text, lists and tables that know their line. Nothing is resolved: ``on`` and ``3.10`` stay as written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import yaml

# An alias repeats what it names; a few lines of them can stand for billions of values.
_MOST_VALUES = 100_000


class Text(str):
    """A scalar; ``line`` is the first line of its content, counted from 1.

    ``quoted`` tells the text ``"0"``, which is true in an expression of GitHub's, from the number, which is not.
    """

    line: int
    quoted: bool

    def __new__(cls, value: str, line: int, *, quoted: bool = False) -> Text:
        made = super().__new__(cls, value)
        made.line = line
        made.quoted = quoted
        return made


class Items(list["Value"]):
    """A list."""

    def __init__(self, values: Sequence[Value] = (), line: int = 0) -> None:
        super().__init__(values)
        self.line = line


class Table(dict[str, "Value"]):
    """A mapping. The getters give an empty value for what is not there, or is of another kind.

    ``whole`` is False where only a run knows what else it holds.
    """

    def __init__(self, values: dict[str, Value] | None = None, line: int = 0, *, whole: bool = True) -> None:
        super().__init__(values or {})
        self.line = line
        self.whole = whole

    def text(self, key: str) -> Text:
        """The scalar of that key."""
        value = self.get(key)
        return value if isinstance(value, Text) else Text("", self.line)

    def table(self, key: str) -> Table:
        """The mapping of that key."""
        value = self.get(key)
        return value if isinstance(value, Table) else Table({}, self.line)

    def items_of(self, key: str) -> Items:
        """The list of that key; one scalar is a list of one."""
        value = self.get(key)
        if isinstance(value, Text) and value:
            return Items([value], value.line)
        return value if isinstance(value, Items) else Items([], self.line)

    def texts(self, key: str) -> tuple[Text, ...]:
        """The scalars in the list of that key."""
        return tuple(value for value in self.items_of(key) if isinstance(value, Text))


Value = Text | Items | Table


class NotYaml(Exception):
    """The text is no YAML that can be read; ``line`` is where it is wrong."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.line = line


# Several sources read one workflow, and each job that calls one reads it again.
@lru_cache(maxsize=256)
def load_yaml(text: str, lines: tuple[int, ...] = ()) -> Value:
    """The first document. ``lines`` gives, for each line of ``text``, the line of the file that it came from.

    :raises NotYaml: it does not parse, is nested too deeply, or its aliases make too much of it.
    """
    reader = _Reader(lines)
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
        return reader.value(node) if node is not None else Table({}, 1)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotYaml(error.problem or "does not parse", reader.line(mark.line if mark else 0)) from None
    except yaml.YAMLError as error:
        raise NotYaml(str(error).splitlines()[0], 1) from None
    except RecursionError:
        raise NotYaml("nested too deeply", 1) from None
    except (ValueError, OverflowError) as error:  # of chr(), for "\\U00110000" and "\\UFFFFFFFF"
        raise NotYaml(str(error), 1) from None


def load_table(text: str) -> Table | None:
    """The first document, where it is a mapping; None for another, and for what is no YAML."""
    try:
        document = load_yaml(text)
    except NotYaml:
        return None
    return document if isinstance(document, Table) else None


def with_texts(table: Table, change: Callable[[Text], Text]) -> Table:
    """The table with each of its scalars, at any depth, as ``change`` makes it."""

    def changed(value: Value) -> Value:
        if isinstance(value, Text):
            return change(value)
        if isinstance(value, Items):
            return Items([changed(child) for child in value], value.line)
        return Table({key: changed(child) for key, child in value.items()}, value.line)

    made = changed(table)
    assert isinstance(made, Table)
    return made


def texts_in(value: Value) -> Iterator[Text]:
    """The scalars of a value, at any depth."""
    if isinstance(value, Text):
        yield value
    else:
        for child in value.values() if isinstance(value, Table) else value:
            yield from texts_in(child)


def joined_lines(lines: Sequence[Text]) -> Iterator[Text]:
    """Neighbouring one-line commands as one script, each at its own line."""
    script = ""
    start = end = 0
    for line in lines:
        if script and line.line >= end:
            script += ("\n" * (line.line - end) or "; ") + line  # those of `[a, b]` stand on one line
        elif script:
            yield Text(script, start)
            script = ""
        if not script:
            script, start, end = str(line), line.line, line.line
        end = line.line + line.count("\n")
    if script:
        yield Text(script, start)


class _Reader:
    def __init__(self, lines: Sequence[int]) -> None:
        self._lines = lines
        self._count = 0

    def line(self, zero_based: int) -> int:
        if not self._lines:
            return zero_based + 1
        return self._lines[min(zero_based, len(self._lines) - 1)]

    def value(self, node: yaml.Node) -> Value:
        self._count += 1
        if self._count > _MOST_VALUES:
            raise NotYaml("holds too many values", self.line(node.start_mark.line))
        line = self.line(node.start_mark.line)
        if isinstance(node, yaml.MappingNode):
            pairs = [(self.value(key), self.value(value)) for key, value in node.value]
            made = {str(key): value for key, value in pairs if isinstance(key, Text)}
            return Table({**_of_others(made.pop("<<", None)), **made}, line)
        if isinstance(node, yaml.SequenceNode):
            return Items([self.value(child) for child in node.value], line)
        style = node.style if isinstance(node, yaml.ScalarNode) else None
        content = self.line(node.start_mark.line + 1) if style in ("|", ">") else line
        return Text(node.value, content, quoted=style is not None)


def _of_others(value: Value | None) -> dict[str, Value]:
    """What ``<<`` takes from other mappings; the first that has a key counts (https://yaml.org/type/merge.html)."""
    others = value if isinstance(value, Items) else [value]
    made: dict[str, Value] = {}
    for other in others:
        made = {**other, **made} if isinstance(other, Table) else made
    return made
