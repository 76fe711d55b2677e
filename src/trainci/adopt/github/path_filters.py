"""Jobs that start where an action found files of a kind changed: the patterns of that kind.

Formats: https://github.com/dorny/paths-filter, https://github.com/tj-actions/changed-files
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from trainci.adopt.placed import Items, NotYaml, Table, Text, Value, load_yaml
from trainci.adopt.tree import Tree

_SAYS_CHANGED = re.compile(
    r"\(?\s*needs\.([\w-]+)\.outputs\.([\w-]+)\s*(?:==\s*(?:'true'|true))?(?!\s*[!=<>\w.])\s*\)?"
)
_STEP = re.compile(r"steps\.([\w-]+)\.outputs\.([\w-]+)")
_ANY_OF = re.compile(r"(?:(.+)_)?any_(?:changed|modified)")


def by_filters(condition: str, jobs: Table, tree: Tree) -> tuple[tuple[Text, ...], str]:
    """The patterns of the filters that a condition asks, and the condition without those questions."""
    found: dict[Text, None] = {}

    def asked(match: re.Match[str]) -> str:
        patterns = tuple(_patterns(jobs.table(match.group(1)), match.group(2), tree))
        found.update(dict.fromkeys(patterns))
        return " " if patterns else match.group()

    rest = _SAYS_CHANGED.sub(asked, condition)
    return tuple(found), rest if found else condition


def _patterns(job: Table, output: str, tree: Tree) -> Iterator[Text]:
    step = _STEP.search(job.table("outputs").text(output))
    for one in job.items_of("steps") if step else ():
        if step and isinstance(one, Table) and one.text("id") == step.group(1):
            action, given = one.text("uses").partition("@")[0], one.table("with")
            if action.endswith("/paths-filter"):
                yield from _flat(_filters(given.text("filters"), tree).get(step.group(2)))
            elif action.endswith("/changed-files") and (kind := _ANY_OF.fullmatch(step.group(2))):
                named = _filters(given.text("files_yaml"), tree).get(kind.group(1) or "")
                lines = () if kind.group(1) else given.text("files").split()
                yield from (*_flat(named), *(Text(line, given.text("files").line) for line in lines))


def _filters(text: Text, tree: Tree) -> Table:
    """The table of filters, which is written there or in a file of the repository."""
    try:
        read = load_yaml(tree.read(text.strip()) if tree.is_file(text.strip()) else text)
    except NotYaml:
        return Table()
    return read if isinstance(read, Table) else Table()


def _flat(value: Value | None) -> Iterator[Text]:
    """The patterns of a filter: lists may hold other filters, and a pattern may say of which kind of change."""
    if isinstance(value, Text) and value.strip():
        yield value
    elif isinstance(value, Items):
        for one in value:
            yield from _flat(one)
    elif isinstance(value, Table):
        for one in value.values():
            yield from _flat(one)
