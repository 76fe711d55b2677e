"""Which commands of a CI are tests, and what entry each becomes. Nothing is looked at but names of files."""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from trainci.adopt.commands.called_tests import (
    PREPARES,
    STARTS_TESTS,
    in_tests,
    is_called_preparation,
    is_test_file,
    speaks_of_tests,
)
from trainci.adopt.commands.pytest_command import is_there, pytest_entries, without_reports
from trainci.adopt.commands.sourced import runs_tests, with_source
from trainci.adopt.proposal import Entry, Note, Place
from trainci.adopt.shell.launchers import (
    PYTHON,
    TORCHRUN,
    joined,
    launched,
    of_folder,
    runs_test_task,
    slug,
    torchrun,
    without_launcher,
)
from trainci.adopt.shell.lines import alone, lead, with_globs
from trainci.adopt.shell.script import SET_BEFORE, Command
from trainci.adopt.shell.statements import READS_LINES
from trainci.adopt.tools.project_scripts import test_programs
from trainci.adopt.tree import CLONED, Tree
from trainci.globs import is_glob, matches

# What of a condition or a loop is followed by a command.
_BRANCHES = ("then", "else", "do")
_SHELLS = {"bash", "sh", "zsh"}
# What the variables of a CI begin with that only its own machines have, by the beginning of its files.
_OWN_VARIABLES = {
    ".buildkite/": ("BUILDKITE_", "Buildkite"),
    ".gitlab": ("CI_", "GitLab"),
    ".circleci/": ("CIRCLE_", "CircleCI"),
}
# Files by which steps speak to each other.
_OF_THE_CI = re.compile(r"GITHUB_(OUTPUT|ENV|STEP_SUMMARY|PATH)\b|\$\{?BASH_ENV\b")
_LISTS = re.compile(r"(?:(?:\S+ -m|uv) )?pip3? (?:list|freeze)|\S+ --version|(?:which|printenv|env)(?: \S+)?")
# fmt: off
_LOOKS = {
    "[", "cd", "test", "sleep", "ls", "cat", "df", "free", "date", "nvidia-smi", "npu-smi", "echo", "printf",
}
# Programs whose calls within a block of the shell make the block a preparation.
_PREPARING = {
    "pip", "pip3", "uv", "conda", "mamba", "micromamba", "apt", "apt-get", "hf", "huggingface-cli", "git",
    "wget", "curl", "cp", "ln", "sed", "mkdir", "python", "python3", "bash",
}
# fmt: on


@dataclass(frozen=True)
class Read:
    """What a command is: tests, a preparation of them (a shell line), or neither (``about`` says what)."""

    entries: tuple[Entry, ...] = ()
    preparation: str = ""
    note: Note | None = None
    is_test: bool = False


def read_command(
    command: Command, step: str, place: Place, tree: Tree, testpaths: Sequence[str], begun: bool
) -> Read:
    """What ``command`` of the step named ``step`` is. ``begun`` says that tests came before it."""
    command = without_reports(command)
    is_named = speaks_of_tests(_said(command)) or _calls_own_tests(command, tree)
    if _is_housekeeping(command) and not (command.trouble and is_named):
        return Read()
    entries = tuple(_entries(command, step, place, tree, testpaths, begun))
    if not entries:
        read = _preparation(command, place, tree, begun)
        if is_named:
            note = read.note or Note(f"not read as a test: {one_line(command.raw)}", place)
            return replace(read, note=note, is_test=True)
        return read
    start, kind = next((pair for file, pair in _OWN_VARIABLES.items() if place.file.startswith(file)), ("", ""))
    if run_only := [name for name in command.open if start and name.startswith(start)]:
        text = f"{', '.join(run_only)} is known to {kind} only: {one_line(command.raw)}"
        return Read(note=Note(text, place), is_test=True)
    if command.trouble:
        text = f"{command.trouble}: {one_line(command.raw)}"
        return Read(note=Note(text, place), is_test=True)
    if missing := [entry.path for entry in entries if _is_gone(entry.path, tree)]:
        why = f"no such file{_not_checked_out(missing, tree)}"
        return Read(note=Note(f"{', '.join(missing)}: {why}: {one_line(command.raw)}", place), is_test=True)
    first = next((text for text in command.shell if text.startswith("PATH=") and not begun), "")
    text = f"{first}: trainci puts the folder of `python` first on PATH, and no other"
    return Read(entries, note=Note(text, place) if first else None, is_test=True)


def _calls_own_tests(command: Command, tree: Tree) -> bool:
    """Whether it, or a block of the shell somewhere, calls a program of the project's that is called a test."""
    own = test_programs(tree)
    words = command.raw.split() if command.trouble else without_launcher(command.words)[0][:1]
    return not own.isdisjoint(words)


def _said(command: Command) -> str:
    """The command as written; the lines that it reads from the script are commands for a shell only."""
    reads_others = command.trouble == READS_LINES and command.words[:1] and command.words[0] not in _SHELLS
    return command.raw.partition("\n")[0] if reads_others else command.raw


def _is_housekeeping(command: Command) -> bool:
    """What no test needs: words for the reader of a log, a look at the machine, outputs for other jobs, the end of
    a ray cluster, which on a shared host would be a neighbour's."""
    words = command.words
    if not words or words[:2] == ("ray", "stop"):
        return True
    if _LISTS.fullmatch(" ".join(words)) and not command.redirected and not command.trouble:
        return True
    if words[0] in _LOOKS and (not command.redirected or _OF_THE_CI.search(command.redirected)):
        return True
    if command.trouble and _OF_THE_CI.search(command.redirected):
        return True
    is_block = command.trouble and not command.trouble.endswith(SET_BEFORE)
    return _OF_THE_CI.search(command.raw) is not None and not is_block


def _preparation(command: Command, place: Place, tree: Tree, begun: bool) -> Read:
    words = command.words
    if command.trouble and not command.redirected and _PREPARING.isdisjoint(words):
        return Read()  # a block that only sets variables or speaks
    if any("${{" in text for text in (command.raw, *words)):
        return Read(note=Note(f"left out, known in a run only: {one_line(command.raw)}", place))
    if begun and "install" in words[:3]:
        return Read(note=Note(f"installed between tests, for those after it: {one_line(command.raw)}", place))
    if begun and words[0] in ("rm", "pkill", "kill"):
        return Read(note=Note(f"left out between tests: {one_line(command.raw)}", place, left=False))
    unclear = command.trouble.endswith(SET_BEFORE) and not runs_something(command)
    note = Note(f"{command.trouble}: {one_line(command.raw)}", place) if unclear else None
    return Read(preparation=with_source(command, tree) or alone(command), note=note)


def _entries(
    command: Command, step: str, place: Place, tree: Tree, testpaths: Sequence[str], begun: bool
) -> Iterator[Entry]:
    if command.trouble:
        # Its words are those of a whole block; whether a test stands among them is all that is asked.
        if any(is_test_file(word) or word == "pytest" for word in command.words) or runs_tests(command, tree):
            yield Entry(place=place)
        return
    if runs_tests(command, tree):
        started = ("bash", "-c", with_source(replace(command, env=(), python=""), tree))
        yield Entry(command=started, name=slug(step or command.words[0]), env=command.env, place=place)
        return
    base = Entry(env=command.env, python=command.python, place=place)
    words, python = without_launcher(command.words)
    if (of_project := of_folder(python, command.folder)) is None:
        command = replace(command, python="")
    base = replace(base, python=of_project or base.python)
    program, rest = words[:1], words[1:]
    if not program:
        return
    own = program[0] in test_programs(tree)
    if python and not PYTHON.fullmatch(program[0]) and program[0] not in ("pytest", "py.test"):
        named = _test_files(words, command)
        if own or named or launched(base, words, [], is_meant=_says_test(step)) or runs_test_task(command.words):
            name = slug(joined(command.folder, named[0]) if named else "-".join(command.words))
            made_of = replace(base, command=command.words, name=name, python="")
            yield _closed(made_of, command, step, words, tree)
        return
    made: list[Entry] = []
    if PYTHON.fullmatch(program[0]) and rest[:1] == ("-m",) and len(rest) > 1:
        module, rest = rest[1], rest[2:]
        if module == "pytest":
            made = list(pytest_entries(base, rest, command, tree, testpaths))
        elif module in TORCHRUN:
            made = [torchrun(base, rest, command)]
        elif _is_test_module(module, begun=begun):
            made = [replace(base, module=module, args=rest)]
    elif program[0] in ("pytest", "py.test"):
        made = list(pytest_entries(base, rest, command, tree, testpaths))
    elif program[0] == "torchrun" and (begun or not PREPARES.search(f"{step} {' '.join(rest)}")):
        made = [torchrun(base, rest, command)]
    elif PYTHON.fullmatch(program[0]) or program[0] in _SHELLS:
        options = [word for word in rest[:1] if word in ("-u", "-x", "-e", "-ex", "-xe", "-eux")]
        script = rest[len(options) :]
        if (
            script
            and script[0]
            and not script[0].startswith(("-", "<("))
            and _runs_test(script[0], step, command, tree, begun=begun)
        ):
            path = joined(command.folder, script[0])
            if program[0] in _SHELLS and not path.endswith(".sh"):
                base = replace(base, runner="shell")
            elif path.endswith(".py"):
                base = replace(base, runner=python_runner(path, tree))
            made = [replace(base, path=path, args=script[1:])]
    elif own:
        made = [replace(base, command=words, name=slug(program[0]))]
    elif one := launched(base, words, _test_files(words, command), is_meant=_says_test(step)):
        made = [one]
    elif program[0].endswith((".sh", ".py")) and _runs_test(program[0], step, command, tree, begun=begun):
        made = [replace(base, path=joined(command.folder, program[0]), args=rest)]
    yield from (_closed(entry, command, step, words, tree) for entry in made)


def _is_test_module(module: str, *, begun: bool) -> bool:
    of_python = module.partition(".")[0] in sys.stdlib_module_names
    if module in ("pip", "build") or (of_python and module not in ("unittest", "doctest")):
        return False
    return begun or module == "unittest" or in_tests(module.replace(".", "/"))


def runs_something(command: Command) -> bool:
    """Whether it, or a branch of it, starts a script or tests, whichever those are."""
    starts = [0, *(at + 1 for at, word in enumerate(command.words) if word in _BRANCHES)]
    return any(_is_runner(without_launcher(command.words[at:])[0]) for at in starts)


def _is_runner(words: tuple[str, ...]) -> bool:
    runs = bool(words) and (PYTHON.fullmatch(words[0]) or words[0] in {*_SHELLS, "pytest", "torchrun"})
    return bool(runs) and "install" not in words


def _closed(entry: Entry, command: Command, step: str, words: tuple[str, ...], tree: Tree) -> Entry:
    """The entry, or where its words need a shell or another folder, the shell that runs it there."""
    # What another repository holds is found in its own folder only.
    _, launcher = without_launcher(command.words)
    in_project = bool(launcher) and of_folder(launcher, command.folder) is None
    moved = command.folder.startswith(CLONED) or (command.folder and (entry.runner != "pytest" or in_project))
    needed = [text for text in command.shell if not text.startswith("PATH=")]
    # What pytest is told is filled in by trainci.
    texts = () if entry.runner == "pytest" else (*entry.args, *entry.command)
    has_glob = any(is_glob(text) and tree.globbed(joined(command.folder, text)) for text in texts)
    if not (command.open or needed or moved or has_glob):
        return entry
    before = lead(replace(command, env=(), python=""))
    script = " && ".join([*before, f"exec {with_globs(command.raw, command.loops)}"])
    started = tuple(command.python.split()[:-1])
    named = entry.path.removeprefix(CLONED) or entry.module or entry.name or "-".join(words[:2])
    return Entry(
        command=(*started, "bash", "-c", script),
        name=slug(step or named),
        num_gpus=entry.num_gpus,
        env=entry.env,
        python="" if started else command.python,
        place=entry.place,
    )


def python_runner(path: str, tree: Tree) -> str:
    """ "python" for files of which none says by tests of its own or by a ``__main__`` how it is run, else ""."""
    files = [file for file in tree.files if matches(file, path)] if is_glob(path) else [path]
    says = re.compile(r"__main__|^\s*(?:async )?def test|^class Test", re.MULTILINE)
    return "" if any(says.search(tree.read(file)) for file in files) else "python"


def _runs_test(script: str, step: str, command: Command, tree: Tree, *, begun: bool) -> bool:
    if script.startswith("/") or command.redirected.startswith("$GITHUB"):
        return False
    if is_test_file(joined(command.folder, script)):
        return True
    if not {"test_utils", "tools"}.isdisjoint(joined(command.folder, script).split("/")[:-1]):
        return False
    if (
        script.endswith(".sh")
        and not PREPARES.search(script)
        and STARTS_TESTS.search(tree.read(joined(command.folder, script)))
    ):
        return True
    is_meant = begun or _says_test(step)
    prepares = PREPARES.search(f"{step} {script}") or is_called_preparation(posixpath.basename(script))
    return is_meant and not prepares


def _says_test(step: str) -> bool:
    return re.search(r"\btests?\b", step, re.IGNORECASE) is not None


def _test_files(words: Sequence[str], command: Command) -> list[str]:
    return [word for word in words if is_test_file(joined(command.folder, word))]


def _is_gone(path: str, tree: Tree) -> bool:
    # A private character stands for what only a run knows.
    return bool(path) and "\ue000" not in path and not is_there(path, tree)


def _not_checked_out(missing: Sequence[str], tree: Tree) -> str:
    """The submodule that would hold one of these paths, and how it comes to be there."""
    for folder in re.findall(r"^\s*path\s*=\s*(\S+)\s*$", tree.read(".gitmodules"), re.MULTILINE):
        if not tree.is_folder(folder) and any(f"{path}/".startswith(f"{folder}/") for path in missing):
            return f", and the submodule {folder} is not checked out (`git submodule update --init {folder}`)"
    return ""


def one_line(text: str) -> str:
    """A command for a note."""
    line = " ".join(text.split())
    return line if len(line) <= 160 else f"{line[:157]}…"
