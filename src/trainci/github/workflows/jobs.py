"""Pure: what a template of a workflow receives: the project, with each suite as the job that it becomes.

Whoever opens a pull request writes trainci.toml. So each text in it is taken for hostile: none may hold an
expression of GitHub's, and the template's filter ``yaml`` writes each as one YAML scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trainci.errors import UsageError
from trainci.github import conditions
from trainci.github.triggers import is_hosted
from trainci.github.workflows import matrix
from trainci.model import Project, Selection, Suite, Workflow, job_ids
from trainci.text import printable

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
PROXIES = (*_PROXIES, *map(str.upper, _PROXIES))


@dataclass(frozen=True)
class Job:
    """A suite as a job. It runs when one of the expressions ``starts`` is true; runs of one ``group`` cancel each
    other; ``secrets`` maps names to values.

    ``matrix`` is empty for the suite of changed tests, whose job ``detect`` finds them out. The job ``result`` sums
    the suite up: it is green when the expression ``passed`` is true. ``throwaway``: no later job sees what this one
    leaves on its machine or in its container. ``mounts`` are those of ``volumes`` that are the same for everybody;
    the others are in ``container_options``, read-only for forks, before ``options``.
    """

    name: str
    suite: Suite
    starts: tuple[str, ...]
    group: str
    runs_on: tuple[str, ...]
    hosted: bool
    image: str
    volumes: tuple[str, ...]
    options: str
    devices: str
    secrets: Mapping[str, str]
    matrix: tuple[Mapping[str, Any], ...]
    detect: str
    result: str
    passed: str
    throwaway: bool
    mounts: tuple[str, ...]
    container_options: str


@dataclass(frozen=True)
class Context:
    """Everything that a template may name. ``choices`` are the suites to choose from by hand, ``crons`` when, and
    ``branches`` the patterns of the branches whose pushes count."""

    project: Project
    workflow: Workflow
    jobs: tuple[Job, ...]
    choices: tuple[str, ...]
    crons: tuple[str, ...]
    branches: tuple[str, ...]


def context(project: Project, resolve: Callable[[Suite], Selection]) -> Context:
    """The context of ``project``. ``resolve`` gives the tests of a suite.

    :raises UsageError: a suite is empty or holds a test that cannot be run, or a text holds an expression.
    """
    if not project.suites:
        raise UsageError(f"{project.config_file}: no suites, so there is no job to generate. Add a [suites.NAME].")
    faults = list(_expressions(project))
    selections = {suite.name: Selection() if suite.changed else resolve(suite) for suite in project.suites}
    for suite in project.suites:
        found = selections[suite.name]
        faults += [refused.sentence for refused in found.refused if not refused.has_job]
        if not (found.tests or found.refused or suite.changed):
            faults.append(f"{suite.where}: suite {suite.name} has no tests, so its job would be empty. Add one.")
    if faults:
        raise UsageError("\n".join(dict.fromkeys(faults)))
    return Context(
        project=project,
        workflow=project.workflow,
        jobs=tuple(_job(project, suite, selections[suite.name]) for suite in project.suites),
        choices=tuple(suite.name for suite in project.suites),
        crons=tuple(dict.fromkeys(suite.schedule for suite in project.suites if suite.schedule)),
        branches=(conditions.branch_filter(project.base),),
    )


def _job(project: Project, suite: Suite, selection: Selection) -> Job:
    name, result, *detects = job_ids(suite.name, suite.changed)
    detect, workflow = "".join(detects), project.workflow
    hosted = is_hosted(suite.runs_on)
    # The project's image is on the GPU hosts already; a machine of GitHub's would fetch it for every job.
    image = suite.image or ("" if hosted else project.image)
    leases = f"{workflow.lock_dir}:{workflow.lock_dir}"
    passed = " ".join(f"-e {proxy}" for proxy in PROXIES)
    options = passed if hosted else f"{workflow.container_options} {passed}".strip()
    writable = [mount for mount in workflow.mounts if not mount.endswith(":ro")]
    return Job(
        name=name,
        suite=suite,
        starts=conditions.starts(suite, project.base),
        group=conditions.group(suite),
        runs_on=suite.runs_on,
        hosted=hosted,
        image=image,
        volumes=() if hosted else (leases, *workflow.mounts),
        options=options,
        devices=suite.devices,
        secrets={secret: conditions.secret(secret) for secret in suite.secrets},
        matrix=tuple(matrix.entries(selection, workflow.queue)),
        detect=detect,
        result=result,
        passed=conditions.passed(name, detect),
        throwaway=hosted or bool(image),
        mounts=() if hosted else (leases, *(mount for mount in workflow.mounts if mount.endswith(":ro"))),
        container_options=options if hosted else f"{conditions.caches(writable)} {options}".strip(),
    )


def _expressions(project: Project) -> Iterable[str]:
    """A fault for each text that GitHub would evaluate, or that no label or name of theirs can be."""
    workflow = project.workflow
    texts = {
        "project → base": [project.base],
        "project → image": [project.image],
        "project → install": [project.install],
        "workflow": [workflow.trainci, workflow.lock_dir, *workflow.mounts, workflow.container_options],
    }
    for key, values in texts.items():
        for value in values:
            if "${{" in value:
                yield f"{project.config_file}: {key}: {_evaluated(value)}"
    for suite in project.suites:
        for value in (suite.label, suite.description, suite.image, suite.devices, suite.schedule, *suite.runs_on):
            if "${{" in value:
                yield f"{suite.where}: suites.{suite.name}: {_evaluated(value)}"
            elif not value.isprintable():
                shown = printable(value)
                yield f"{suite.where}: suites.{suite.name}: {shown} holds a character that cannot be printed."
        for entry in suite.entries:
            if "${{" in entry.id:
                yield f"{entry.where}: {_evaluated(entry.id)}"


def _evaluated(value: str) -> str:
    return f"{printable(value)} holds ${{{{, which GitHub would evaluate as an expression. Write it without."
