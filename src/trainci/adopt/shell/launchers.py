"""What starts a test: launchers of Python, of ranks, and of commands with options of their own."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from trainci.adopt.proposal import Entry
from trainci.adopt.shell.script import Command

PYTHON = re.compile(r"(?:.*/)?python(?:3(?:\.\d+)?)?")
TORCHRUN = {"torch.distributed.run", "torch.distributed.launch", "torch.distributed.elastic"}
_PROCESSES = re.compile(r"--nproc[-_]per[-_]node(?:=(.*))?")
# Of torchrun: how the ranks of one host find each other, which the lease says instead.
_RENDEZVOUS = re.compile(r"--(?:standalone|(?:nnodes|node[-_]rank|master[-_](?:addr|port))(?:=.*)?|rdzv.*)")
_VALUE_FOLLOWS = re.compile(r"--(?:nnodes|node[-_]rank|master[-_](?:addr|port)|rdzv[-_]\w+)")


# Launchers of ranks with options of their own, and programs of other languages that test.
_RANKS = {"accelerate", "deepspeed", "mpirun", "mpiexec", "horovodrun", "composer", "colossalai", "srun"}
_COUNTS = re.compile(r"--(?:num[-_]processes|num[-_]gpus|nproc(?:[-_]per[-_]node)?|n?np|gpus)(?:=(\d+))?|-np?")
# Tools that run a task of the project by its name: `tox -e unit`, `poe test`, `rye test`.
_TASK_TOOLS = {"tox", "nox", "make", "just", "poe", "task", "invoke", "inv", "hatch", "pdm", "rye", "pixi", "npx"}
_NO_TASK = re.compile(r"lint|docs?|format|fmt|mypy|typ(?:e|ing)|style|pre-?commit|build|package|release", re.I)
_SAYS_TEST = re.compile(r"(?<![a-z])(?:unit|py)?tests?(?![a-z])", re.IGNORECASE)
_TESTERS = {"cargo", "go", "npm", "bazel", "bun", "yarn", "pnpm"}
# What starts a job on other machines, and waits for it.
_ELSEWHERE = {("modal", "run"), ("torchx", "run"), ("sky", "launch"), ("sky", "exec")}
_SIMPLE = {"exec", "time", "command", "sudo", "nohup", "nice", "unbuffer", "xvfb-run", "ionice"}
_PROJECTS = {"uv", "poetry", "pixi", "pdm", "hatch", "pipenv", "rye", "conda", "mamba", "micromamba"}
_XARGS_VALUES = {"-n", "-P", "-I", "-L", "-d", "-a", "-s"}
# fmt: off
_PROJECT_VALUES = {
    "--extra", "--group", "--only-group", "--with", "--with-requirements", "--python", "-p", "--project", "-e",
    "--environment", "--package", "--index", "--env-file", "--directory", "-n", "--name", "--prefix",
}
# fmt: on


def without_launcher(words: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The command without what starts it, and the launcher of python that this is (``uv run --extra x python``)."""
    python = ""
    while words:
        if (program := words[0].removeprefix("/usr").removeprefix("/bin/")) in {*_SIMPLE, "timeout"}:
            words = (program, *words[1:])
        if words[0] in _SIMPLE:
            words = _after_options(words[1:], {"-n", "-c"})
        elif words[0] == "env" and len(words) > 1 and re.match(r"[A-Za-z_]\w*=", words[1]):
            break  # its assignments would be lost
        elif words[0] == "timeout":
            words = _after_options(words[1:])[1:]
        elif words[0] in _PROJECTS and (at := _position_of_run(words)):
            rest = _after_options(words[at + 1 :], _PROJECT_VALUES, stop="-m")
            lead = words[: len(words) - len(rest)]
            python = " ".join((*lead, "python"))
            if rest[:1] == ("-m",):
                rest = ("python", *rest)
            if words[0] == "hatch" and (named := re.fullmatch(r"([\w.-]+):([\w.-]+)", "".join(rest[:1]))):
                python = " ".join((*lead, f"{named.group(1)}:python"))
                if PYTHON.fullmatch(named.group(2)) or named.group(2) in ("pytest", "torchrun"):
                    rest = (named.group(2), *rest[1:])
            words = rest
        elif words[0] == "xargs":
            words = _after_options(words[1:], _XARGS_VALUES)
        elif words[0] == "coverage" and words[1:2] == ("run",):
            words = ("python", *_after_options(words[2:], {"--source", "--rcfile"}, stop="-m"))
        elif PYTHON.fullmatch(words[0]) and words[1:4] == ("-m", "coverage", "run"):
            words = words[2:]
        elif PYTHON.fullmatch(words[0]) and "--" in words and words[1].endswith("gpu_lock_exec.py"):
            words = words[words.index("--") + 1 :]
        else:
            break
    return words, python


def of_folder(python: str, folder: str) -> str | None:
    """The launcher of another folder's project, started from the root; None for one that must be started there.

    ``uv run`` and its like take the project of the folder that they are started in.
    """
    tool, *rest = python.split() or [""]
    if not folder or tool not in _PROJECTS - {"conda", "mamba", "micromamba"}:
        return python
    if not {"--project", "--directory", "-p", "-P", "-C"}.isdisjoint(rest):
        return None
    if tool == "uv":
        return " ".join((tool, *rest[: (run := rest.index("run") + 1)], "--project", folder, *rest[run:]))
    return f"{tool} --project {folder} {' '.join(rest)}" if tool == "poetry" else None


def values_of(option: re.Pattern[str], words: Sequence[str]) -> Iterator[str]:
    """What an option is given: the first group of ``option`` (``--gpus=(.*)``), else the word behind it."""
    for word, following in pairwise((*words, "")):
        if match := option.fullmatch(word):
            yield match.group(1) if match.group(1) is not None else following


def _position_of_run(words: tuple[str, ...]) -> int | None:
    """Where ``run`` stands in ``uv --quiet run …`` and ``hatch -e unit run …``; None where it does not."""
    rest = _after_options(words[1:], _PROJECT_VALUES)
    return len(words) - len(rest) if rest[:1] == ("run",) else None


def _after_options(words: tuple[str, ...], valued: set[str] | None = None, stop: str = "") -> tuple[str, ...]:
    while words and words[0].startswith("-") and words[0] != stop:
        words = words[2 if words[0] in (valued or ()) else 1 :]
    return words


def launched(base: Entry, words: tuple[str, ...], tests: list[str], *, is_meant: bool) -> Entry | None:
    """The entry of a launcher of ranks, of another language's tests, or of what runs elsewhere; else None.

    ``tests`` are the test files among ``words``; ``is_meant`` says that the step speaks of tests.
    """
    if is_meant and words[:2] in _ELSEWHERE:
        return replace(base, command=words, name=slug("-".join(words)))
    if (words[0] in _TESTERS and words[1:2] == ("test",)) or words[0] == "ctest":
        return replace(base, command=words, name=slug("-".join(words)))
    if runs_test_task(words):
        return replace(base, command=words, name=slug("-".join(words)))
    if words[0] not in _RANKS or not tests:
        return None
    gpus = next((int(count) for count in values_of(_COUNTS, words) if count.isdigit()), None)
    return replace(base, command=words, name=slug(tests[0]), num_gpus=gpus)


def runs_test_task(words: tuple[str, ...]) -> bool:
    """Whether a tool runs a task that its name calls a test; with tox and nox, any that is not called otherwise."""
    tool, rest = words[0], without_launcher(words)[0]
    if tool not in _TASK_TOOLS:
        return False
    if tool in ("tox", "nox"):
        return not any(_NO_TASK.search(word) for word in words[1:])
    named = [word for word in rest if "=" not in word and not word.startswith("-")]
    tasks = named[1:] if rest == words else named
    return any(_SAYS_TEST.search(task) for task in (tasks if tool == "make" else tasks[:1]))


def torchrun(base: Entry, rest: tuple[str, ...], command: Command) -> Entry:
    """The entry of a command of torchrun, whose arguments are ``rest``."""
    gpus, position = None, 0
    other: list[str] = []
    while position < len(rest) and rest[position].startswith("-") and rest[position] not in ("-m", "--module"):
        word = rest[position]
        if match := _PROCESSES.fullmatch(word):
            count = match.group(1) if match.group(1) is not None else "".join(rest[position + 1 : position + 2])
            position += match.group(1) is None
            gpus = int(count) if count.isdigit() else None
        elif _RENDEZVOUS.fullmatch(word):
            position += _VALUE_FOLLOWS.fullmatch(word) is not None
        else:
            other.append(word)
        position += 1
    target = rest[position:]
    if target and not target[0].startswith("-") and not other:
        path = joined(command.folder, target[0])
        return replace(base, path=path, runner="torchrun", num_gpus=gpus, args=target[1:])
    name = slug(posixpath.basename(next((word for word in target if "/" in word), "torchrun")))
    return replace(base, command=command.words, name=name, num_gpus=gpus)


def joined(folder: str, path: str) -> str:
    """A path as the folder that a command runs in means it."""
    return posixpath.normpath(posixpath.join(folder, path))


def slug(text: str) -> str:
    """A name that can be an id: letters, digits, `_`, `.` and `-`."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:80].lower() or "command"
