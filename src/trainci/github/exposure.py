"""Pure: where the workflow lets a fork's code onto a machine that later jobs use, too."""

from __future__ import annotations

from collections.abc import Sequence

from trainci.findings import Finding, place_of
from trainci.model.project import Project, is_hosted


def notes(project: Project) -> list[Finding]:
    """A note at each ``runs_on`` of your own machines whose jobs have no container around them.

    A label lets a fork's code run there, and nothing takes away what it leaves.
    """
    suites: dict[str, list[str]] = {}
    for suite in project.suites:
        if suite.runs_on_where and not (is_hosted(suite.runs_on) or suite.image or project.image):
            suites.setdefault(suite.runs_on_where, []).append(suite.name)
    return [_note(where, names) for where, names in suites.items()]


def _note(where: str, names: Sequence[str]) -> Finding:
    return Finding(
        *place_of(where),
        f"the jobs of {', '.join(names)} have no image: what a fork's code leaves on the machine is there for "
        "later jobs. Set `image`, or use runners that are thrown away (docs/security.md).",
        "no-image",
    )
