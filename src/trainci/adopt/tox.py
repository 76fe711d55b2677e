"""tox: what the environments run that a CI names (``tox -e unit``), and all of them where no CI says more.

Format: https://tox.wiki/en/stable/config.html, of which ``tox.ini`` and ``setup.cfg`` are read.
"""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Sequence

from trainci.adopt.tree import Tree

_FILES = {"tox.ini": "", "setup.cfg": "tox:"}
_FILLED = re.compile(r"\{(posargs|toxinidir|tox_root|envpython|/)(?::([^{}]*))?\}")
_PLACES = {"toxinidir": ".", "tox_root": ".", "envpython": "python", "/": "/"}


def environments(tree: Tree) -> list[str]:
    """The environments that have commands of their own."""
    parser, prefix = _parser(tree)
    names = [name.removeprefix(f"{prefix}testenv:") for name in parser.sections() if ":" in name]
    own = [name for name in names if parser.has_option(f"{prefix}testenv:{name}", "commands")]
    return ["", *own] if parser.has_option(f"{prefix}testenv", "commands") else own


def script(tree: Tree, words: Sequence[str]) -> str:
    """The shell lines of ``tox`` with these arguments, "" where they cannot be told."""
    parser, prefix = _parser(tree)
    position = next((at for at, word in enumerate(words) if word in ("-e", "--env")), None)
    named = words[position + 1].split(",") if position is not None and position + 1 < len(words) else [""]
    given = " ".join(map(shlex.quote, words[words.index("--") + 1 :])) if "--" in words else ""
    return "\n".join(_lines(parser, prefix, name, given) for name in named)


def _lines(parser: configparser.ConfigParser, prefix: str, name: str, given: str) -> str:
    sections = [f"{prefix}testenv:{name}", f"{prefix}testenv"]

    def said(key: str) -> list[str]:
        text = next((parser.get(one, key) for one in sections if parser.has_option(one, key)), "")
        return [line for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line.strip()]

    def filled(text: str) -> str:
        return _FILLED.sub(lambda match: _PLACES.get(match.group(1), given or match.group(2) or ""), text)

    pairs = [line.partition("=") for line in (*said("setenv"), *said("set_env"))]
    exports = [f"export {key.strip()}={shlex.quote(filled(value.strip()))}" for key, _, value in pairs]
    commands = [filled(line.strip()) for line in said("commands")]
    # With a leading dash its failure does not count.
    commands = [f"{line.lstrip('- ')} || true" if line.startswith("-") else line for line in commands]
    lines = [*exports, *commands]
    return "" if any(re.search(r"\{[^{}]*\}", line) for line in lines) else "\n".join(lines)


def _parser(tree: Tree) -> tuple[configparser.ConfigParser, str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    for file, prefix in _FILES.items():
        try:
            parser.read_string(tree.read(file))
        except configparser.Error:
            continue
        if parser.has_section(f"{prefix}testenv") or any(":" in name for name in parser.sections()):
            return parser, prefix
        parser = configparser.ConfigParser(interpolation=None, strict=False)
    return parser, ""
