"""Reads the files of the repository that a shell script names: what it takes over by ``source``, what it starts."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from trainci.catalog.shell.parser import parse
from trainci.catalog.shell.state import SOURCES
from trainci.catalog.shell.tree import simple_commands
from trainci.catalog.source import read_source
from trainci.shell_words import Unreadable

_MOST_FILES = 20
_OWN = r"""["']?\$\{?(?:0|BASH_SOURCE(?:\[0\])?)(?:%/\*)?\}?["']?"""
_OWN_FOLDER = re.compile(
    rf"\$\(\s*cd\s+(?:-P\s+|--\s+)?[\"']?\$\(\s*dirname\s+(?:--\s+)?{_OWN}\s*\)(?P<up>[/.\w-]*)[\"']?[^()]*\)"
    rf"|\$\(\s*(?:realpath\s+)?[\"']?\$?\(?\s*dirname\s+(?:--\s+)?{_OWN}\s*\)?[\"']?\s*\)"
    r"|\$\{(?:0|BASH_SOURCE(?:\[0\])?)%/\*\}"
)
_ROOT = re.compile(r"\$\(\s*(?:pwd|git rev-parse --show-toplevel)\s*\)|\$\{?(?:PWD|GITHUB_WORKSPACE)\}?(?!\w)")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def named_file(word: str, folder: str, variables: Mapping[str, str]) -> str:
    """The file, from the root, that a word of a script in ``folder`` names; empty where only a run knows."""
    text = _OWN_FOLDER.sub(lambda found: f"{folder or '.'}{found['up'] or ''}", word)
    text = _ROOT.sub(".", text)
    text = _VARIABLE.sub(lambda found: variables.get(found[1] or found[2], found[0]), text)
    text = text.replace('"', "").replace("'", "")
    path = posixpath.normpath(text)
    outside = path.startswith(("/", "..", "~", "-"))
    return "" if outside or path == "." or re.search(r"[$`*?\[{\s]", text) else path


def sourced(root: Path, file: str, text: str) -> tuple[tuple[str, str], ...]:
    """The texts of the files that the script ``text`` at ``file`` reads by ``source``, by the word for each."""
    found: dict[str, str] = {}
    todo = [(posixpath.dirname(file), text)]
    while todo and len(found) < _MOST_FILES:
        folder, script = todo.pop()
        for word, path in _named(script, folder):
            if word not in found and (inner := _text(root, path)):
                found[word] = inner
                todo.append((posixpath.dirname(path), inner))
    return tuple(found.items())


# Many entries start one script with arguments of their own.
@lru_cache(maxsize=32)
def _named(text: str, folder: str) -> tuple[tuple[str, str], ...]:
    """The words by which a script in ``folder`` names what it sources, each with its file."""
    variables: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    try:
        commands = list(simple_commands(parse(text)))
    except (Unreadable, RecursionError):
        return ()
    for node in commands:
        for assignment in (*node.assigned, *(word for word in node.words[1:] if "=" in word)):
            name, _, value = assignment.partition("=")
            if path := named_file(value, folder, variables):
                variables[name] = path
        if len(node.words) > 1 and node.words[0] in SOURCES:
            found.append((node.words[1], named_file(node.words[1], folder, variables)))
    return tuple(found)


def _text(root: Path, path: str) -> str:
    """Empty where the repository holds no such file."""
    if not path or not (root / path).is_file():
        return ""
    try:
        return read_source(root, path).decode("utf-8", "replace")
    except OSError:
        return ""
