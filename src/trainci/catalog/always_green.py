"""Pure: commands that succeed whatever the tests would say, by their own words: ``make -i``, ``python -O``."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from trainci.catalog.command_words import arguments_of_pytest, is_python, program, split, without_launchers

# https://docs.pytest.org/en/stable/reference/reference.html#command-line-flags
_PYTEST_RUNS_NOTHING = {
    "--cache-show",
    "--co",
    "--collect-only",
    "--collectonly",
    "--fixtures",
    "--fixtures-per-test",
    "--funcargs",
    "--help",
    "--markers",
    "--setup-only",
    "--setup-plan",
    "--setuponly",
    "--setupplan",
    "--version",
}
_PYTEST_SHORT = re.compile(r"-[qvslx]*[hV][qvslxhV]*")
# python(1): which options of one letter make of a failure no exit code, and which take a value.
_PYTHON_LETTERS = {
    "O": "leaves every `assert` out",
    "i": "ends with 0 after a failure",
    "h": "only shows its help",
    "?": "only shows its help",
    "V": "only shows its version",
}
_PYTHON_LONG = {
    "--help": "only shows its help",
    "--help-all": "only shows its help",
    "--version": "only shows its version",
}
_PYTHON_VALUES = "cmWX"
_PYTHON = (_PYTHON_LETTERS, _PYTHON_LONG, _PYTHON_VALUES)
# Modules of Python's that run a program and drop what it hands to sys.exit, or that run none.
_PYTHON_MODULES = {
    "cProfile": "drops the exit code of what it runs",
    "profile": "drops the exit code of what it runs",
    "trace": "drops the exit code of what it runs",
    "py_compile": "only compiles",
    "compileall": "only compiles",
    "tabnanny": "only reads",
    "ast": "only reads",
    "dis": "only reads",
}
# GNU make: what ignores errors, and what runs no recipe.
_MAKE_LETTERS = {"i": "ignores every error", "n": "runs nothing", "t": "runs nothing", "q": "runs nothing"}
_MAKE_LONG = {
    "--ignore-errors": "ignores every error",
    "--just-print": "runs nothing",
    "--dry-run": "runs nothing",
    "--recon": "runs nothing",
    "--touch": "runs nothing",
    "--question": "runs nothing",
    "--version": "runs nothing",
    "--help": "runs nothing",
}
_MAKE = (_MAKE_LETTERS, _MAKE_LONG, "CfIoW")
_DO_NOTHING = ("true", ":", "echo", "printf", "sleep", "exit")
_LEAVES = ("sbatch", "docker", "podman", "ray", "tmux", "screen")
_SHELLS = ("bash", "sh", "dash", "zsh", "ksh")


def does_nothing(words: Sequence[str]) -> bool:
    """Whether a command succeeds always and starts nothing: ``echo pytest``, ``env true``, ``env``."""
    words = without_launchers(words)
    return not words or program(words[0]) in _DO_NOTHING


def always_green(words: Sequence[str]) -> str:
    """Why the command ``words`` is green whatever its tests say (``make -i`` ignores every error); else empty."""
    words = without_launchers(words)
    if not words:
        return ""
    name, rest = program(words[0]), list(words[1:])
    arguments = arguments_of_pytest(words)
    if arguments is not None and (flag := pytest_runs_nothing(arguments)):
        return f"`pytest {flag}` runs no test"
    if is_python(name):
        return _of_python(name, rest)
    if name in ("make", "gmake"):
        return _of_letters(name, rest, *_MAKE)
    if name == "find" and {"-exec", "-execdir"} & set(rest) and ";" in rest:
        return "`find -exec … ;` drops the exit code of what it runs"
    if name == "script" and not any(re.fullmatch(r"-[a-z]*e[a-z]*|--return", word) for word in rest):
        return "`script` drops the exit code of what it runs"
    if name in _LEAVES and not _waits(name, rest):
        return f"`{name}` starts it and does not wait for its end"
    if name in _SHELLS and any(re.fullmatch(r"-[a-z]*n[a-z]*", word) for word in _options(rest)):
        return f"`{name} -n` only reads the script"
    return ""


def _waits(name: str, rest: list[str]) -> bool:
    """Whether a program that can leave what it starts to itself stays with it here."""
    told = {letter for word in rest if re.fullmatch(r"-[A-Za-z]+", word) for letter in word[1:]}
    if name == "sbatch":
        return bool({"--wait", "--version", "--help"} & set(rest)) or "W" in told
    if name in ("docker", "podman"):
        run = rest[:1] in (["run"], ["exec"])
        return not run or not ("--detach" in rest or "d" in _letters_before_image(rest[1:]))
    if name == "ray":
        return rest[:2] != ["job", "submit"] or "--no-wait" not in rest
    return "d" not in told or name not in ("tmux", "screen")


# Which words ask such a program how that ended which it started and left.
_ASK = {
    "docker": ("wait", "inspect", "ps"),
    "podman": ("wait", "inspect", "ps"),
    "ray": ("status", "list"),
    "sbatch": ("sacct", "squeue", "scontrol", "sattach"),
}


def is_asked_later(words: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Whether one of the commands ``others`` asks how that ended which the command ``words`` leaves to itself."""
    asks = _ASK.get(program(words[0]), ()) if words else ()
    return any(set(asks) & set(other[:3]) for other in others if set(other[:1]) & {words[0], *asks})


def _letters_before_image(rest: list[str]) -> str:
    """The letters of the options that stand alone, up to the first word that is none."""
    return "".join(
        word[1:] for word in itertools.takewhile(lambda word: word.startswith("-"), rest) if word[1] != "-"
    )


def pytest_runs_nothing(arguments: Sequence[str]) -> str:
    """The one of pytest's ``arguments`` by which no test runs, though pytest exits with 0; empty for none."""
    before = ""
    for word in arguments:
        if word == "--":
            return ""
        if word.partition("=")[0] in _PYTEST_RUNS_NOTHING or _PYTEST_SHORT.fullmatch(word):
            return word
        setting = word if before in ("-o", "--override-ini") else word.removeprefix("--override-ini=")
        if setting.startswith("addopts=") and pytest_runs_nothing(split(setting.removeprefix("addopts="))):
            return setting
        before = word
    return ""


def hidden_by(name: str, value: str) -> str:
    """Why a variable of the environment hides failures: ``PYTHONOPTIMIZE`` leaves every assert out; or empty."""
    if name == "PYTHONOPTIMIZE" and value:
        return "leaves every `assert` out"
    if name == "PYTHONINSPECT" and value:
        return "makes Python end with 0 after a failure"
    if name == "PYTEST_ADDOPTS" and (flag := pytest_runs_nothing(split(value))):
        return f"says {flag}, by which no test runs"
    if name in ("MAKEFLAGS", "GNUMAKEFLAGS"):
        first, *others = split(value) or [""]
        # Its first word may be letters without a dash.
        flags = [first if first.startswith("-") or "=" in first else f"-{first}", *others]
        return _of_letters("make", flags, *_MAKE)
    return ""


def module_of(words: Sequence[str]) -> str:
    """``a.b`` of ``python -u -m a.b``; empty for another command of Python's."""
    options = _options(words[1:], _PYTHON_VALUES)
    return words[len(options) + 1] if options[-1:] == ["-m"] and len(options) + 1 < len(words) else ""


def _of_python(name: str, rest: Sequence[str]) -> str:
    module = module_of([name, *rest])
    why = _PYTHON_MODULES.get(module, "")
    return f"`{name} -m {module}` {why}" if why else _of_letters(name, _options(rest, _PYTHON_VALUES), *_PYTHON)


def _of_letters(name: str, words: Sequence[str], letters: dict[str, str], long: dict[str, str], values: str) -> str:
    """What the first of the options among ``words`` does that is one of these."""
    skip = False
    for word in words:
        if skip or not word.startswith("-") or word == "-":
            skip = False
        elif word == "--":
            return ""
        elif word.startswith("--"):
            if word in long:
                return f"`{name} {word}` {long[word]}"
        else:
            for position, letter in enumerate(word[1:], start=2):
                if letter in letters:
                    return f"`{name} -{letter}` {letters[letter]}"
                if letter in values:
                    skip = position == len(word)
                    break
    return ""


def _options(rest: Sequence[str], values: str = "") -> list[str]:
    """The options before the first word that is none; what -c and -m run ends them, too."""
    position = 0
    while position < len(rest) and rest[position].startswith("-"):
        word = rest[position]
        if word in ("-c", "-m"):
            return list(rest[: position + 1])
        takes = len(word) == 2 and word[1:] in values
        position += 2 if values and takes else 1
    return list(rest[:position])
