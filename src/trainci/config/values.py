"""Pure: what single values of trainci.toml may be. Each raises ValueError with what is wrong with the value."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from trainci.text import printable


def entry_from_path(value: Any) -> Any:
    """A plain path is short for a table with that path."""
    return {"path": value} if isinstance(value, str) else value


def list_from_one(value: Any) -> Any:
    """One string is short for a list of it."""
    return [value] if isinstance(value, str) else value


def env_value(value: Any) -> Any:
    """The text of a variable that is written as a whole number."""
    # `USE_FP8 = 1` has one meaning; `true` could be "true", "True" or "1", so it is left to be refused.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def env_name(name: str) -> str:
    """The name of a variable that is not one of trainci's own."""
    if name.upper().startswith("TRAINCI_"):
        raise ValueError(
            f"{printable(name)} is set by trainci alone: with another value a test would use what others hold"
        )
    return name


def no_nul(value: str) -> str:
    """A text that a command line or an environment can hold."""
    if "\0" in value:
        raise ValueError("cannot hold a NUL character")
    return value


def inside(path: str) -> bool:
    """Whether a path stays below the root that it is relative to."""
    return bool(path) and "\0" not in path and not path.startswith("/") and ".." not in path.split("/")


def glob_inside(pattern: str) -> str:
    """A glob of paths below the root."""
    if not inside(pattern):
        raise ValueError(f"{printable(pattern) or 'an empty string'} is no glob relative to the repository's root")
    return posixpath.normpath(pattern)


def suite_name(name: str) -> str:
    """A name that can be part of the name of a job of GitHub."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ValueError("a suite's name may hold letters, digits, '-' and '_' (it becomes part of a job's name)")
    if name.lower() == "all":
        raise ValueError("a suite cannot be named all: that word starts every suite by hand. Name it otherwise")
    return name


def secret_name(name: str) -> str:
    """A name that GitHub allows for a secret."""
    if not re.fullmatch(r"(?!GITHUB_)[A-Z_][A-Z0-9_]*", name, re.IGNORECASE):
        raise ValueError(f"{printable(name)} is no name that GitHub allows for a secret")
    return name


def cron(line: str) -> str:
    """A line for `on.schedule` of a workflow; empty for none."""
    if line and not re.fullmatch(r"[0-9*/,A-Z-]+( [0-9*/,A-Z-]+){4}", line):
        raise ValueError('is no cron line of five fields, such as "30 2 * * *" (UTC)')
    return line


def mount(text: str) -> str:
    """A volume of a container: ``/on/the/host:/in/the/container``, ``:ro`` or ``:rw`` after it."""
    if not re.fullmatch(r"/[^:]*:/[^:]*(:r[ow])?", text):
        raise ValueError(f'{printable(text)} is no mount; write "/on/the/host:/in/the/container", both absolute')
    return text
