"""Completion of commands, options, suites and tests in bash, zsh and fish, as somebody types.

click knows what may stand where; the scripts of the shells are in ``completion_scripts``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import click
from click.shell_completion import CompletionItem, ShellComplete, split_arg_string

from trainci.commands.completion_scripts import FILES, FOLDERS, SCRIPTS
from trainci.errors import EXIT_OK, UsageError
from trainci.text import printable

_PROGRAM = "trainci"
SHELLS = tuple(SCRIPTS)
_OPTIONS = {
    "--help": "What commands there are.",
    "--version": "Which trainci this is.",
    "--install-completion": f"Of {', '.join(SHELLS)}.",
}
# What cannot stand on a command line stands for where the cursor is.
_CURSOR = "\0"


class Commands(click.Group):
    """The commands by their names, each with what it is for, and loaded once it is completed itself."""

    def __init__(self, known: Mapping[str, str], load: Callable[[str], click.Command]) -> None:
        super().__init__(_PROGRAM)
        self._known = known
        self._load = load

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, in the order of the help."""
        return list(self._known)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The one of that name."""
        return self._load(cmd_name) if cmd_name in self._known else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Those that begin so, none of them loaded."""
        known = _OPTIONS if incomplete.startswith("-") else self._known
        return [CompletionItem(name, help=text) for name, text in known.items() if name.startswith(incomplete)]


def complete(commands: click.Group, environment: Mapping[str, str]) -> int:
    """Answer what the script of a shell asks."""
    line = environment.get("COMP_LINE", "")
    *words, begun = _words(line)
    if words[1:] == ["--install-completion"]:
        items = [CompletionItem(name) for name in SHELLS if name.startswith(begun)]
    else:
        items = ShellComplete(commands, {}, _PROGRAM, "").get_completions(words[1:], begun)
    if items and items[0].type in ("file", "dir"):
        click.echo(FILES if items[0].type == "file" else FOLDERS)
        return EXIT_OK
    # click gives what follows it; each is a whole word here, as for most shells.
    option = begun[: begun.find("=") + 1] if begun.startswith("-") else ""
    # bash inserts what follows the last colon that is not quoted.
    known = _words(line.removesuffix(environment["COMP_WORD"]))[-1] if "COMP_WORD" in environment else ""
    for item in items:
        if item.value.isprintable():
            click.echo(f"{(option + item.value).removeprefix(known)}\t{printable(item.help or '')}")
    return EXIT_OK


def _words(line: str) -> list[str]:
    """The words of a line up to the cursor, without quotes, the last one maybe empty."""
    *words, last = split_arg_string(line + _CURSOR)
    return [*words, last.removesuffix(_CURSOR)]


def install(shell: str, environment: Mapping[str, str]) -> int:
    """Write the script of ``shell`` (empty: the one of $SHELL) where it reads it.

    :raises UsageError: it is none of SHELLS, or the file cannot be written.
    """
    shell = shell or Path(environment.get("SHELL", "")).name
    if shell not in SHELLS:
        raise UsageError(f"--install-completion {printable(shell) or 'SHELL'}: name one of {', '.join(SHELLS)}.")
    home = Path(environment.get("HOME") or Path.home())
    try:
        for sentence in _write(shell, home, environment):
            click.echo(sentence)
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be written: {error.strerror}.") from None
    click.echo(f"Open a new {shell} to have it.")
    return EXIT_OK


def _write(shell: str, home: Path, environment: Mapping[str, str]) -> list[str]:
    """Write what is missing; what was written."""
    script = SCRIPTS[shell].lstrip()
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


def complete_tests(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The suites, labels and tests of the repository around the current directory that begin so.

    A shell that completes shows no error: nothing is completed where there is no such repository.
    """
    from trainci.errors import TrainciError
    from trainci.paths import from_here
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
    items = [item for item in (*suites, *tests) if item.value.startswith(begun)]
    if items:
        return items
    # As somebody in a folder of it names them.
    here = (from_here(repository.root, file) for file in repository.files)
    return [CompletionItem(file) for file in here if file.startswith(begun)]
