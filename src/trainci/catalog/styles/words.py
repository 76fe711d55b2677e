"""Tests that are no file: ``python -m MODULE ARGS…``, and any other words."""

from __future__ import annotations

from collections.abc import Sequence

from trainci.catalog.always_green import always_green, does_nothing
from trainci.catalog.command_words import (
    arguments_of_pytest,
    is_python,
    program,
    starts_unittest,
    without_launchers,
)
from trainci.catalog.shell.files import sourced
from trainci.catalog.shell.lost import read_shell
from trainci.catalog.shell.state import script_of
from trainci.catalog.styles.base import Source
from trainci.catalog.styles.python import PythonFile
from trainci.catalog.styles.started import lost_by_command, lost_by_starts
from trainci.model.tests import Declarations, Entry
from trainci.text import printable

# What a program reads that is given none: the input of a test, which is empty.
_INPUT = "\0"
_NO_COMMAND = "nothing would run: its text holds no command. Write the command of the test."


class Module:
    """See Style: what ``module`` of an entry names."""

    suffix = ""
    leaves_results = False

    def recognises(self, source: Source) -> bool:
        """See Style."""
        return False

    def read(self, source: Source) -> Declarations:
        """See Style: it has no place for a declaration. One of the repository's own is a program like any file."""
        says = PythonFile().read(source) if source.file else Declarations()
        known = _framework(source.words)
        return Declarations(
            needs_count=False,
            refusal=says.refusal or _always_green(source.words),
            remarks=tuple((line, f"{printable(source.file)}:{line}: {said}") for line, said in says.remarks),
            framework=known or says.framework,
            hands_over=bool(known) or says.hands_over,
            expects=says.expects,
        )

    def command(self, entry: Entry, num_gpus: int, python: tuple[str, ...]) -> tuple[str, ...]:
        """See Commands."""
        return (*python, "-m", entry.module, *entry.args)


class Words:
    """See Style: what ``command`` of an entry holds."""

    suffix = ""
    leaves_results = False

    def recognises(self, source: Source) -> bool:
        """See Style."""
        return False

    def read(self, source: Source) -> Declarations:
        """See Style: it has no place for a declaration. The text that a shell is given is read like a script."""
        words = source.words
        text = _script(words)
        script = read_shell(text, sourced(source.root, "", text))
        refusal = _runs_nothing(words) or _always_green(words) or (_NO_COMMAND if text and script.idle else "")
        if refusal:
            return Declarations(needs_count=False, refusal=refusal)
        found = [
            *((lost, str(lost)) for lost in (*script.lost, *lost_by_starts(source.root, script))),
            *((lost, f"{place}: {lost}") for place, lost in lost_by_command(source.root, words)),
        ]
        certain = next((sentence for lost, sentence in found if lost.certain), "")
        by_words = _framework(words)
        return Declarations(
            needs_count=False,
            refusal=certain,
            remarks=tuple((1, f"perhaps {sentence}") for lost, sentence in found if not lost.certain),
            framework=by_words or ("pytest" if script.pytest_calls == 1 else ""),
            hands_over=bool(by_words) or script.always_pytest,
            may_turn_away=script.may_turn_away,
            expects=script.expects,
        )

    def command(self, entry: Entry, num_gpus: int, python: tuple[str, ...]) -> tuple[str, ...]:
        """See Commands."""
        return (*entry.command, *entry.args)


def _runs_nothing(words: Sequence[str]) -> str:
    """The refusal of a command that starts no test; empty for another."""
    program_of, *rest = without_launchers(words) or words[:1]
    if does_nothing(words):
        return f"nothing would run: `{program_of}` succeeds always. Write the command of the test."
    given = script_of(words, _INPUT)
    if (given and given[1] == _INPUT) or (is_python(program(program_of)) and rest in ([], ["-"])):
        return f"nothing would run: `{program_of}` is given no program. Write which, or `-c` and its text."
    return ""


def _always_green(words: Sequence[str]) -> str:
    """The refusal of a command that is green by its own words; empty for another."""
    why = always_green(words)
    return f"{why}, so a failure is green. Take that out." if why else ""


def _framework(words: tuple[str, ...]) -> str:
    """Whose tests the words start, whatever they are given; empty where they do not tell."""
    return "unittest" if starts_unittest(words) else "pytest" if arguments_of_pytest(words) is not None else ""


def _script(words: tuple[str, ...]) -> str:
    """The text of ``bash -c TEXT``, below the options that it is given; empty for other words."""
    found = script_of(words)
    return f"set {' '.join(option for option in found[0] if option != '-')}\n{found[1]}" if found else ""
