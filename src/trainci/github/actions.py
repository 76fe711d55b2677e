"""What GitHub Actions tells a job, and what it understands on a job's standard output and in its files.

Format: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainci.errors import MachineError, UsageError
from trainci.text import counted, printable

# https://docs.github.com/actions/reference/limits: the outputs of a job, 1 MB (counted as UTF-16).
_LARGEST_OUTPUT = 500_000
# https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands: a step's summary, 1 MiB, and a
# larger one is not shown at all. Annotations of a step: 10 of each level.
LARGEST_SUMMARY = 1 << 20
_PER_STEP = 10
FILE_VARIABLES = frozenset({"GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY"})
"""What names the files by which a step changes the environment of later ones, its outputs and the job's page."""


def in_actions(environment: Mapping[str, str]) -> bool:
    """Whether this is a job of GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


def job_url(environment: Mapping[str, str]) -> str:
    """The page of the run of GitHub's that this job is of; empty outside of one."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (environment.get(name) for name in names)
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else ""


def annotation(message: str, file: str = "", line: int = 0, title: str = "", level: str = "error") -> str:
    """An error that GitHub shows at ``file:line`` of the change; no part of it can begin another command.

    ``level`` may be another of GitHub's, such as ``notice``.
    """
    place = {"file": file, "line": str(line or ""), "title": title}
    properties = ",".join(f"{name}={_property(value)}" for name, value in place.items() if value)
    return f"::{level} {properties}::{_data(message)}" if properties else f"::{level}::{_data(message)}"


def folder(root: Path, environment: Mapping[str, str]) -> str:
    """What stands before a path below ``root`` where GitHub looks for it: ``trainer/``, and mostly nothing.

    It takes files from the top of the checkout.
    """
    top = environment.get("GITHUB_WORKSPACE")
    if not top or not root.resolve().is_relative_to(Path(top).resolve()):
        return ""
    below = root.resolve().relative_to(Path(top).resolve()).as_posix()
    return "" if below == "." else f"{below}/"


def annotated(text: str, folder: str = "") -> str:
    """Annotations of the lines of ``text``, each at its place where it begins with one (``trainci.toml:14: …``).

    The places are relative to ``folder``.
    """
    found = (re.fullmatch(r"(?:([^:]+):(\d+): )?(.*)", line) for line in text.splitlines())
    placed = [
        Annotation(line[3], f"{folder}{line[1]}" if line[1] else "", int(line[2] or 0)) for line in found if line
    ]
    return "\n".join(first_annotations(placed))


@dataclass(frozen=True)
class Annotation:
    """What ``annotation`` takes."""

    message: str
    file: str = ""
    line: int = 0
    level: str = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file else ""
        return printable(f"{place}{self.message}")


def first_annotations(found: Sequence[Annotation]) -> list[str]:
    """The lines of one step that say all of ``found``, the most important of each level first.

    GitHub shows 10 annotations of each level and drops the rest in silence. Where there are more, the tenth counts
    those that are left, and they follow in the log as plain lines.
    """
    shown, rest = [], []
    for level in dict.fromkeys(one.level for one in found):
        all_of_it = [one for one in found if one.level == level]
        kept = annotations_shown(len(all_of_it))
        shown += [annotation(one.message, one.file, one.line, level=level) for one in all_of_it[:kept]]
        if left := all_of_it[kept:]:
            shown.append(annotations_left(len(left), level))
            rest += [inert(str(one)) for one in left]
    return shown + rest


def annotations_shown(count: int) -> int:
    """How many of ``count`` annotations of one level and step GitHub shows, less one where it must be a count."""
    return count if count <= _PER_STEP else _PER_STEP - 1


def annotations_left(count: int, level: str = "error") -> str:
    """The annotation that counts those which GitHub would drop."""
    return annotation(f"{counted(count, f'more {level}')}: see the end of this step's log.", level=level)


def bounded(parts: Sequence[str], room: int) -> str:
    """As many of ``parts`` as fit into ``room`` bytes of UTF-8, from the first, and a line that counts the rest."""
    sizes = [len(part.encode("utf-8", "backslashreplace")) for part in parts]
    if sum(sizes) <= room:
        return "".join(parts)
    kept, used = 0, len(_left_out(len(parts)).encode())
    while used + sizes[kept] <= room:
        used += sizes[kept]
        kept += 1
    note = _left_out(len(parts) - kept)
    return "".join(parts[:kept]) + (note if len(note.encode()) <= room else "")


def _left_out(count: int) -> str:
    return (
        f"\n\n… {counted(count, 'more line')}: GitHub shows no more of a step than 1 MiB. The log has everything.\n"
    )


def group(title: str) -> str:
    """Opens a foldable part of the log."""
    return f"::group::{_data(printable(title))}"


END_GROUP = "::endgroup::"


def inert(line: str) -> str:
    """``line`` with nothing left that a runner takes for a command: ``::`` at its start, ``##[`` anywhere.

    The second is an older form of which no page tells, and runners still obey it (``ActionCommand.TryParse`` of
    https://github.com/actions/runner).
    """
    escaped = line.replace("##[", "#\\x23[")
    return escaped.replace("::", "\\x3a:", 1) if escaped.lstrip().startswith("::") else escaped


def stop_commands(token: str) -> str:
    """From here on nothing in the output is taken for a command, until ``resume_commands`` of the same token."""
    return f"::stop-commands::{token}"


def resume_commands(token: str) -> str:
    """Ends what ``stop_commands`` began."""
    return f"::{token}::"


def write_outputs(outputs: Mapping[str, str], environment: Mapping[str, str]) -> None:
    """Set outputs of this step; on standard output where there is no job.

    :raises UsageError: they are more than GitHub takes.
    """
    lines = "".join(f"{name}={value}\n" for name, value in outputs.items())
    if lines.count("\n") != len(outputs):
        raise ValueError("an output of several lines")
    if len(lines) > _LARGEST_OUTPUT:
        raise UsageError(
            f"{len(lines)} characters of output, and GitHub takes {_LARGEST_OUTPUT}: too many tests have changed "
            "to run each by itself. Add the label of a suite instead."
        )
    if path := environment.get("GITHUB_OUTPUT"):
        _append(path, lambda _: lines)
    else:
        sys.stdout.write(lines)


def write_summary(markdown: str, environment: Mapping[str, str]) -> None:
    """Add to this job's page, where there is a job; cut at the end of a line to what GitHub shows of a step.

    :raises MachineError: the file that GitHub named cannot be written.
    """
    if path := environment.get("GITHUB_STEP_SUMMARY"):
        _append(path, lambda size: bounded(markdown.splitlines(keepends=True), LARGEST_SUMMARY - size))


def _append(path: str, text: Callable[[int], str]) -> None:
    """Add ``text``, which is told how many bytes the file has."""
    try:
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text(os.fstat(file.fileno()).st_size))
    except OSError as error:
        raise MachineError(f"{path}, which GitHub named, cannot be written: {error.strerror}.") from None


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
