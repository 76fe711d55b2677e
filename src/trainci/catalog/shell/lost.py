"""Pure: results that a shell script throws away: a pipe, ``|| true``, whatever comes before its last command.

Each command that may be a test fails once, and where the script still ends with 0 its failure is lost. Where it
does so though all of them fail, it is green whatever its tests say.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache, partial

from trainci.catalog.always_green import always_green, hidden_by, is_asked_later
from trainci.catalog.command_words import SETS_UP, arguments_of_pytest, is_python, program, without_launchers
from trainci.catalog.expects_failure import shell_expects_failure
from trainci.catalog.lost import LostResult
from trainci.catalog.shell.commands import Around, TooMany
from trainci.catalog.shell.expects import shell_expects
from trainci.catalog.shell.numbers import PIPE
from trainci.catalog.shell.parser import parse
from trainci.catalog.shell.run import Walk
from trainci.catalog.shell.state import SHELLS, SOURCES, UNSEEN, State, scripts_in, unquoted
from trainci.catalog.shell.tree import Function, Node, Simple, every_node, simple_commands
from trainci.model.tests import Expects
from trainci.shell_words import Unreadable

# For one question to a script, over all that may fail in it.
_MOST_STEPS = 40_000
_DEEPEST = 4
_NOTHING = Expects()
_MOST_THAT_FAIL = 20
_TESTS = ("pytest", "py.test", "torchrun", "accelerate", "deepspeed", "mpirun", "srun", "make")
# What decides by itself where a script goes on.
_CONDITIONS = frozenset("[ [[ (( test grep egrep which hash type pgrep cmp diff read let".split())  # noqa: SIM905
_KILLS = ("kill", "killall", "pkill")
_VARIABLE = re.compile(r"\"?\$\{?([A-Za-z_]\w*)\}?\"?")
# What fails where a program before it has not made what it is told to move, and what a script writes by itself.
_MOVES = ("cp", "install", "mv")
_WRITES = re.compile(r">{1,2} *([^\s;&|<>]+)|\btee +(?:-a +)?([^\s;&|]+)")
_PYTHON_SETS_UP = ("pip", "venv", "ensurepip", "site", "sysconfig", "uv")


@dataclass(frozen=True)
class ShellScript:
    """What a script does with its tests.

    ``lost`` is what it throws away, in the order of its lines; ``idle``: it runs nothing at all. ``pytest_calls``
    counts the commands that are pytest, and ``always_pytest``: one of them runs whatever happens. ``starts`` are
    its commands that may be tests and are come to, each with its line. ``expects`` says which failures inside of
    it it deals with.
    """

    lost: tuple[LostResult, ...] = ()
    idle: bool = False
    pytest_calls: int = 0
    always_pytest: bool = False
    starts: tuple[tuple[int, tuple[str, ...]], ...] = ()
    expects: Expects = _NOTHING

    @property
    def may_turn_away(self) -> bool:
        """One pytest is all that it runs, and it may end with 0 before that."""
        return self.pytest_calls == len(self.starts) == 1 and not self.always_pytest


# A script that many entries start with arguments of their own is walked through once.
@lru_cache(maxsize=32)
def read_shell(text: str, sourced: tuple[tuple[str, str], ...] = ()) -> ShellScript:
    """What the script ``text`` does with its tests; next to nothing of one that no shell would read to its end.

    ``sourced`` are the texts of the files that it reads by ``source``, by the word that names each.
    """
    for around in (Around(sourced), Around(sourced, counts=False)):
        try:
            return _read(text, around)
        except TooMany:
            continue
        except (Unreadable, RecursionError):
            break
    return ShellScript(expects=Expects(failure=shell_expects_failure(text)))


def _read(text: str, around: Around) -> ShellScript:
    script = parse(text)
    commands = list(_commands(script, dict(around.sourced)))
    pytests = sum(_is_pytest(node) for node in commands)
    always = pytests == 1 and all(end.ran for end in Walk(_status, _is_pytest, around).ends(script))
    # A script that only asks is a test by its questions.
    runs = _may_be_test if any(map(_may_be_test, commands)) else _asks
    good = Walk(_status, runs, around)
    all_good = good.ends(script)
    must_fail = _must_fail(script, commands, around, runs, all_good)
    made = {one or other for one, other in _WRITES.findall(text)}
    lost, reached = _lost(script, commands, around, runs, all_good, must_fail, made)
    come_to = reached | good.reached
    starts = tuple((node.line, _started(node)) for node in commands if node in come_to and _may_be_test(node))
    idle = not reached and not lost
    lost += _exit_of_nothing(text, commands)
    by_line = tuple(sorted(lost, key=lambda one: one.line))
    expects = shell_expects(script, text, failure=_never_green(all_good))
    return ShellScript(by_line, idle, pytests, always, starts, expects)


def _commands(script: Sequence[Node], sourced: dict[str, str], depth: int = 0) -> Iterator[Simple]:
    """Its commands, those in ``$(…)``, in scripts that it gives to a shell as a word, and in files it sources."""
    for node in simple_commands(script):
        yield node
        inner = [*node.substituted, *(parse(text, node.line) for text in scripts_in(node))]
        if len(node.words) > 1 and node.words[0] in SOURCES and node.words[1] in sourced:
            inner.append(parse(sourced.pop(node.words[1]), node.line, flat=True))
        for one in inner if depth < _DEEPEST else ():
            yield from _commands(one, sourced, depth + 1)


def _never_green(ends: Set[State]) -> bool:
    return bool(ends) and all(end.status for end in ends)


def _must_fail(
    script: Sequence[Node],
    commands: list[Simple],
    around: Around,
    runs: Callable[[Simple], bool],
    all_good: Set[State],
) -> tuple[Simple, ...]:
    """The commands without whose failure it fails itself: `! python bad.py`; for the rest see ``_lost``."""
    tests = [node for node in commands if runs(node)]
    found: tuple[Simple, ...] = ()
    ends, reached = all_good, set[Simple]()
    steps = 0
    while _never_green(ends) and len(found) < _MOST_THAT_FAIL:
        for test in tests:
            walk = Walk(_status, runs, around, expected=(*found, test))
            ends = walk.ends(script)
            steps += walk.steps
            if steps > _MOST_STEPS:
                return ()
            if test not in found and (not _never_green(ends) or walk.reached - reached):
                found, reached = (*found, test), walk.reached
                break
        else:
            return ()
    return found if not _never_green(ends) else ()


def _lost(
    script: Sequence[Node],
    commands: list[Simple],
    around: Around,
    runs: Callable[[Simple], bool],
    all_good: Set[State],
    must_fail: tuple[Simple, ...],
    made: Set[str],
) -> tuple[list[LostResult], set[Simple]]:
    """What it throws away, and the commands that it comes to; ``all_good``: its ends where no command fails.

    ``runs`` tells which of them may be tests. Those that ``must_fail`` are judged by the script itself; ``made``
    are the files that it writes by itself.
    """
    all_fail = Walk(lambda node: 1 if runs(node) else _after(node, made), runs, around)
    never_red = all(not end.status and not end.seen for end in all_fail.ends(script)) and not must_fail
    own = {node.name for node in every_node(script) if isinstance(node, Function)}
    is_test = runs if never_red else _is_test
    tests = [node for node in commands if is_test(node) and node.words[0] not in own and node not in must_fail]
    found: dict[tuple[int, str], LostResult] = {}
    steps = 0
    for test in tests:
        if steps > _MOST_STEPS:
            break
        walk = Walk(partial(_fails, test, made), runs, around, once=True, expected=must_fail)
        ends = walk.ends(script)
        steps += walk.steps
        for end in ends:
            if end.failed_at and not end.status and not end.seen:
                line, what, mend = end.lost or (
                    end.failed_at,
                    "its failure goes nowhere",
                    "Let the script end with it.",
                )
                if what == UNSEEN[0] and not never_red and _is_ended(commands, line):
                    continue  # a server
                found[line, what] = LostResult(line, what, mend, certain=never_red)
    lost = list(found.values())
    if never_red and not lost:
        lost = _never_fails(commands, tests, all_fail)
    elif not never_red:
        lost += _under_a_condition(script, all_good)
    return lost, all_fail.reached


def _is_ended(commands: list[Simple], line: int) -> bool:
    """Whether the script ends by itself what it began in the background of ``line``."""
    return any(
        (node.words[0] in _KILLS and node.line > line)
        or (node.words[0] == "trap" and any(name in " ".join(node.words) for name in _KILLS))
        for node in commands
        if node.words
    )


def _exit_of_nothing(text: str, commands: list[Simple]) -> Iterator[LostResult]:
    """``exit $code`` of a variable that nothing sets, which ends as the command before it did."""
    if any(node.words[:1] and node.words[0] in SOURCES for node in commands):
        return
    for node in commands:
        given = _VARIABLE.fullmatch(node.words[1]) if len(node.words) == 2 else None
        if given and node.words[0] in ("exit", "return") and given[1] != PIPE:
            name = given[1]
            if not re.search(rf"(?<![$\w{{]){name}\b|\$\{{{name}:?=", text):
                what = f"nothing sets `{name}`, so that this ends as the command before it did"
                yield LostResult(node.line, what, "Name the variable that holds the exit code.", certain=False)


def _fails(test: Simple, made: Set[str], node: Simple) -> int | None:
    """The status of ``node`` where ``test`` fails and nothing else does; ``made``: see ``_after``."""
    if (node.line, node.words) == (test.line, test.words):
        return 1
    return _after(node, made) if node.line > test.line else _status(node)


def _after(node: Simple, made: Set[str]) -> int | None:
    """The status of ``node`` behind a test that failed; ``made`` are the files that the script writes by itself."""
    moved = [word for word in node.words[1:-1] if not word.startswith("-")] if node.words[0] in _MOVES else []
    return None if moved and not made >= set(moved) else _status(node)


def _never_fails(commands: list[Simple], tests: list[Simple], walked: Walk) -> list[LostResult]:
    """The commands that are green by their own words, or that nobody comes to."""
    asked = [_words(node) for node in commands if node in walked.reached]
    green = [
        LostResult(node.line, why, "Take that out.", certain=not is_asked_later(_words(node), asked))
        for node in commands
        if node in walked.reached and (why := _always_green(node))
    ]
    missed = [node for node in tests if node not in walked.reached]
    what = "the script ends before this command, or never calls the function around it"
    return green or [LostResult(node.line, what, "Let it come here.", certain=True) for node in missed[:1]]


def _under_a_condition(script: Sequence[Node], ends: Set[State]) -> list[LostResult]:
    """The condition without which no test runs at all."""
    if not any(end.ran for end in ends):
        return []
    lines = {end.doubt for end in ends if not end.ran and not end.status and end.doubt}
    # The conditions of a file that is sourced are a set-up's.
    lines -= {node.line for node in simple_commands(script) if node.words[:1] and node.words[0] in SOURCES}
    what = "no test runs where this condition says so"
    return [LostResult(line, what, "Let the script fail there.", certain=False) for line in sorted(lines)[:1]]


def _words(node: Simple) -> list[str]:
    return [_unescaped(word) for word in node.words]


def _started(node: Simple) -> tuple[str, ...]:
    """Its words; a program of Python's that it is given to read is one of them."""
    words = _words(node)
    if node.given and is_python(program(words[0])) and words[1:] in ([], ["-"]):
        return (words[0], "-c", node.given)
    return tuple(words)


def _unescaped(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", unquoted(word))


def _status(node: Simple) -> int | None:
    """How a command ends that is no test; None where that decides what comes next."""
    name = node.words[0]
    return None if name in _CONDITIONS or node.asks else int(name == "false")


def _is_pytest(node: Simple) -> bool:
    return arguments_of_pytest(_words(node)) is not None


def _asks(node: Simple) -> bool:
    return node.asks


def _may_be_test(node: Simple) -> bool:
    words = without_launchers(_words(node))
    if not words or words[0] in _CONDITIONS or node.asks or _always_green(node):
        return False
    name, rest = program(words[0]), list(words[1:])
    if is_python(name) and rest[:1] == ["-m"] and rest[1:2] and rest[1] in _PYTHON_SETS_UP:
        return False
    if name in ("docker", "podman"):
        return "run" in rest or "exec" in rest
    if name == "ray":
        return rest[:2] == ["job", "submit"]
    if name in SOURCES:
        return bool(rest) and rest[0].endswith(".sh")
    return name not in SETS_UP


def _always_green(node: Simple) -> str:
    """Why it is green whatever its tests say, by its words or by what is set for it; empty for another."""
    words = _words(node)
    env = itertools.takewhile(lambda word: "=" in word, words[1:]) if words[:1] == ["env"] else ()
    for text in (*map(_unescaped, node.assigned), *env):
        name, _, value = text.partition("=")
        if words and (why := hidden_by(name, unquoted(value))):
            return f"`{name}={value}` {why}"
    return always_green(words)


def _is_test(node: Simple) -> bool:
    words = without_launchers(_words(node))
    name = program(words[0]) if words else ""
    known = name in _TESTS or name in SHELLS or is_python(name)
    return known and len(words) > 1 and _may_be_test(node)
