"""The recipe of a Makefile's rule, for a CI that runs ``make test``, and the goals that test."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from trainci.adopt.tools.filling import filled
from trainci.adopt.tree import Tree

_MOST = 20
_SET = re.compile(r"^([A-Za-z_]\w*)[ \t]*(\?=|::?=|=)[ \t]*([^\n#]*)", re.MULTILINE)
_USED = re.compile(r"(?<!\$)\$(?:\((\w+)\)|\{(\w+)\})")
# ``$(if $(CI),THEN,ELSE)``, in whose branches variables may stand.
_BRANCH = r"((?:[^,()]|\([^()]*\))*)"
_IF = re.compile(rf"(?<!\$)\$\(if \$[({{](\w+)[)}}],{_BRANCH}(?:,{_BRANCH})?\)")
_UNKNOWN = re.compile(r"(?<!\$)\$(?:\([^(){}]*\)|\{[^(){}]*\})")
# A rule's prerequisites, its lines, and the word that follows them. One of make's assignments is none.
_RULE = r"^{}\s*:(?!=)([^\n=]*)((?:\n\t[^\n]*)*)(?:\n(\w*))?"
# What stands before the goals: ``make -j 4 -C docs test``.
_VALUED = ("-j", "-l", "-o", "-W")


class _Unclear(Exception):
    """Only make works out what the goal runs."""


def made_by(
    tree: Tree, folder: str, arguments: Sequence[str], environment: Mapping[str, str], *, roughly: bool = False
) -> tuple[str, str]:
    """Where ``make ARGUMENTS`` runs that is called in ``folder``, and its script, "" where only make knows it.

    ``roughly``: without what only make knows, such as a launcher that it looks for.

    :raises TooLong: the variables that it names grow.
    """
    goals: list[str] = []
    file, rest = "Makefile", list(arguments)
    while rest:
        word = rest.pop(0)
        if (option := re.fullmatch(r"(-C|--directory=|-f|--file=|--makefile=)(.*)", word)) is not None:
            value = option.group(2) or (rest.pop(0) if rest else "")
            if option.group(1) in ("-C", "--directory="):
                folder = posixpath.normpath(posixpath.join(folder, value))
            else:
                file = value
        elif word in _VALUED and rest and rest[0].isdigit():
            rest.pop(0)
        elif not word.startswith("-"):
            goals.append(word)
    makefile = tree.read(posixpath.normpath(posixpath.join(folder, file)))
    return folder, recipe(makefile, tuple(goals), tuple(environment.items()), roughly=roughly)


@lru_cache(maxsize=256)
def recipe(
    makefile: str, goals: tuple[str, ...], environment: tuple[tuple[str, str], ...] = (), *, roughly: bool = False
) -> str:
    """The shell lines of the goals and of what they need before, "" where they are no plain rules.

    :raises TooLong: the variables that they name grow.
    """
    given = dict(goal.split("=", 1) for goal in goals if "=" in goal)
    own = {name: value.strip() for name, _, value in _SET.findall(makefile)}
    known = {"MAKE": "make", **dict(environment), **own, **given}
    seen: set[str] = set()
    try:
        named = [goal for goal in goals if "=" not in goal][:_MOST]
        text = "\n".join(line for goal in named for line in _lines(makefile, goal, seen, is_asked=True))
    except _Unclear:
        return ""
    text = filled(_IF, lambda match: match.group(2 if known.get(match.group(1)) else 3) or "", text)
    for _ in range(3):  # a variable may name another
        text = filled(_USED, lambda match: known.get(match.group(1) or match.group(2), match.group()), text)
    while roughly and (shorter := _UNKNOWN.sub("", text)) != text:
        text = shorter
    return "" if re.search(r"(?<!\$)\$[({]", text) else text.replace("$$", "$")


def _lines(makefile: str, goal: str, seen: set[str], *, is_asked: bool = False) -> Iterator[str]:
    """The lines of the goal's rule, behind those of its prerequisites; none for a file, which is nothing to run."""
    if goal in seen:
        return
    seen.add(goal)
    if len(seen) > _MOST:
        raise _Unclear
    rule = re.search(_RULE.format(re.escape(goal)), makefile, re.MULTILINE)
    if rule is None and is_asked:
        raise _Unclear
    needs, lines, following = rule.groups() if rule else ("", "", "")
    needs = needs.partition("#")[0].replace("|", " ")
    # A condition of make's may hold more lines.
    if re.search(r"[$%\\]", needs) or following in ("ifeq", "ifneq", "ifdef", "ifndef", "else", "endif"):
        raise _Unclear
    for need in needs.split():
        yield from _lines(makefile, need, seen)
    yield from (line[1:].lstrip("@-") for line in lines.split("\n")[1:])
    if is_asked and not needs.split() and not lines:
        raise _Unclear


def test_goals(makefile: str) -> list[str]:
    """The goals that are called after tests."""
    found = re.findall(r"^(tests?(?:[-_][\w-]+)?|[\w-]+[-_]tests?)\s*:(?!=)", makefile, re.MULTILINE)
    return list(dict.fromkeys(found))[:_MOST]
