"""Pure: what values of trainci.toml may be that GitHub reads. Each raises ValueError with what is wrong with it."""

from __future__ import annotations

import re
import shlex

from trainci.config.values import taken_in
from trainci.text import printable

# Less the rest of the longest id that `job_ids` makes of it.
_LONGEST_SUITE = 80
_LONGEST_LABEL = 50
_LONGEST_JOB = 90
_LONGEST_IMAGE = 255
# https://pkg.go.dev/github.com/distribution/reference, as docker reads it; Enroot parts the registry off by a '#'
# (https://github.com/NVIDIA/enroot, doc/cmd/import.md), and Apptainer reads other places, such as oras://.
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:[a-z][a-z+-]*://)?(?:(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9.-]+(?=:\d))(?::\d{{1,5}})?[/#])?"
    rf"{_COMPONENT}(?:/{_COMPONENT})*(?::\w[\w.-]{{0,127}})?(?:@[A-Za-z][\w+.-]*:[0-9a-fA-F]{{32,}})?",
    re.ASCII,
)
# The jobs of the template that belong to no suite.
RESERVED_JOBS = ("commit", "plan", "summary")
# What the steps of a job read themselves, and what makes a program run something else.
_TAKEN = (
    "CI", "DEVICES", "ENV", "HOME", "IFS", "PATH", "SHELL", "SHELLOPTS", "TEST_ID", "TMPDIR", "USER",
)  # fmt: skip
_TAKEN_PREFIXES = ("ACTIONS_", "BASH", "LD_", "PYTHON", "RUNNER_", "TRAINCI")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# https://docs.github.com/actions/reference/workflows-and-actions/events-that-trigger-workflows#schedule
_CRON_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)


def suite_name(name: str) -> str:
    """A name that can be part of the id of a job of GitHub, which has fewer than 100 characters."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ValueError("a suite's name may hold letters, digits, '-' and '_' (it becomes part of a job's name)")
    if name.lower() == "all":
        raise ValueError("a suite cannot be named all: that word starts every suite by hand. Name it otherwise")
    if len(name) > _LONGEST_SUITE:
        raise ValueError(f"a suite's name has at most {_LONGEST_SUITE} characters, and this one has {len(name)}")
    return name


def label(text: str) -> str:
    """A label that a pull request can have; empty for the default."""
    if text != text.strip():
        raise ValueError("begins or ends in a space, which no label does")
    if len(text) > _LONGEST_LABEL:
        raise ValueError(f"has {len(text)} characters, and GitHub allows {_LONGEST_LABEL} in a label")
    return text


def runner_label(text: str) -> str:
    """A label of a runner: one word of what ``config.sh --labels`` takes."""
    if not text or text != text.strip() or "," in text:
        raise ValueError(
            f"{printable(text) or 'an empty string'} is no label of a runner; write one label a string"
        )
    return text


def branch(name: str) -> str:
    """The name of a branch (https://git-scm.com/docs/git-check-ref-format)."""
    parts = name.split("/")
    if (
        re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{", name)
        or name in ("", "@")
        or name.startswith("-")
        or any(not part or part.startswith(".") or part.endswith((".", ".lock")) for part in parts)
    ):
        raise ValueError(
            f"{printable(name) or 'an empty string'} is no name of a branch; write it without `origin/`"
        )
    return name


def branch_pattern(name: str) -> str:
    """The name of a branch, in which ``*`` stands for any part of a component and ``**`` for several."""
    branch(name.replace("*", "x"))
    return taken_in(name)


def job_id(name: str) -> str:
    """The id of a job of GitHub, with room for what `job_ids` makes of it."""
    if not re.fullmatch(r"([A-Za-z_][A-Za-z0-9_-]*)?", name):
        raise ValueError(
            f"{printable(name)} is no id of a job: letters, digits, '-' and '_', with a letter or '_' first"
        )
    if name.lower() in RESERVED_JOBS:
        raise ValueError(f"{name} is a job that the workflow has already; name this one otherwise")
    if len(name) > _LONGEST_JOB:
        raise ValueError(f"an id of a job has at most {_LONGEST_JOB} characters here, and this one has {len(name)}")
    return name


def secret_name(name: str) -> str:
    """A name that GitHub allows for a secret, and that no program of the job's reads as something else."""
    if not re.fullmatch(r"(?!GITHUB_)[A-Z_][A-Z0-9_]*", name, re.IGNORECASE):
        raise ValueError(f"{printable(name)} is no name that GitHub allows for a secret")
    if name.upper() in _TAKEN or name.upper().startswith(_TAKEN_PREFIXES):
        raise ValueError(
            f"{name} is a variable that the job itself uses, so no test can get a secret by it; rename it"
        )
    return name


def distinct(names: list[str]) -> list[str]:
    """Names of secrets, each once: GitHub tells none apart by its case."""
    if len({name.upper() for name in names}) < len(names):
        raise ValueError("names a secret twice; GitHub tells no two apart by their case")
    return names


def cron(line: str) -> str:
    """A line for `on.schedule` of a workflow, as GitHub reads it; empty for none."""
    if not line:
        return line
    fields = line.split(" ")
    if len(fields) != len(_CRON_FIELDS):
        raise ValueError('is no cron line of five fields, such as "30 2 * * *" (UTC)')
    numbers: list[set[int]] = []
    for text, (name, least, most, words) in zip(fields, _CRON_FIELDS, strict=True):
        parts = [_cron_part(part, least, most, words) for part in text.split(",")]
        if not all(parts):
            known = f"{least} to {most}" + (f" or {words[0]} to {words[-1]}" if words else "")
            raise ValueError(
                f"{printable(text) or 'nothing'} is no {name} that GitHub takes: {known}, *, ranges, steps"
            )
        numbers.append({number for part in parts for number in part})
    _, _, days, months, _ = numbers
    if fields[-1] == "*" and min(days) > max(_LONGEST_MONTHS[month - 1] for month in months):
        raise ValueError("is a day that none of its months has, so it would never run")
    return line


def _cron_part(text: str, least: int, most: int, words: tuple[str, ...]) -> range:
    """The numbers of ``*``, a number, a range, or one of these in steps; none of what is wrong."""
    span, slash, step = text.partition("/")
    if slash and not (re.fullmatch(r"\d{1,2}", step, re.ASCII) and max(least, 1) <= int(step) <= most):
        return range(0)
    ends = [least, most] if span == "*" else [_cron_number(end, least, words) for end in span.split("-")]
    if len(ends) > 2 or ends != sorted(ends) or not all(least <= end <= most for end in ends):
        return range(0)
    last = most if slash and len(ends) == 1 else ends[-1]
    return range(ends[0], last + 1, int(step or 1))


def _cron_number(text: str, least: int, words: tuple[str, ...]) -> int:
    if text.upper() in words:
        return words.index(text.upper()) + least
    return int(text) if re.fullmatch(r"\d{1,2}", text, re.ASCII) else -1


def image(name: str) -> str:
    """An image of a registry, or the file of one, which no job of GitHub's has; empty for none."""
    if name and not name.startswith(("/", "./")) and not (_IMAGE.fullmatch(name) and len(name) <= _LONGEST_IMAGE):
        raise ValueError(
            f"{printable(name)} is no name of an image: small letters, digits and '/', such as "
            "ghcr.io/you/train:1.2, with a tag or a digest at its end"
        )
    return name


def container_options(text: str) -> str:
    """Options of `docker create` that GitHub passes on."""
    try:
        words = shlex.split(text)
    except ValueError:
        raise ValueError("opens a quote that it does not close, so no job's container would start") from None
    for word in words:
        if (option := word.partition("=")[0]) in ("--network", "--net", "--entrypoint"):
            raise ValueError(f"holds {option}, which GitHub does not allow for a job's container")
    if not text.isprintable():
        raise ValueError(f"{printable(text)} is more than one line")
    return text


def mount(text: str) -> str:
    """A volume of a container: ``/on/the/host:/in/the/container``, ``:ro`` or ``:rw`` after it."""
    if not re.fullmatch(r"/[^:]*:/[^:]*(:r[ow])?", text):
        raise ValueError(f'{printable(text)} is no mount; write "/on/the/host:/in/the/container", both absolute')
    if not text.isprintable() or any(character in text for character in '"\\$`'):
        raise ValueError(f"{printable(text)} holds a character that the options of docker cannot; use plain names")
    return text
