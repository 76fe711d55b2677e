"""Pure: what the recipes of a Makefile throw away on the way to a goal.

Each line of a recipe is a script of its own, and a ``-`` before it ignores its failure (GNU make, 5 Recipes).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from trainci.catalog.lost import LostResult
from trainci.catalog.shell.lost import read_shell

NAMES = ("GNUmakefile", "makefile", "Makefile")
_RULE = re.compile(r"^(?P<targets>[^\s:=#][^:=#]*?)\s*::?(?![:=])(?P<needs>[^=;#]*?)(?:;(?P<recipe>.*))?(?:#.*)?$")
_MOST_TARGETS = 300
_FLAGS = re.compile(r"^\.SHELLFLAGS\s*[:?+]{0,3}=(.*)$", re.MULTILINE)
_PREFIX = re.compile(r"^[@+\s]*(?P<ignored>-?)[@+\s-]*")


@dataclass
class _Rule:
    needs: list[str] = field(default_factory=list)
    lines: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Recipes:
    """What is on the way to a goal: ``lost``, in the order of the lines, and ``commands`` that may be tests."""

    lost: tuple[LostResult, ...]
    commands: tuple[tuple[str, ...], ...]


def in_makefile(text: str, goals: Sequence[str], exists: Callable[[str], bool] = lambda _: False) -> Recipes:
    """What the way to ``goals`` (the first target, where there are none) throws away.

    ``exists``: there is a file or a folder of that name, of which make says that it is up to date.
    """
    rules, first = _rules(text)
    ignores_all = ".IGNORE" in rules and not rules[".IGNORE"].needs
    options = _options(text)
    wanted = list(goals) or [first]
    seen: set[str] = set()
    found: list[LostResult] = []
    commands: list[tuple[str, ...]] = []
    while wanted and len(seen) < _MOST_TARGETS:
        target = wanted.pop()
        name = target if target in rules else _pattern(target, rules)
        if name in seen or name not in rules:
            continue
        seen.add(name)
        rule, phony = rules[name], rules.get(".PHONY", _Rule()).needs
        if target in goals and target not in phony and not rule.needs and rule.lines and exists(target):
            what = f"`make {target}` runs nothing, as there is a file or folder `{target}`"
            certain = any(_runs_tests(line) for _, line in rule.lines)
            found.append(LostResult(rule.lines[0][0], what, f"Write `.PHONY: {target}`.", certain))
        wanted += rule.needs
        ignored = ignores_all or name in rules.get(".IGNORE", _Rule()).needs
        for number, line in _scripts(rule, ".ONESHELL" in rules):
            found += _lost(number, line, ignored, options)
            for _, words in read_shell(_command(line)).starts:
                if words[0] in ("make", "gmake", "${MAKE}") and not {"-C", "-f"} & set(words):
                    wanted += [word for word in words[1:] if not word.startswith("-") and "=" not in word]
                else:
                    commands.append(words)
    return Recipes(tuple(sorted(found, key=lambda one: one.line)), tuple(commands))


def _pattern(target: str, rules: Mapping[str, _Rule]) -> str:
    """The pattern rule for a target: ``test-%`` for ``test-a``."""
    for name in rules:
        before, percent, after = name.partition("%")
        if percent and len(target) >= len(name) and target.startswith(before) and target.endswith(after):
            return name
    return target


def _command(line: str) -> str:
    """A line of a recipe as its shell gets it."""
    prefix = _PREFIX.match(line)
    return line[prefix.end() if prefix else 0 :].replace("$$", "$").replace("$(MAKE)", "make")


def _options(text: str) -> str:
    """What the shell of each line is told by ``.SHELLFLAGS``, as a command of that shell."""
    told = _FLAGS.findall(text)
    words = (re.sub(r"^(-[a-z]*)c", r"\1", word) for word in (told[-1].split() if told else ()))
    options = " ".join(word for word in words if word != "-")
    return f"set {options}; " if options else ""


def _scripts(rule: _Rule, in_one: bool) -> list[tuple[int, str]]:
    """What each shell of a recipe is given, with its line; by ``.ONESHELL`` that is one for all of it."""
    if not in_one or not rule.lines:
        return rule.lines
    (number, first), *others = rule.lines
    return [(number, "\n".join([first, *(line.lstrip("@-+ ") for _, line in others)]))]


def _lost(number: int, line: str, ignored: bool, options: str) -> Iterator[LostResult]:
    prefix = _PREFIX.match(line)
    command = _command(line)
    if ignored or (prefix and prefix["ignored"]):
        # As a shell would say it: the rest of the line is the test, if it is one.
        if any(one.certain for one in read_shell(f"{command} || true").lost):
            what = "the failure of this line is ignored"
            yield LostResult(number, what, "Leave its `-` out, or what ignores all.", certain=_runs_tests(command))
        return
    for one in read_shell(f"{options}{command}").lost:
        yield LostResult(number + one.line - 1, one.what, one.mend, one.certain and _runs_tests(command))


def _runs_tests(command: str) -> bool:
    return any(word in command for word in ("pytest", "torchrun", "python", "deepspeed", "accelerate"))


def _rules(text: str) -> tuple[dict[str, _Rule], str]:
    """The rules by their targets, and the first target that make itself would choose."""
    rules: dict[str, _Rule] = {}
    current: list[_Rule] = []
    first = ""
    for number, line in _logical_lines(text):
        if line.startswith("\t"):
            for rule in current:
                rule.lines.append((number, line[1:]))
        elif found := _RULE.match(line):
            targets = found["targets"].split()
            current = [rules.setdefault(target, _Rule()) for target in targets]
            first = first or next((target for target in targets if not target.startswith(".")), "")
            for rule in current:
                rule.needs += found["needs"].split()
                rule.lines += [(number, found["recipe"])] if found["recipe"] else []
        elif line.strip() and not line.startswith(("#", "ifeq", "ifneq", "ifdef", "ifndef", "else", "endif")):
            current = []
    return rules, first


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    begun, start = "", 0
    for number, line in enumerate(text.split("\n"), start=1):
        start = start if begun else number
        if line.endswith("\\"):
            begun += f"{line[:-1]} "
        else:
            yield start, f"{begun}{line}"
            begun = ""
