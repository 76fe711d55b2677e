"""What is masked in the output: the values of the secrets that tests name, or that stand in their words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from trainci.model.given_secrets import given_secrets, secrets_inside
from trainci.model.project import Project
from trainci.model.selection import Selection
from trainci.model.tests import Settings
from trainci.output.redaction import MASK, Redactor
from trainci.repository import Repository

_SHORTEST_SECRET = 4


def secret_values(repository: Repository) -> list[str]:
    """The values of what is named as a secret anywhere, as far as this job has them, and of what looks like one."""
    names = _secret_names(repository.project)
    known = {value for name in names if len(value := os.environ.get(name, "")) >= _SHORTEST_SECRET}
    inside = {part for value in known for part in secrets_inside(value)}
    return sorted(known | inside | given_secrets(_all_settings(repository.project)))


def _secret_names(project: Project) -> list[str]:
    return sorted({name for settings in _all_settings(project) for name in settings.secrets})


def _all_settings(project: Project) -> list[Settings]:
    entries = [part for entry in project.registered_entries for part in (entry, *entry.steps)]
    return [project, *project.suites, *entries]


def short_secrets(repository: Repository) -> list[str]:
    """What is to be said of secrets that would mask half of the output."""
    short = [
        name for name in _secret_names(repository.project) if 0 < len(os.environ.get(name, "")) < _SHORTEST_SECRET
    ]
    return [f"not masked, shorter than {_SHORTEST_SECRET} characters: {', '.join(short)}"] if short else []


def real_ids(repository: Repository, shown: Sequence[str], secrets: Sequence[str]) -> tuple[str, ...]:
    """Ids as they were shown, turned into those that they stand for; the lines of a report can be run again."""
    if not any(MASK.decode() in text for text in shown):
        return tuple(shown)
    mask = Redactor(secrets).mask
    known = {mask(test_id): test_id for test_id in reversed(repository.everything())}
    return tuple(known.get(text, text) for text in shown)


def without_secrets(selection: Selection, secrets: Sequence[str]) -> Selection:
    """``selection`` with no secret in an id, a step's name or a sentence; the commands keep theirs.

    A value that stands in the arguments of a test would otherwise be shown wherever the test is named.
    """
    mask = Redactor(secrets).mask
    seen: dict[str, int] = {}

    def masked(test_id: str) -> str:
        shown = mask(test_id)
        if shown == test_id:
            return test_id
        seen[shown] = seen.get(shown, 0) + 1
        return shown if seen[shown] == 1 else f"{shown}#{seen[shown]}"

    tests = []
    for item in selection.tests:
        steps = tuple(replace(step, name=mask(step.name)) for step in item.test.steps)
        test = replace(item.test, id=masked(item.test.id), steps=steps)
        tests.append(replace(item, test=test, reason=mask(item.reason)))
    refused = (replace(one, test_id=mask(one.test_id), sentence=mask(one.sentence)) for one in selection.refused)
    return replace(selection, tests=tuple(tests), refused=tuple(refused), note=mask(selection.note))
