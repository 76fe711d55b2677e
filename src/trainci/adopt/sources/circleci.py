"""CircleCI: each job of a workflow that runs tests is a suite, written out as a job of GitHub's and read as that.

Format: https://circleci.com/docs/configuration-reference/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from trainci.adopt.github.jobs import read_job
from trainci.adopt.github.suites import of_job
from trainci.adopt.placed import Items, NotYaml, Table, Text, Value, load_yaml, with_texts
from trainci.adopt.proposal import Found, Note, Place, Suite
from trainci.adopt.pytest_config import test_paths
from trainci.adopt.tree import Tree
from trainci.adopt.unread_keys import shown, unread_keys

_PARAMETER = re.compile(r"<<\s*(pipeline\.)?parameters\.([\w-]+)\s*>>")
_READ = {
    *("docker", "machine", "executor", "environment", "working_directory", "resource_class", "parameters", "steps"),
    *("filters", "description", "shell"),
}
# What a workflow gives a job.
_GIVEN = {"name", "matrix", "filters", "type", "requires", "pre-steps", "post-steps"}
# Steps that are no matter of how tests run.
_STEPS_OF_NO_TEST = re.compile(
    r"checkout|(?:save|restore)_cache|store_\w+|persist_to_workspace|attach_workspace|add_ssh_keys"
)
_MOST_DEPTH = 4
_MOST_STEPS = 1_000


def read(tree: Tree) -> Found:
    """The suites of the configuration."""
    suites: list[Suite] = []
    notes: list[Note] = []
    paths = test_paths(tree)
    # A first one may go on with another of any name, which its orb is given.
    for file in tree.matching(".circleci/*.yml") + tree.matching(".circleci/*.yaml"):
        try:
            document = load_yaml(tree.read(file))
        except NotYaml as error:
            notes.append(Note(f"is no YAML: {error}", Place(file, error.line)))
            continue
        if isinstance(document, Table):
            calls = _calls(document, file, notes)
            suites += (suite for one in calls for suite in _suites(*one, document, file, tree, paths))
    return Found(tuple(suites), tuple(notes))


def _calls(document: Table, file: str, notes: list[Note]) -> Iterator[tuple[str, Table, Table]]:
    """Each job with what a workflow gives it, and the workflow."""
    jobs = document.table("jobs")
    called: set[str] = set()
    for workflow in document.table("workflows").values():
        for one in workflow.items_of("jobs") if isinstance(workflow, Table) else ():
            named = {str(one): Table({}, one.line)} if isinstance(one, Text) else one
            for name, given in named.items() if isinstance(named, dict) else ():
                if "/" in name:
                    notes.append(Note(f"the job {name} of an orb is not read", Place(file, one.line)))
                if name in jobs:
                    called.add(name)
                    yield name, given if isinstance(given, Table) else Table({}, 1), workflow  # type: ignore[misc]
    for name in jobs.keys() - called if not called else ():
        yield name, Table({}, jobs.line), Table({}, 1)


def _suites(
    name: str, given: Table, workflow: Table, document: Table, file: str, tree: Tree, testpaths: Sequence[str]
) -> Iterator[Suite]:
    job = document.table("jobs").table(name)
    axes = given.table("matrix").table("parameters")
    values = {**_defaults(document.table("parameters")), **_defaults(job.table("parameters")), **_texts(given)}
    values |= {key: Text(f"${{{{ matrix.{key} }}}}", given.line) for key in axes}
    job = _filled(job, values)
    executor = _executor(job, document, values)
    machine = Table({**executor, **job}, job.line)
    docker = [one for one in machine.items_of("docker") if isinstance(one, Table)]
    room = [_MOST_STEPS]
    parts = (given.items_of("pre-steps"), job.items_of("steps"), given.items_of("post-steps"))
    steps = [step for part in parts for step in _steps(part, document, 0, room)]
    environments = [one.table("environment") for one in (*docker[:1], executor, job)]
    checkout = machine.text("working_directory") or Text("~/project", job.line)
    made = Table(
        {
            "steps": Items([_moved(step, checkout.rstrip("/")) for step in steps], job.line),
            "env": Table({key: value for one in environments for key, value in one.items()}, job.line),
            "runs-on": machine.text("resource_class") or machine.table("machine").text("resource_class"),
            "container": docker[0].text("image") if docker else Text("", job.line),
        },
        job.line,
    )
    if axes:
        made["strategy"] = Table({"matrix": axes}, given.line)
    called = str(given.text("name") or name)
    suites, reader = read_job(called, made, Table({}, 1), file, tree, testpaths)
    scheduled = [
        trigger.table("schedule").text("cron")
        for trigger in workflow.items_of("triggers")
        if isinstance(trigger, Table)
    ]
    branches = job.table("filters").table("branches") or given.table("filters").table("branches")
    place = Place(file, job.line)
    notes = [Note(f"not carried over: the service {one.text('image')}", place) for one in docker[1:]]
    notes += unread_keys(job, _READ, file)
    notes += unread_keys(given, _GIVEN | job.table("parameters").keys(), file)
    notes += unread_keys(branches, {"only"}, file)
    notes += unread_keys(workflow, {"jobs", "triggers"}, file)
    for suite in of_job(suites, reader, called, place):
        only = tuple(str(one) for one in branches.texts("only") if not one.startswith("/"))
        yield replace(
            suite,
            always=bool(suite.tests) and not any(scheduled) and not given.texts("type"),
            schedule=str(next(filter(None, scheduled), "")),
            branches=only,
            notes=(*suite.notes, *notes) if suite.tests else suite.notes,
        )


def _executor(job: Table, document: Table, values: dict[str, Text]) -> Table:
    written = job.get("executor")
    name = written.text("name") if isinstance(written, Table) else written
    found = document.table("executors").table(str(name)) if name else Table({}, job.line)
    own = {**_defaults(found.table("parameters")), **(_texts(written) if isinstance(written, Table) else {})}
    return _filled(found, {**values, **own})


def _steps(steps: Items, document: Table, depth: int, room: list[int]) -> Iterator[Table]:
    """The steps as GitHub's; the configuration's own commands are written out. ``room``: how many more are read."""
    for step in steps:
        room[0] -= 1
        if room[0] < 0:
            return
        named = {str(step): Text("", step.line)} if isinstance(step, Text) else step
        for name, value in named.items() if isinstance(named, dict) else ():
            table = value if isinstance(value, Table) else Table({}, getattr(value, "line", 1))
            command = document.table("commands").table(name)
            if name == "run":
                yield _run(value)
            elif name in ("when", "unless"):
                if depth < _MOST_DEPTH:
                    condition = Text(f"{name} {shown(table.get('condition') or table)}", table.line)
                    for inner in _steps(table.items_of("steps"), document, depth + 1, room):
                        yield Table({**inner, "if": condition}, inner.line)
            elif command and depth < _MOST_DEPTH:
                inside = _filled(command, {**_defaults(command.table("parameters")), **_texts(table)})
                yield from _steps(inside.items_of("steps"), document, depth + 1, room)
            elif not _STEPS_OF_NO_TEST.fullmatch(name):
                yield Table({"uses": Text(name, table.line), "with": table}, table.line)


def _moved(step: Table, checkout: str) -> Table:
    """The step with its folder below the repository, which is checked out there."""
    folder = step.text("working-directory")
    if folder.rstrip("/") != checkout and not folder.startswith(f"{checkout}/"):
        return step
    return Table({**step, "working-directory": Text(folder[len(checkout) + 1 :] or ".", folder.line)}, step.line)


def _run(value: Value) -> Table:
    if isinstance(value, Text):
        return Table({"run": value}, value.line)
    table = value if isinstance(value, Table) else Table({}, 1)
    made = Table({"run": table.text("command"), "name": table.text("name")}, table.line)
    made["env"], made["working-directory"] = table.table("environment"), table.text("working_directory")
    return made


def _filled(table: Table, values: dict[str, Text]) -> Table:
    def filled(value: Text) -> Text:
        text = _PARAMETER.sub(lambda match: values.get(match.group(2), Text(match.group(), 1)), value)
        return Text(text, value.line, quoted=value.quoted)

    return with_texts(table, filled)


def _defaults(parameters: Table) -> dict[str, Text]:
    declared = parameters.items()
    return {name: one.text("default") for name, one in declared if isinstance(one, Table) and "default" in one}


def _texts(table: Table) -> dict[str, Text]:
    return {name: value for name, value in table.items() if isinstance(value, Text)}
