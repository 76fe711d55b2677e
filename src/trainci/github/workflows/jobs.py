"""Pure: what a template of a workflow receives: the project, with each suite as the job that it becomes.

Whoever opens a pull request writes trainci.toml. So each text in it is taken for hostile: none may hold an
expression of GitHub's, and the template's filter ``yaml`` writes each as one YAML scalar.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trainci.errors import UsageError
from trainci.github import conditions
from trainci.github.triggers import PUSHED, READY
from trainci.github.workflows import matrix
from trainci.model.project import Project, Suite, Workflow, is_hosted, job_ids
from trainci.model.selection import Selection
from trainci.model.tests import Settings, settle
from trainci.text import printable

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
PROXIES = (*_PROXIES, *map(str.upper, _PROXIES))


@dataclass(frozen=True)
class Job:
    """A suite as a job. It runs when one of the expressions ``starts`` is true; runs of one ``group`` cancel each
    other; ``secrets`` maps names to values, ``state_dir`` is where its state is kept, empty for in its checkout.

    ``matrix`` is empty for the suite of changed tests, whose job ``detect`` finds them out. The job ``result`` sums
    the suite up: it is green when the expression ``passed`` is true. ``throwaway``: no later job sees what this one
    leaves on its machine or in its container. ``mounts`` are those of ``volumes`` that are the same for everybody;
    the others are in ``container_options``, read-only for forks, before ``options``. ``needs`` are the jobs before
    it that belong to no suite. ``python_version`` and the shell lines of ``install`` are those of all its tests;
    where it ``varies``, each entry of its matrix has its own.
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
    state_dir: str
    matrix: tuple[Mapping[str, Any], ...]
    detect: str
    result: str
    passed: str
    throwaway: bool
    mounts: tuple[str, ...]
    container_options: str
    needs: tuple[str, ...]
    varies: bool
    python_version: str
    install: str


@dataclass(frozen=True)
class Context:
    """Everything that a template may name. ``choices`` are the suites to choose from by hand, ``crons`` when,
    ``branches`` the patterns of the branches whose pushes count, and ``actions`` what of a pull request does.
    ``planned``: some suite needs what `trainci plan` says of the event."""

    project: Project
    workflow: Workflow
    jobs: tuple[Job, ...]
    choices: tuple[str, ...]
    crons: tuple[str, ...]
    branches: tuple[str, ...]
    actions: tuple[str, ...]
    planned: bool


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
        branches=_branches(project),
        actions=_actions(project),
        planned=any(map(conditions.needs_plan, project.suites)),
    )


def varies(project: Project, suite: Suite, selection: Selection) -> bool:
    """Whether the tests of ``suite`` need different things to be installed.

    A suite of changed tests may get any test that there is.
    """
    tests: list[Settings] = [item.test for item in selection.tests]
    if suite.changed:
        entries = [settle([entry, one, project]) for one in project.suites for entry in one.entries]
        tests = [settle([suite, project]), *entries]
    return len({matrix.installing([test]) for test in tests}) > 1


def _actions(project: Project) -> tuple[str, ...]:
    return ("labeled", *PUSHED, *(() if all(suite.drafts for suite in project.suites) else (READY,)))


def _branches(project: Project) -> tuple[str, ...]:
    always = [suite for suite in project.suites if suite.always and suite.branches]
    names = dict.fromkeys([project.base, *(branch for suite in always for branch in suite.branches)])
    return tuple(map(conditions.branch_filter, names))


def _secrets(project: Project, suite: Suite, selection: Selection) -> list[str]:
    """The names of the secrets of a suite's job: its own, and those of its tests.

    A suite of changed tests gets no other suite's, which were given to the tests of that one.
    """
    known = [settle([suite, project]), *(item.test for item in selection.tests)]
    return list(dict.fromkeys(name for settings in known for name in settings.secrets))


def _job(project: Project, suite: Suite, selection: Selection) -> Job:
    name, result, *detects = job_ids(suite.name, suite.changed, suite.job)
    detect, workflow = "".join(detects), project.workflow
    differs = varies(project, suite, selection)
    all_of_it = settle([suite, project])
    python_version, install = matrix.installing([item.test for item in selection.tests] or [all_of_it])
    if differs:
        install = 'bash -eo pipefail -c "$INSTALL"'
    # Lines of the shell, as GitHub takes no two variables that differ in their case only.
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in all_of_it.env)
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
        group=conditions.group(suite, READY in _actions(project)),
        runs_on=suite.runs_on,
        hosted=hosted,
        image=image,
        volumes=() if hosted else (leases, *workflow.mounts),
        options=options,
        devices=suite.devices,
        secrets={name: conditions.secret(name) for name in _secrets(project, suite, selection)},
        state_dir="" if hosted or project.state_dir else conditions.state_dir(),
        matrix=tuple(matrix.entries(selection, workflow.queue, suite, varies=differs)),
        detect=detect,
        result=result,
        passed=conditions.passed(name, detect),
        throwaway=hosted or bool(image),
        mounts=() if hosted else (leases, *(mount for mount in workflow.mounts if mount.endswith(":ro"))),
        container_options=options if hosted else f"{conditions.caches(writable)} {options}".strip(),
        needs=("commit", *((conditions.PLAN,) if conditions.needs_plan(suite) else ())),
        varies=differs,
        python_version=python_version,
        install=f"{exports}{install}" if install else "",
    )


def _expressions(project: Project) -> Iterable[str]:
    """A fault for each text that GitHub would evaluate, or that no label or name of theirs can be."""
    workflow = project.workflow
    texts = {
        "project → base": [project.base],
        "project → image": [project.image],
        "project": list(_shell(project)),
        "workflow": [workflow.trainci, workflow.lock_dir, *workflow.mounts, workflow.container_options],
    }
    for key, values in texts.items():
        for value in values:
            if "${{" in value:
                yield f"{project.config_file}: {key}: {_evaluated(value)}"
    for suite in project.suites:
        for value in _shell(suite):
            if "${{" in value:
                yield f"{suite.where}: suites.{suite.name}: {_evaluated(value)}"
        named = (suite.label, suite.description, suite.image, suite.devices, suite.schedule)
        for value in (*named, *suite.runs_on, *suite.branches):
            if "${{" in value:
                yield f"{suite.where}: suites.{suite.name}: {_evaluated(value)}"
            elif not value.isprintable():
                shown = printable(value)
                yield f"{suite.where}: suites.{suite.name}: {shown} holds a character that cannot be printed."
        for entry in suite.entries:
            for value in (entry.id, *_shell(entry)):
                if "${{" in value:
                    yield f"{entry.where}: {_evaluated(value)}"


def _shell(settings: Settings) -> Iterable[str]:
    """What of ``settings`` stands in a job, except names that hold no such thing."""
    return (*settings.setup, settings.install, settings.python_version, *(value for _, value in settings.env))


def _evaluated(value: str) -> str:
    return f"{printable(value)} holds ${{{{, which GitHub would evaluate as an expression. Write it without."
