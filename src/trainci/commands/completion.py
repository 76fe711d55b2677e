"""Completion of commands, suites and tests in bash, zsh and fish: click's scripts, where each shell reads them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from trainci.errors import EXIT_OK, UsageError
from trainci.text import printable

VARIABLE = "_TRAINCI_COMPLETE"
_PROGRAM = "trainci"
SHELLS = ("bash", "zsh", "fish")
# zsh knows `compdef` only once its completion has been started, which a .zshrc need not do.
_STARTS_ZSH = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }\n"


def complete(commands: click.Group, instruction: str) -> int:
    """Answer the question of a shell's script: ``bash_complete`` and the like, with COMP_WORDS and COMP_CWORD."""
    shell = instruction.partition("_")[0]
    if shell in SHELLS and "COMP_WORDS" in os.environ:
        # Not click's shell_complete, which writes bytes.
        click.echo(_of(shell, commands).complete())
    return EXIT_OK


def install(commands: click.Group, shell: str, environment: Mapping[str, str]) -> int:
    """Write the script of ``shell`` (empty: the one of $SHELL) where it reads it.

    :raises UsageError: it is none of SHELLS, or the file cannot be written.
    """
    shell = shell or Path(environment.get("SHELL", "")).name
    if shell not in SHELLS:
        raise UsageError(f"--install-completion {printable(shell) or 'SHELL'}: name one of {', '.join(SHELLS)}.")
    home = Path(environment.get("HOME") or Path.home())
    try:
        for sentence in _write(commands, shell, home, environment):
            click.echo(sentence)
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be written: {error.strerror}.") from None
    click.echo(f"Open a new {shell} to have it.")
    return EXIT_OK


def _write(commands: click.Group, shell: str, home: Path, environment: Mapping[str, str]) -> list[str]:
    """Write what is missing; what was written."""
    script = _script(commands, shell)
    if shell == "fish":
        # fish reads by itself what is there.
        settings = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
        return [_put(settings / "fish/completions/trainci.fish", script)]
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local/share")
    file = data / "trainci" / f"completion.{shell}"
    start = home / ".bashrc" if shell == "bash" else Path(environment.get("ZDOTDIR") or home) / ".zshrc"
    line = f"[ ! -f {shlex.quote(str(file))} ] || . {shlex.quote(str(file))}  # completion of trainci"
    wrote = [_put(file, script)]
    before = start.read_text(errors="surrogateescape") if start.exists() else ""
    if line not in before.splitlines():
        with start.open("a", errors="surrogateescape") as opened:
            opened.write(f"{'' if before.endswith(chr(10)) or not before else chr(10)}{line}\n")
        wrote.append(f"added a line to {start}")
    return wrote


def _put(file: Path, text: str) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return f"wrote {file}"


def _script(commands: click.Group, shell: str) -> str:
    return (_STARTS_ZSH if shell == "zsh" else "") + _of(shell, commands).source()


def _of(shell: str, commands: click.Group) -> ShellComplete:
    kind = get_completion_class(shell)
    assert kind is not None, f"click knows {shell}"
    return kind(commands, {}, _PROGRAM, VARIABLE)


def complete_tests(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The suites, labels and tests of the repository around the current directory that begin so.

    A shell that completes shows no error: nothing is completed where there is no such repository.
    """
    from trainci.errors import TrainciError
    from trainci.repository import open_repository

    try:
        repository = open_repository()
    except (TrainciError, OSError):
        return []
    suites = [
        CompletionItem(name, help=printable(suite.description or f"suite, label {suite.label}"))
        for suite in repository.project.suites
        for name in dict.fromkeys((suite.name, suite.label))
    ]
    tests = [CompletionItem(test_id) for test_id in repository.everything()]
    return [item for item in (*suites, *tests) if item.value.startswith(begun) and item.value.isprintable()]
