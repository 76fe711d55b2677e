"""What a command of a script, of a Makefile or of an entry starts: a file of the repository, read in its turn."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from trainci.catalog.always_green import module_of
from trainci.catalog.command_words import is_python, program, without_launchers
from trainci.catalog.lost import LostResult
from trainci.catalog.shell.files import named_file, sourced
from trainci.catalog.shell.lost import ShellScript, read_shell
from trainci.catalog.shell.makefile import NAMES, in_makefile
from trainci.catalog.shell.recipes import INVOKE, JUST, NOX, TOX, of_functions, of_just, of_tox
from trainci.catalog.shell.state import SHELLS, script_of
from trainci.catalog.source import read_source
from trainci.catalog.styles.python import lost_in_program
from trainci.text import printable

_MOST_STARTS = 20
_MOST_FILES = 60
_DEEPEST = 4
_LAUNCHES_PYTHON = ("torchrun", "accelerate", "deepspeed", "coverage", "mpirun", "mpiexec", "srun")
# Which files tell a task runner its recipes, and how a Makefile would say the same.
_RUN_RECIPES: dict[str, tuple[tuple[str, ...], Callable[[str], str]]] = {
    "make": (NAMES, str),
    "gmake": (NAMES, str),
    "just": (JUST, of_just),
    "tox": (TOX, of_tox),
    "nox": (NOX, of_functions),
    "invoke": (INVOKE, of_functions),
    "inv": (INVOKE, of_functions),
}


def lost_by_starts(
    root: Path, script: ShellScript, depth: int = 0, seen: set[tuple[str, ...]] | None = None
) -> Iterator[LostResult]:
    """What the files that ``script`` starts throw away for certain; certain where all that it starts does."""
    seen = set() if seen is None else seen
    found = [
        (line, [one for one in lost_by_command(root, words, depth, seen) if one[1].certain])
        for line, words in script.starts[:_MOST_STARTS]
    ]
    certain = len(found) == len(script.starts) and all(lost for _, lost in found)
    for line, places in found:
        for place, lost in places:
            yield LostResult(line, f"{place}: {lost.what}", lost.mend, certain)


def lost_by_command(
    root: Path, words: Sequence[str], depth: int = 0, seen: set[tuple[str, ...]] | None = None
) -> Iterator[tuple[str, LostResult]]:
    """What a command throws away in files of the repository, each with its place; ``seen`` were read before."""
    words = without_launchers(words)
    seen = set() if seen is None else seen
    if not words or depth > _DEEPEST or tuple(words) in seen or len(seen) > _MOST_FILES:
        return
    seen.add(tuple(words))
    name = program(words[0])
    try:
        if name in _RUN_RECIPES:
            yield from _in_recipes(root, words, depth, seen)
            return
        if is_python(name) and "-c" in words[1:-1]:
            text = words[list(words).index("-c") + 1]
            yield from (("python -c", lost) for lost in lost_in_program(text.encode()))
            return
        file = _started_file(root, name, words)
        if file.endswith(".py"):
            found: Sequence[LostResult] = lost_in_program(read_source(root, file))
        elif file:
            text = read_source(root, file).decode("utf-8", "replace")
            script = read_shell(text, sourced(root, file, text))
            found = [*script.lost, *lost_by_starts(root, script, depth + 1, seen)]
        else:
            return
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        # Whether a file can be read at all is told of where it is a test itself.
        return
    for lost in found:
        yield f"{printable(file)}:{lost.line}", lost


def file_of_module(root: Path, module: str) -> str:
    """The file that ``python -m`` starts, where the repository itself holds it."""
    path = module.replace(".", "/")
    found = (file for file in (f"{path}.py", f"{path}/__main__.py") if module and (root / file).is_file())
    return next(found, "")


def _started_file(root: Path, name: str, words: Sequence[str]) -> str:
    """The file of the repository that a command starts; empty for none."""
    if is_python(name) and (module := module_of(words)):
        return file_of_module(root, module)
    if name in SHELLS or is_python(name):
        given = [word for word in words[1:] if not word.startswith(("-", "+"))][:1]
        if script_of(words):
            return ""
    elif name in _LAUNCHES_PYTHON:
        given = [word for word in words[1:] if word.endswith(".py")][:1]
    else:
        given = [words[0]] if "/" in words[0] else []
    # What `python -m pytest FILE` and `torchrun -m pytest FILE` start is the module.
    if not given or {"-c", "-m", "--module"} & {*words[: words.index(given[0])]}:
        return ""
    ends = (".py",) if is_python(name) or name in _LAUNCHES_PYTHON else (".sh", ".bash", ".py")
    paths = (named_file(word, "", {}) for word in given)
    return next((path for path in paths if path.endswith(ends) and (root / path).is_file()), "")


def _in_recipes(
    root: Path, words: Sequence[str], depth: int, seen: set[tuple[str, ...]]
) -> Iterator[tuple[str, LostResult]]:
    """What ``make GOAL``, ``just GOAL`` or ``tox -e GOAL`` throws away, where the repository holds its recipes."""
    names, as_make = _RUN_RECIPES[program(words[0])]
    folder, file, goals = "", "", []
    options = iter(words[1:])
    for word in options:
        if word == "-e":
            goals += next(options, "").split(",")
        elif word in ("-C", "-f", "-c"):
            folder, file = (next(options, ""), file) if word == "-C" else (folder, next(options, ""))
        elif word in ("-I", "-o", "-W", "-j", "--workdir"):
            next(options, "")
        elif not word.startswith("-") and "=" not in word:
            goals.append(word)
    remade = as_make is not str or bool({"-B", "--always-make"} & set(words))
    for name in (file,) if file else names:
        path = posixpath.normpath(posixpath.join(folder, name))
        if (root / path).is_file():
            text = read_source(root, path).decode("utf-8", "replace")
            recipes = in_makefile(as_make(text), goals, lambda goal: not remade and (root / folder / goal).exists())
            for lost in recipes.lost:
                yield f"{printable(path)}:{lost.line}", lost
            yield from (
                found
                for command in recipes.commands[:_MOST_STARTS]
                for found in lost_by_command(root, command, depth + 1, seen)
            )
            return
