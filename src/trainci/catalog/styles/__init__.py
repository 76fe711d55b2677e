"""The styles of tests, and what a file of any of them declares. A new style is one file, and one line here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trainci.catalog.styles.base import Source, Style
from trainci.catalog.styles.pytest import Pytest, unread
from trainci.catalog.styles.python import PythonFile, nothing_would_run
from trainci.catalog.styles.shell import Shell
from trainci.catalog.styles.started import file_of_module
from trainci.catalog.styles.torchrun import Torchrun
from trainci.catalog.styles.words import Module, Words
from trainci.model.tests import Declarations, Entry
from trainci.text import printable

# The first that recognises a file has it. An entry may name another: `runner`.
STYLES: dict[str, Style] = {
    "python": PythonFile(),
    "pytest": Pytest(),
    "shell": Shell(),
    "torchrun": Torchrun(),
    "module": Module(),
    "command": Words(),
}


def declarations(root: Path, entry: Entry, first: str = "") -> Declarations:
    """What the file of ``entry`` declares. One that cannot be read or parsed gives a ``fault``.

    Of the styles that recognise the file, ``first`` has it before the others.
    """
    shown = printable(entry.file)
    started = ("python3", "-m", entry.module) if entry.module else entry.command
    source = Source(root, entry.file or file_of_module(root, entry.module), (*started, *entry.args))
    names = sorted(STYLES, key=lambda name: name != first)
    try:
        name = _named(entry) or next((one for one in names if STYLES[one].recognises(source)), "")
        if name:
            return replace(STYLES[name].read(source), style=name)
        if entry.file.endswith(".py"):
            return Declarations(refusal=nothing_would_run(entry.file), runs_nothing=True)
        return Declarations(
            refusal=f'{shown}:1: no test of a kind that is known. Say how it runs: command = ["…"].'
        )
    except SyntaxError as error:
        # A file of a newer Python is sound there.
        read_as = "as Python {}.{}, on which trainci runs".format(*sys.version_info)
        fault = f"{shown}:{error.lineno or 1}: does not parse: {printable(error.msg)} ({read_as})"
    except (ValueError, RecursionError, MemoryError) as error:
        return Declarations(fault=f"{shown}:1: does not parse: {printable(str(error)) or type(error).__name__}")
    except OSError as error:
        fault = f"{shown}:1: cannot be read: {error.strerror}"
    seen = unread(source, fault) if _named(entry) in ("", "pytest") else None
    return seen or Declarations(fault=fault)


def in_steps(steps: Sequence[Declarations]) -> Declarations:
    """What a test of several steps declares: its devices are enough for each of them."""
    counts = [says.num_gpus for says in steps if says.num_gpus is not None]
    return Declarations(
        num_gpus=max(counts, default=None),
        num_nodes=max((says.num_nodes for says in steps if says.num_nodes is not None), default=None),
        requires_gpu=any(says.requires_gpu for says in steps),
        metrics=tuple(gate for says in steps for gate in says.metrics),
        style="steps",
        needs_count=False,
    )


def _named(entry: Entry) -> str:
    """The style that an entry names, by its runner or by what it starts."""
    if entry.runner:
        return entry.runner
    if entry.module:
        return "module"
    return "command" if entry.command else "pytest" if entry.node else ""
