"""tox: what the environments run that a CI names (``tox -e unit``), and all of them where no CI says more.

Format: https://tox.wiki/en/stable/config.html: ``tox.ini``, ``setup.cfg``, ``legacy_tox_ini`` and ``[tool.tox]`` of
``pyproject.toml``, and ``tox.toml``.
"""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from trainci.adopt.shell.launchers import values_of
from trainci.adopt.tools.filling import filled
from trainci.adopt.tools.toml_tables import at, toml
from trainci.adopt.tree import Tree

_NAMES_ENVIRONMENT = re.compile(r"(?:-e|--env)(?:=(.*))?")
_FILLED = re.compile(r"\{(posargs|toxinidir|tox_root|envpython|envname|env_name|/)(?::([^{}]*))?\}")
_PLACES = {"toxinidir": ".", "tox_root": ".", "envpython": "python", "/": "/"}
_ENVIRONMENT = re.compile(r"\{env:([A-Za-z_]\w*)(?::([^{}]*))?\}")
_SECTION = re.compile(r"\{\[([^\[\]{}]+)\]([\w-]+)\}")
# `py310-gpu: …` is for environments that have all of these factors in their name; `!x` for those without.
_FACTORS = re.compile(r"^((?:!?[\w.]+(?:-!?[\w.]+)*)(?:\s*,\s*!?[\w.]+(?:-!?[\w.]+)*)*):\s+")
_MOST_DEPTH = 3


@dataclass(frozen=True)
class _Ini:
    """What sections of an ini file say of all environments.

    ``own`` are those that have commands of their own, "" among them for the one that all begin with.
    """

    own: tuple[str, ...]
    ini: configparser.ConfigParser
    prefix: str

    def lines(self, name: str, *keys: str) -> list[str]:
        """The lines of the first of the keys that is said of an environment."""
        for section in (f"{self.prefix}testenv:{name}", f"{self.prefix}testenv"):
            for key in keys:
                if self.ini.has_option(section, key):
                    text = re.sub(r"\\\n\s*", " ", self._referred(self.ini.get(section, key)))
                    return [line for one in text.splitlines() if (line := _of_factors(one.strip(), name))]
        return []

    def _referred(self, text: str, depth: int = 0) -> str:
        def referred(match: re.Match[str]) -> str:
            section, key = match.groups()
            return self.ini.get(section, key) if self.ini.has_option(section, key) else match.group()

        made = filled(_SECTION, referred, text)
        return made if made == text or depth == _MOST_DEPTH else self._referred(made, depth + 1)


@dataclass(frozen=True)
class _Toml:
    """The same of a TOML file."""

    own: tuple[str, ...]
    toml: Mapping[str, Any]

    def lines(self, name: str, *keys: str) -> list[str]:
        """The lines of the first of the keys that is said of an environment."""
        for table in (at(self.toml, "env", name), at(self.toml, "env_run_base")):
            for key in keys:
                value = table.get(key)
                if isinstance(value, dict):
                    return [f"{name} = {text}" for name, text in value.items() if isinstance(text, str)]
                if isinstance(value, list):
                    return [line for one in value if (line := _toml_line(one))]
        return []


def environments(tree: Tree) -> list[str]:
    """The environments that have commands of their own."""
    said = _said(tree)
    return list(said.own) if said else []


def script(tree: Tree, words: Sequence[str]) -> str:
    """The shell lines of ``tox`` with these arguments, "" where they cannot be told.

    :raises TooLong: what its sections name grows.
    """
    said = _said(tree)
    if said is None:
        return ""
    given = " ".join(map(shlex.quote, words[words.index("--") + 1 :])) if "--" in words else ""
    scripts = [_script(said, name, given) for name in next(values_of(_NAMES_ENVIRONMENT, words), "").split(",")]
    return "\n".join(scripts) if all(scripts) else ""


def _script(said: _Ini | _Toml, name: str, given: str) -> str:
    def placed(text: str) -> str:
        def named(match: re.Match[str]) -> str:
            return (
                _PLACES.get(match.group(1)) or (name if "name" in match.group(1) else given) or match.group(2) or ""
            )

        text = _ENVIRONMENT.sub(lambda match: f"${{{match.group(1)}:-{match.group(2) or ''}}}", text)
        return filled(_FILLED, named, text)

    packages = [placed(line) for line in said.lines(name, "deps")]
    pairs = [line.partition("=") for line in said.lines(name, "setenv", "set_env")]
    exports = [f"export {key.strip()}={_assigned(placed(value.strip()))}" for key, _, value in pairs]
    commands = [placed(line) for line in said.lines(name, "commands")]
    # With a leading dash its failure does not count.
    commands = [f"{line.lstrip('- ')} || true" if line.startswith("-") else line for line in commands]
    installed = [f"pip install {' '.join(map(_package, packages))}"] if packages and commands else []
    lines = [*installed, *exports, *commands]
    return "" if any(re.search(r"(?<!\$)\{[^{}]*\}", line) for line in lines) else "\n".join(lines)


def _assigned(value: str) -> str:
    return f'"{value}"' if "${" in value else shlex.quote(value)


def _package(line: str) -> str:
    return line if line.startswith("-") else shlex.quote(line)


def _of_factors(line: str, name: str) -> str:
    """The line without the factors that it is for, "" where those are of another environment."""
    match = _FACTORS.match(line)
    if match is None:
        return line
    has = set(name.split("-"))
    alternatives = (one.strip().split("-") for one in match.group(1).split(","))
    fits = any(
        all((factor[1:] not in has) if factor.startswith("!") else factor in has for factor in factors)
        for factors in alternatives
    )
    return line[match.end() :] if fits else ""


@lru_cache(maxsize=1)
def _said(tree: Tree) -> _Ini | _Toml | None:
    tool = at(toml(tree, "pyproject.toml"), "tool", "tox")
    legacy = tool.get("legacy_tox_ini")
    sources = (tree.read("tox.ini"), ""), (tree.read("setup.cfg"), "tox:"), (legacy, "")
    for text, prefix in sources:
        ini = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            ini.read_string(text if isinstance(text, str) else "")
        except configparser.Error:
            continue
        sections = [name for name in ini.sections() if name.startswith(f"{prefix}testenv")]
        if sections:
            own = [name for name in sections if ini.has_option(name, "commands")]
            names = [name.removeprefix(f"{prefix}testenv").removeprefix(":") for name in own]
            return _Ini(tuple(sorted(names, key=bool)), ini, prefix)
    for table in (toml(tree, "tox.toml"), tool):
        if {"env_run_base", "env"} & table.keys():
            tables = {"": at(table, "env_run_base"), **at(table, "env")}
            return _Toml(tuple(name for name in tables if "commands" in at(tables, name)), table)
    return None


def _toml_line(value: object) -> str:
    """A command as a list of words, or a package as a text."""
    if isinstance(value, str):
        return value
    return " ".join(_toml_words(value)) if isinstance(value, list) else ""


def _toml_words(words: Sequence[object]) -> Iterator[str]:
    for word in words:
        if isinstance(word, str):
            yield word if "{" in word else shlex.quote(word)
        elif isinstance(word, dict) and word.get("replace") == "posargs":
            usual = word.get("default")
            texts = [one for one in usual if isinstance(one, str)] if isinstance(usual, list) else []
            yield f"{{posargs:{' '.join(texts)}}}" if texts else "{posargs}"
        else:
            yield "{only tox knows}"
