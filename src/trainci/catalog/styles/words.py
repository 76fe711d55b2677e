"""Tests that are no file: ``python -m MODULE ARGS…``, and any other words."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from trainci.catalog.always_green import always_green
from trainci.catalog.command_words import arguments_of_pytest, program, starts_unittest, without_launchers
from trainci.catalog.lost import LostResult
from trainci.catalog.lost_in_shell import read_shell
from trainci.catalog.makefile import NAMES, lost_in_makefile
from trainci.catalog.shell_state import script_of
from trainci.catalog.source import read_source
from trainci.catalog.styles.base import Source
from trainci.catalog.styles.python import PythonFile
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
        script = read_shell(_script(words))
        found = [*((lost, str(lost)) for lost in script.lost), *_in_makefile(source)]
        certain = next((sentence for lost, sentence in found if lost.certain), "")
        by_words = _framework(words)
        return Declarations(
            needs_count=False,
            refusal=certain,
            remarks=tuple((1, f"perhaps {sentence}") for lost, sentence in found if not lost.certain),
            framework=by_words or ("pytest" if script.pytest_calls == 1 else ""),
            hands_over=bool(by_words) or script.always_pytest,
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


def _in_makefile(source: Source) -> Iterator[tuple[LostResult, str]]:
    """What ``make GOAL`` throws away, where the repository holds its Makefile; each with its place."""
    words = without_launchers(source.words)
    if not words or program(words[0]) not in ("make", "gmake"):
        return
    folder, file, goals = "", "", []
    options = iter(words[1:])
    for word in options:
        if word in ("-C", "-f"):
            folder, file = (next(options, ""), file) if word == "-C" else (folder, next(options, ""))
        elif word in ("-I", "-o", "-W", "-j"):
            next(options, "")
        elif not word.startswith("-") and "=" not in word:
            goals.append(word)
    for name in (file,) if file else NAMES:
        path = posixpath.normpath(posixpath.join(folder, name))
        if (source.root / path).is_file():
            text = read_source(source.root, path).decode("utf-8", "replace")
            for lost in lost_in_makefile(text, goals):
                yield lost, f"{printable(path)}:{lost.line}: {lost}"
            return


def _script(words: tuple[str, ...]) -> str:
    """The text of ``bash -c TEXT``, below the options that it is given; empty for other words."""
    found = script_of(words)
    return f"set {' '.join(option for option in found[0] if option != '-')}\n{found[1]}" if found else ""
