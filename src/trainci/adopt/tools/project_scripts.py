"""Scripts that a project names and a tool runs, ``hatch run test``, ``poe test``, ``just test``: their shell lines.

Formats: https://hatch.pypa.io/latest/config/environment/overview/#scripts,
https://pdm-project.org/latest/usage/scripts/, https://rye.astral.sh/guide/pyproject/#toolryescripts,
https://pixi.sh/latest/workspace/advanced_tasks/, https://poethepoet.natn.io/tasks/, https://just.systems/man/en/.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from trainci.adopt.tools.filling import TooLong, filled
from trainci.adopt.tools.toml_tables import at, toml
from trainci.adopt.tree import Tree

_PLACEHOLDER = re.compile(r"\{args(?::([^{}]*))?\}|\{posargs(?::([^{}]*))?\}")
_JUSTFILES = ("justfile", "Justfile", ".justfile")
_VARIABLE = re.compile(r"""^([A-Za-z_][\w-]*)\s*:=\s*(?:"([^"\n]*)"|'([^'\n]*)')\s*$""", re.MULTILINE)
_FILLED = re.compile(r"\{\{\s*([A-Za-z_][\w-]*)\s*\}\}")
_ENTRY_POINT = re.compile(r"""^[\s'"]*([\w.-]+)\s*=\s*[\w.]+:[\w.]+['",\s\]]*$""", re.MULTILINE)
_TEST_WORDS = {"test", "tests", "unittest", "unittests"}
# Scripts that one runs: they can name each other, each many times.
_MOST_WITHIN = 100


def project_script(tree: Tree, tool: str, words: Sequence[str]) -> str:
    """The shell lines of ``TOOL run NAME …`` with ``words`` from NAME on, "" where they cannot be told.

    With ``hatch`` the name may say its environment: ``hatch run unit:test``.

    :raises TooLong: what it names grows.
    """
    if not words:
        return ""
    name, given = words[0], shlex.join(words[1:])
    if tool == "just":
        return _just(tree, words)
    scripts = dict(_scripts(tree, tool))
    return "\n".join(_lines(scripts, name, given, iter(range(_MOST_WITHIN))))


@lru_cache(maxsize=2)  # each command asks
def test_programs(tree: Tree) -> frozenset[str]:
    """The programs that the project itself installs and calls tests: ``[project.scripts]``, ``console_scripts``."""
    pyproject = toml(tree, "pyproject.toml")
    names = {*at(pyproject, "project", "scripts"), *at(pyproject, "tool", "poetry", "scripts")}
    for file in ("setup.cfg", "setup.py"):
        names.update(_ENTRY_POINT.findall(tree.read(file)))
    return frozenset(name for name in names if not _TEST_WORDS.isdisjoint(re.split(r"[-_.]", name)))


def hatch_test(tree: Tree, words: Sequence[str]) -> str:
    """What ``hatch test …`` runs: pytest on what it is told, else on what the project says."""
    table = at(toml(tree, "pyproject.toml"), "tool", "hatch", "envs", "hatch-test")
    usual = table.get("default-args", ["tests"])
    paths = [one for one in usual if isinstance(one, str)] if isinstance(usual, list) else []
    own = [word for word in words if word not in ("-a", "--all", "-c", "--cover", "-p", "--parallel")]
    return shlex.join(["pytest", *(own or paths)])


def _scripts(tree: Tree, tool: str) -> Iterator[tuple[str, object]]:
    pyproject = toml(tree, "pyproject.toml")
    if tool == "hatch":
        environments = {
            **at(pyproject, "tool", "hatch", "envs"),
            **at(toml(tree, "hatch.toml"), "envs"),
        }
        for environment, table in environments.items():
            for name, value in at(table, "scripts").items():
                if environment == "default":
                    yield name, value
                yield f"{environment}:{name}", value
    elif tool == "pixi":
        for table in (at(pyproject, "tool", "pixi"), toml(tree, "pixi.toml")):
            for feature in at(table, "feature").values():
                yield from at(feature, "tasks").items()
            yield from at(table, "tasks").items()
    else:
        yield from at(pyproject, "tool", tool, "tasks" if tool == "poe" else "scripts").items()


def _lines(scripts: Mapping[str, object], name: str, given: str, left: Iterator[int]) -> Iterator[str]:
    """The lines of a script and of those that it runs, for each of which one is taken from ``left``."""
    if name not in scripts:
        return
    if next(left, None) is None:
        raise TooLong
    value = scripts[name]
    table = value if isinstance(value, dict) else {}
    if isinstance(table.get("composite"), list):  # of pdm
        value = table["composite"]
    elif isinstance(table.get("sequence"), list):  # of poe
        value = table["sequence"]
    elif isinstance(table.get("cmd"), list):
        value = shlex.join(word for word in table["cmd"] if isinstance(word, str))
    elif table:
        value = table.get("cmd") or table.get("shell")
    env = table.get("env")
    pairs = env.items() if isinstance(env, dict) else ()
    yield from (f"export {key}={shlex.quote(text)}" for key, text in pairs if isinstance(text, str))
    for one in value if isinstance(value, list) else [value]:
        text = one.get("cmd") if isinstance(one, dict) else one
        if not isinstance(text, str):
            continue
        first, _, rest = text.strip().partition(" ")
        if first in scripts and first != name:
            yield from _lines(scripts, first, rest or given, left)
        else:
            made = filled(_PLACEHOLDER, lambda match: given or match.group(1) or match.group(2) or "", text)
            yield made if made != text or not given else f"{text} {given}"


def _just(tree: Tree, words: Sequence[str]) -> str:
    text = next((tree.read(file) for file in _JUSTFILES if tree.is_file(file)), "")
    known = {name: double or single for name, double, single in _VARIABLE.findall(text)}
    head = rf"^@?{re.escape(words[0])}(?P<parameters>[^:\n]*):(?!=)[^\n]*\n"
    body = r"(?P<body>(?:[ \t]+[^\n]*(?:\n|$)|\n(?=[ \t]))+)"
    match = re.search(head + body, text, re.MULTILINE)
    if match is None:
        return ""
    parameters = match.group("parameters").split()
    for number, parameter in enumerate(parameters):
        name, _, usual = parameter.lstrip("+*$").partition("=")
        rest = words[number + 1 :] if parameter.startswith(("+", "*")) else words[number + 1 : number + 2]
        known[name] = shlex.join(rest) or usual.strip("\"'")
    lines = [line.strip().lstrip("@-") for line in match.group("body").splitlines() if line.strip()]
    if lines and lines[0].startswith("#!"):
        if not re.search(r"\b(?:ba|da|z)?sh\b", lines[0]):
            return ""
        lines = lines[1:]
    made = filled(_FILLED, lambda found: known.get(found.group(1), found.group()), "\n".join(lines))
    return "" if "{{" in made else made
