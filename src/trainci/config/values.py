"""Pure: what single values of trainci.toml may be. Each raises ValueError with what is wrong with the value."""

from __future__ import annotations

import posixpath
import re
import shlex
from typing import Any

from trainci.catalog.always_green import always_green, does_nothing, hidden_by
from trainci.globs import is_glob as is_glob
from trainci.text import printable


def retries_of_others(value: object) -> object:
    """A plain number is short for `{ others = … }`."""
    return {"others": value} if isinstance(value, int) else value


def entry_from_path(value: Any) -> Any:
    """A plain path is short for a table with that path."""
    return {"path": value} if isinstance(value, str) else value


def started(said: dict[str, bool]) -> None:
    """Exactly one of the keys that say what is started."""
    if sum(said.values()) != 1:
        raise ValueError(f"say one of {', '.join(said)}: what is started")


def list_from_one(value: Any) -> Any:
    """One string is short for a list of it."""
    return [value] if isinstance(value, str) else value


def words(value: Any) -> Any:
    """A text is short for its words, as a shell would split it."""
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        raise ValueError(f"{printable(value)} cannot be split into words: {error}") from None


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


def env(variables: dict[str, str]) -> dict[str, str]:
    """Variables none of which makes a failed test green."""
    for name, value in variables.items():
        if why := hidden_by(name, value):
            raise ValueError(f"{name} {why}, so a failure would be green. Take it out")
    return variables


def interpreter(words: list[str]) -> list[str]:
    """The words of an interpreter that tells how a test went."""
    if does_nothing([*words, "test.py"]):
        raise ValueError(f"{printable(words[0])} runs nothing and succeeds always. Name an interpreter")
    if why := always_green([*words, "test.py"]):
        raise ValueError(f"{why}, so a failure would be green. Take that out")
    return words


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
    return posixpath.normpath(taken_in(pattern))


def taken_in(pattern: str) -> str:
    """A pattern that is not one of GitHub's that leaves out: here that would be a name that nothing has."""
    if pattern.startswith("!"):
        raise ValueError(f"{printable(pattern)} leaves out, which no list of this file does: name what is meant")
    return pattern


def history_url(url: str) -> str:
    """Where a history is that several hosts share; who may ask there, and how, stands in the environment."""
    if url and not re.fullmatch(r"postgresql://[^\s]+", url):
        raise ValueError('is no URL of a history; write "postgresql://HOST/DATABASE"')
    if re.match(r"[a-z]+://[^/@]*:[^/@]*@", url) or "password=" in url:
        raise ValueError("holds a password, which all who see this file see; PGPASSWORD or a pgpass file has it")
    return url


def artifacts_url(url: str) -> str:
    """Where what runs leave is sent: a URL of fsspec's, or a path; the environment says who may write there."""
    if url and not re.fullmatch(r"[a-z][a-z0-9+.-]*://\S+|(/|~/)\S*", url):
        raise ValueError('is no place for artifacts; write "s3://BUCKET/PREFIX", or an absolute path')
    if re.match(r"[a-z0-9+.-]+://[^/@]*@", url) or "::" in url:
        raise ValueError("holds a user, or a chain of file systems; what opens the place is in the environment")
    return url


def slurm_word(text: str) -> str:
    """A name in Slurm, or several with commas between them: what stands in a script needs no quotes."""
    if not re.fullmatch(r"[A-Za-z0-9_.:,-]*", text):
        raise ValueError(f"{printable(text)} is no name in Slurm: letters, digits, '_', '.', ':', '-' and ','")
    return text


def regular_expression(pattern: str) -> str:
    """A regular expression that Python takes."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return pattern


_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) (hour|day|week)s?")
_HOURS = {"hour": 1, "day": 24, "week": 168}
_SIZE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) (MB|GB|TB)")
_BYTES = {"MB": 1e6, "GB": 1e9, "TB": 1e12}


def duration(text: str) -> str:
    """A length of time in words."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f'{printable(text)} is no length of time; write "12 hours", "30 days" or "8 weeks"')
    return text


def seconds_of(text: str) -> float:
    """The seconds that a ``duration`` says."""
    number, unit = duration(text).rstrip("s").split(" ")
    return float(number) * _HOURS[unit] * 3600.0


def size(text: str) -> str:
    """An amount of data in words."""
    if not _SIZE.fullmatch(text):
        raise ValueError(f'{printable(text)} is no amount of data; write "500 MB" or "20 GB"')
    return text


def bytes_of(text: str) -> float:
    """The bytes that a ``size`` says."""
    number, unit = size(text).split(" ")
    return float(number) * _BYTES[unit]


def state_dir(text: str) -> str:
    """An absolute path, or one in the home directory; empty for none."""
    if text and not text.startswith(("/", "~/")):
        raise ValueError(f"{printable(text)} is no absolute path; write /var/lib/…, or ~/…")
    return text
