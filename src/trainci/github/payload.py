"""The payload of an event, as GitHub writes it into the file that ``$GITHUB_EVENT_PATH`` names.

Format: https://docs.github.com/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainci.errors import UsageError
from trainci.host.files import read_bounded
from trainci.model.project import Trigger
from trainci.text import printable

# GitHub sends no event of more than 25 MB.
_LARGEST = 1 << 25
_COMMIT = re.compile("[0-9a-f]{40,64}")


def read_trigger(path: Path, name: str = "") -> Trigger:
    """The event of a payload. ``name`` is GitHub's name of it, told from the payload when empty.

    :raises UsageError: the file is no payload of an event that trainci knows.
    """
    payload, shown = _read(path), printable(str(path))
    name = name or _event_name(payload)
    if not name:
        raise UsageError(f"{shown}: the payload does not say which event it is of. Name it with --event-name.")
    pull_request = payload.get("pull_request")
    if name == "pull_request" and not isinstance(pull_request, dict):
        raise UsageError(f"{shown}: a pull_request event without its `pull_request`.")
    return trigger(payload, name)


def trigger(payload: Mapping[str, Any], name: str) -> Trigger:
    """The event called ``name`` of a payload that has its parts."""
    labels = _at(payload, "pull_request", "labels")
    head = _at(payload, "pull_request", "head", "repo", "full_name")
    return Trigger(
        name=name,
        action=_text(payload, "action"),
        label=_text(payload, "label", "name"),
        labels=tuple(_text(label, "name") for label in labels) if isinstance(labels, list) else (),
        # A head whose repository is gone is somebody else's, too.
        fork=name == "pull_request" and head != _at(payload, "repository", "full_name"),
        ref=_text(payload, "ref"),
        branch=_branch(payload),
        draft=_at(payload, "pull_request", "draft") is True,
        cron=_text(payload, "schedule"),
        choice=_text(payload, "inputs", "suite"),
    )


def _branch(payload: Mapping[str, Any]) -> str:
    if base := _text(payload, "pull_request", "base", "ref"):
        return f"refs/heads/{base}"
    return _text(payload, "merge_group", "base_ref") or _text(payload, "ref")


def pull_request(environment: Mapping[str, str]) -> str:
    """``org/repo#123`` in a job of a pull request's, ``org/repo`` in another job, empty outside of one."""
    repository, ref = environment.get("GITHUB_REPOSITORY", ""), environment.get("GITHUB_REF", "")
    number = re.fullmatch(r"refs/pull/(\d+)/\w+", ref)
    return printable(f"{repository}#{number[1]}" if repository and number else repository)


def compared_with(path: Path) -> str:
    """What the changes of the event in ``path`` are to be compared with; empty where it changes nothing.

    :raises UsageError: the payload cannot be read.
    """
    payload = _read(path)
    if branch := _text(payload, "pull_request", "base", "ref"):
        return f"origin/{branch}"
    return _commit_before(payload)


def _commit_before(payload: Mapping[str, Any]) -> str:
    commit = _text(payload, "before") or _text(payload, "merge_group", "base_sha")
    # A branch that is new was nothing before its first push: a commit of zeros.
    return commit if _COMMIT.fullmatch(commit) and commit.strip("0") else ""


def base(environment: Mapping[str, str]) -> str:
    """What the changes of a job's event are to be compared with, as git names it in a clone with the whole history.

    A pull request's own base branch, what the branch held before a push, what a merge queue adds to; empty outside
    a job, and where the event changes nothing.

    :raises UsageError: the job's payload cannot be read.
    """
    if branch := environment.get("GITHUB_BASE_REF"):
        return f"origin/{branch}"
    path, name = environment.get("GITHUB_EVENT_PATH"), environment.get("GITHUB_EVENT_NAME")
    if not path or name not in ("push", "merge_group"):
        return ""
    return _commit_before(_read(Path(path)))


def _read(path: Path) -> dict[str, Any]:
    shown = printable(str(path))
    try:
        payload = json.loads(read_bounded(path, _LARGEST))
    except OSError as error:
        raise UsageError(f"{shown}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown}: not JSON: {printable(str(error))}.") from None
    if not isinstance(payload, dict):
        raise UsageError(f"{shown}: not the payload of an event, which is a JSON object.")
    return payload


def _event_name(payload: Mapping[str, Any]) -> str:
    for name, key in (
        ("pull_request", "pull_request"),
        ("merge_group", "merge_group"),
        ("schedule", "schedule"),
        ("workflow_dispatch", "inputs"),
        ("push", "ref"),
    ):
        if key in payload:
            return name
    return ""


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(value: Any, *keys: str) -> str:
    found = _at(value, *keys)
    return found if isinstance(found, str) else ""
