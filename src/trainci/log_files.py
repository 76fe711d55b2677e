"""Log files, read whole and in bounded memory, by the rules for logs."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import BinaryIO

from trainci.model import LogRule
from trainci.output.screen import Screen
from trainci.verdict.log_reader import LogReader, Reading
from trainci.verdict.log_rules import rules_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_CHUNK = 1 << 18


@functools.cache
def packaged_rules() -> tuple[LogRule, ...]:
    """The rules for logs that come with trainci."""
    text = resources.files("trainci.verdict").joinpath("log_rules.toml").read_text("utf-8")
    return rules_of(tomllib.loads(text))


def read_log(log: Path, rules: tuple[LogRule, ...]) -> Reading:
    """What ``log`` says by ``rules``.

    :raises OSError: it cannot be read.
    """
    reader = LogReader(rules)
    with log.open("rb") as file:
        for lines in _lines(file):
            reader.feed(lines)
    return reader.finish()


def _lines(file: BinaryIO) -> Iterator[list[str]]:
    screen = Screen()
    while chunk := file.read(_CHUNK):
        if lines := screen.feed(chunk):
            yield lines
    if lines := screen.finish():
        yield lines
