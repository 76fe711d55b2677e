"""A program that hands a command on, ``gantry run --gpus 2 -- pytest tests``: what that gets, and the command.

What stands before ``--`` is how to get a machine, which is trainci's own matter; what it says of the test is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from trainci.adopt.shell.launchers import values_of, without_launcher
from trainci.adopt.shell.script import Command

_RUNNER = re.compile(r"(?:.*/)?(?:pytest|py\.test|torchrun|python[\d.]*|bash|sh|uv|make|tox|nox|ctest)")
_GPUS = re.compile(r"--(?:num-?)?gpus(?:=(\d{1,3}))?")
_IMAGE = re.compile(r"--(?:[a-z]+-)?image(?:=(.*))?")
_ENV = re.compile(r"--env(?:=(.*))?")


@dataclass(frozen=True)
class HandedOn:
    """``command`` is what stands after ``--``, with the environment that it is given."""

    command: Command
    gpus: int | None = None
    image: str = ""


def handed_on(command: Command) -> HandedOn | None:
    """What ``PROGRAM … -- COMMAND`` hands on, where the command could be a test; None for any other command."""
    words, _ = without_launcher(command.words)
    at = next((at for at, word in enumerate(words) if word == "--"), None)
    if at is None or at < 2 or not words[at + 1 :] or not _RUNNER.fullmatch(words[at + 1]):
        return None
    before = words[:at]
    gpus = next((value for value in values_of(_GPUS, before) if value.isdigit()), "")
    image = next(values_of(_IMAGE, before), "")
    pairs = (value.partition("=") for value in values_of(_ENV, before))
    env = {name: value for name, is_set, value in pairs if is_set and re.fullmatch(r"[A-Za-z_]\w*", name)}
    raw = command.raw.partition(" -- ")[2]
    inner = replace(
        command,
        words=words[at + 1 :],
        raw=raw,
        env=tuple({**dict(command.env), **env}.items()),
        open=command.open if "$" in raw else (),
    )
    return HandedOn(inner, int(gpus) if gpus else None, image if re.fullmatch(r"[\w./:@-]+", image) else "")
