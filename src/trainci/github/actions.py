"""What GitHub Actions tells a job, and what it understands on a job's standard output and in its files.

Format: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from trainci.errors import MachineError, UsageError
from trainci.text import printable

# https://docs.github.com/actions/reference/limits: the outputs of a job, 1 MB (counted as UTF-16).
_LARGEST_OUTPUT = 500_000


def in_actions(environment: Mapping[str, str]) -> bool:
    """Whether this is a job of GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


def annotation(message: str, file: str = "", line: int = 0, title: str = "", level: str = "error") -> str:
    """An error that GitHub shows at ``file:line`` of the change; no part of it can begin another command.

    ``level`` may be another of GitHub's, such as ``notice``.
    """
    place = {"file": file, "line": str(line or ""), "title": title}
    properties = ",".join(f"{name}={_property(value)}" for name, value in place.items() if value)
    return f"::{level} {properties}::{_data(message)}" if properties else f"::{level}::{_data(message)}"


def annotated(text: str) -> str:
    """An annotation for each line of ``text``, at its place where it begins with one (``trainci.toml:14: …``)."""
    found = (re.fullmatch(r"(?:([^:]+):(\d+): )?(.*)", line) for line in text.splitlines())
    return "\n".join(annotation(line[3], line[1] or "", int(line[2] or 0)) for line in found if line)


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
    _append(environment.get("GITHUB_OUTPUT", ""), lines)


def write_summary(markdown: str, environment: Mapping[str, str]) -> None:
    """Add to this job's page, where there is a job."""
    if path := environment.get("GITHUB_STEP_SUMMARY"):
        _append(path, markdown)


def _append(path: str, text: str) -> None:
    if not path:
        sys.stdout.write(text)
        return
    try:
        with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        raise MachineError(f"{path}, which GitHub named, cannot be written: {error.strerror}.") from None


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
