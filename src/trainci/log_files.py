"""Log files, read whole and in bounded memory, by the rules for logs."""

from __future__ import annotations

import errno
import functools
import os
import stat
import sys
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import BinaryIO

from trainci.host.files import open_plain
from trainci.model.diagnosis import Diagnosis, Facts, LogRule
from trainci.model.project import Verdicts
from trainci.output.screen import Screen
from trainci.verdict.diagnose import diagnose
from trainci.verdict.log_reader import LogReader, Reading
from trainci.verdict.log_rules import rules_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_CHUNK = 1 << 18
# So much at the beginning and at the end of a log is read line by line, in any case.
_WHOLE = 1 << 23
# So many lines take no second, whatever they say.
_AT_A_TIME = 500
# As trainci writes it into the log of a test.
HUNG = "trainci: hung: "


@functools.cache
def packaged_rules() -> tuple[LogRule, ...]:
    """The rules for logs that come with trainci."""
    text = resources.files("trainci.verdict").joinpath("log_rules.toml").read_text("utf-8")
    return rules_of(tomllib.loads(text))


def rules_for(verdicts: Verdicts) -> tuple[LogRule, ...]:
    """The rules of a repository: its own first, then those of trainci that it leaves on."""
    return (*verdicts.rules, *(rule for rule in packaged_rules() if rule.name not in verdicts.off))


def _never() -> bool:
    return False


def diagnosed(
    log: Path, rules: tuple[LogRule, ...], facts: Facts, root: Path, enough: Callable[[], bool] = _never
) -> Diagnosis:
    """Whose fault an ending was in the repository ``root``, by its log, which may not be there, and ``facts``.

    Once it is ``enough``, what was read until then decides.
    """
    try:
        with open_plain(log) as file:
            reading = reading_of(file, rules, facts.hung is not False, enough)
    except OSError:
        reading = LogReader(()).finish()
    return diagnose(reading, facts, str(root))


def read_log(log: Path, rules: tuple[LogRule, ...]) -> Reading:
    """What ``log`` says by ``rules``: a file, or a pipe that somebody names.

    :raises OSError: it cannot be read.
    """
    with log.open("rb") as file:
        if stat.S_ISCHR(os.fstat(file.fileno()).st_mode) and not file.isatty():
            raise OSError(errno.EINVAL, "it is a device")
        return reading_of(file, rules)


def reading_of(
    log: BinaryIO, rules: tuple[LogRule, ...], ended: bool = True, enough: Callable[[], bool] = _never
) -> Reading:
    """What ``log`` says by ``rules``. With ``ended``, a line that says that it hung is the last.

    What is printed after it is printed while its processes are ended, and tells of that.
    """
    reader = LogReader(rules)
    for lines, whole in _lines(log):
        last = next((number for number, line in enumerate(lines, 1) if ended and line.startswith(HUNG)), None)
        told = lines[:last]
        for start in range(0, len(told), _AT_A_TIME):
            reader.feed(told[start : start + _AT_A_TIME], whole)
            if enough():
                return reader.finish()
        if last is not None:
            break
    return reader.finish()


def _lines(file: BinaryIO) -> Iterator[tuple[list[str], bool]]:
    """The lines in pieces, each with whether it is at the beginning or the end, of which every line is read."""
    screen, done, size = Screen(), 0, _size(file)
    while chunk := file.read(_CHUNK):
        done += len(chunk)
        if lines := screen.feed(chunk):
            yield lines, done <= _WHOLE or done > size - _WHOLE
    if lines := screen.finish():
        yield lines, True


def _size(file: BinaryIO) -> int:
    """How long it is, 0 where that is not known, as of a pipe."""
    try:
        status = os.fstat(file.fileno())
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
