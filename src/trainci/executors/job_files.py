"""What an engine and we know a job by: its files, its token, and the program that starts it on a node."""

from __future__ import annotations

import re
from pathlib import Path

from trainci.executors.base import Job
from trainci.executors.isolated import isolated_main
from trainci.executors.node import OUTPUT
from trainci.model.run import Phase

SUFFIX = ".job"
_BEGUN = "begun"
_OURS = "trainci:"


def token(job: Job) -> str:
    """The name of a job among all that an engine has; no line of a script can be made of it."""
    return token_of_run(job) + _plain(directory(job).stem)


def token_of_run(job: Job) -> str:
    """What the tokens of all jobs of its run begin with."""
    return f"{_OURS}{_plain(job.log.parent.name)}:"


def is_token(comment: str) -> bool:
    """Whether that is a token of ours, of any job."""
    return comment.startswith(_OURS)


def _plain(name: str) -> str:
    return re.sub("[^A-Za-z0-9._-]", "-", name)


def directory(job: Job) -> Path:
    """Where the files of a job are."""
    return job.log.with_suffix(f".prepare{SUFFIX}" if job.phase is Phase.PREPARE else SUFFIX)


def output(job: Job) -> Path:
    """What the engine is to append all to that a job prints."""
    return directory(job) / OUTPUT


def begun(job: Job) -> Path:
    """What the engine is to make as it begins the job, before any program of ours."""
    return directory(job) / _BEGUN


def entrypoint(job: Job) -> list[str]:
    """What the engine is to start on a node."""
    return [*isolated_main("trainci.executors.node"), str(directory(job))]
