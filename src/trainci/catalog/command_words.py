"""Pure: which program the words of a command start, below what only launches it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from itertools import dropwhile

# What prepares, says or cleans up, and is no test.
SETS_UP = frozenset({
    ".", ":", "[", "alias", "apk", "apt", "apt-get", "awk", "basename", "break", "brew", "cat", "cd", "chmod",
    "chown", "cmake", "conda", "continue", "cp", "curl", "cut", "date", "declare", "df", "dirname", "disown",
    "du", "echo", "env", "eval", "exit", "export", "fuser", "git", "head", "hf", "hostname",
    "huggingface-cli", "id", "ip", "jobs", "jq", "kill", "killall", "ln", "local", "ls", "lscpu", "lsof",
    "mamba", "mapfile", "mkdir", "mktemp", "modelscope", "mv", "nproc", "nvidia-smi", "pip", "pip3", "pkill",
    "popd", "printf", "ps", "pushd", "pwd", "readonly", "realpath", "return", "rm", "rmdir", "rsync", "sed",
    "seq", "set", "shift", "shopt", "sleep", "sort", "source", "stty", "sudo", "sync", "tail", "tar", "tee",
    "touch", "tput", "tr", "trap", "true", "typeset", "ulimit", "umask", "uname", "unset", "unzip", "uv",
    "wait", "wc", "wget", "yum",
})  # fmt: skip


def split(text: str) -> list[str]:
    """The words of ``text`` as a shell reads them, or as spaces part them where no shell would."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def arguments_of_pytest(words: Sequence[str]) -> Sequence[str] | None:
    """What follows ``pytest`` or ``python -m pytest`` in a command that starts it; None for another command."""
    rest = without_launchers(words)
    if rest and program(rest[0]) in ("pytest", "py.test"):
        return rest[1:]
    for number in range(len(rest) - 1):
        if rest[number] == "-m" and rest[number + 1] in ("pytest", "py.test"):
            return rest[number + 2 :] if _runs_modules(rest[:number]) else None
    return None


def starts_unittest(words: Sequence[str]) -> bool:
    """Whether a command is ``python -m unittest``."""
    rest = without_launchers(words)
    return any(
        tuple(rest[number : number + 2]) == ("-m", "unittest") and _runs_modules(rest[:number])
        for number in range(len(rest) - 1)
    )


def is_python(name: str) -> bool:
    """Whether a program of this name is an interpreter: ``python3.11``, ``pypy``."""
    return re.fullmatch(r"python[\d.]*|pypy3?", name) is not None


def _runs_modules(before: Sequence[str]) -> bool:
    """``python -X dev``, ``coverage run --branch``, ``torchrun``: what may stand before ``-m``."""
    name = program(before[0]) if before else ""
    return is_python(name) or name in ("coverage", "torchrun")


def program(word: str) -> str:
    """``pytest`` for ``/opt/bin/pytest``."""
    return word.rpartition("/")[2]


_LAUNCHERS = {"env", "exec", "nice", "nohup", "sudo", "time", "command", "setsid", "stdbuf", "unbuffer", "xvfb-run"}
# Their options are many: what they launch begins with a program that is known.
_BINDS = {"chronic", "chrt", "flock", "ionice", "ncu", "nsys", "numactl", "perf", "strace", "taskset", "xargs"}
_PROGRAMS = {"bash", "sh", "pytest", "py.test", "torchrun", "accelerate", "deepspeed", "make", "coverage"}
_RUNS_PROGRAM = {"uv", "poetry", "pdm", "hatch", "rye", "pixi", "conda", "micromamba"}
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_TAKE_A_VALUE = {"-n", "-u", "-k", "-s", "-p", "--extra", "--group", "--with", "--project", "--python", "--signal"}


def without_launchers(words: Sequence[str]) -> Sequence[str]:
    """``pytest x`` for ``timeout 60 env A=1 uv run pytest x``."""
    while words:
        name = program(words[0])
        if _ASSIGNMENT.fullmatch(words[0]):
            words = words[1:]
        elif name in _LAUNCHERS:
            words = _without_options(words[1:])
        elif name == "timeout":
            words = _without_options(words[1:])[1:]
        elif name in _BINDS and (rest := list(dropwhile(lambda word: not _is_program(program(word)), words[1:]))):
            words = rest
        elif name in _RUNS_PROGRAM and "run" in words[1:3]:
            words = _without_options(words[list(words).index("run") + 1 :])
        else:
            break
    return words


def _is_program(name: str) -> bool:
    return is_python(name) or name in _PROGRAMS | _LAUNCHERS | _RUNS_PROGRAM


def _without_options(words: Sequence[str]) -> Sequence[str]:
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in _TAKE_A_VALUE and len(words) > 1 else words[1:]
    return words
