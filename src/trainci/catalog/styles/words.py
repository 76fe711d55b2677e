"""Tests that are no file: ``python -m MODULE ARGS…``, and any other words."""

from __future__ import annotations

from collections.abc import Sequence

from trainci.catalog.always_green import always_green
from trainci.catalog.command_words import arguments_of_pytest, program, starts_unittest
from trainci.catalog.shell.files import sourced
from trainci.catalog.shell.lost import read_shell
from trainci.catalog.shell.state import script_of
from trainci.catalog.styles.base import Source
from trainci.catalog.styles.python import PythonFile
from trainci.catalog.styles.started import lost_by_command, lost_by_starts
from trainci.model.tests import Declarations, Entry
from trainci.text import printable

_DO_NOTHING = ("true", ":", "echo", "printf", "sleep", "exit")


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
        if words and program(words[0]) in _DO_NOTHING:
            sentence = f"nothing would run: `{words[0]}` succeeds always. Write the command of the test."
            return Declarations(needs_count=False, refusal=sentence)
        if refusal := _always_green(words):
            return Declarations(needs_count=False, refusal=refusal)
        text = _script(words)
        script = read_shell(text, sourced(source.root, "", text))
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
