"""What is masked in the output: the values of the secrets that tests name."""

from __future__ import annotations

import os

from trainci.model.project import Project
from trainci.repository import Repository

_SHORTEST_SECRET = 4


def secret_values(repository: Repository) -> list[str]:
    """The values of what is named as a secret anywhere, as far as this job has them."""
    names = _secret_names(repository.project)
    return [value for name in names if len(value := os.environ.get(name, "")) >= _SHORTEST_SECRET]


def _secret_names(project: Project) -> list[str]:
    entries = [part for entry in project.registered_entries for part in (entry, *entry.steps)]
    return sorted({name for settings in (project, *project.suites, *entries) for name in settings.secrets})


def short_secrets(repository: Repository) -> list[str]:
    """What is to be said of secrets that would mask half of the output."""
    short = [
        name for name in _secret_names(repository.project) if 0 < len(os.environ.get(name, "")) < _SHORTEST_SECRET
    ]
    return [f"not masked, shorter than {_SHORTEST_SECRET} characters: {', '.join(short)}"] if short else []
