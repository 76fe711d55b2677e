"""One job of a GitHub workflow as a suite: its tests in each combination of its matrix, and what is around them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from trainci.adopt.commands.entries import one_line
from trainci.adopt.github.expressions import Context, substitute
from trainci.adopt.github.kept import Kept
from trainci.adopt.github.matrix import combinations
from trainci.adopt.github.outputs import outputs_of, patterns_of
from trainci.adopt.github.runners import gpus_of, runners
from trainci.adopt.github.step_fields import minutes
from trainci.adopt.github.steps import StepReader
from trainci.adopt.placed import Table, Text
from trainci.adopt.proposal import Entry, Note, Place, Suite
from trainci.adopt.rows import row_entry, row_gpus
from trainci.adopt.sequences import sequences
from trainci.adopt.shell.lines import exported
from trainci.adopt.tree import Tree
from trainci.adopt.unread_keys import unread_keys
from trainci.text import counted

_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
_READ = {
    *("name", "if", "needs", "runs-on", "container", "env", "defaults", "steps", "strategy", "timeout-minutes"),
    *("continue-on-error", "uses", "with", "secrets"),
}
# What is no matter of how its tests run, nor of whether they do.
_OF_NO_TEST = {"permissions", "outputs", "concurrency"}
_REPOSITORY_INSTALL = re.compile(
    r"\binstall\b.*(?:\s-e\s|\s['\"]?\.(?:\[|['\"\s)]|$))|\b(?:uv|poetry|pdm)\s+(?:sync|install)\b"
)


def split_installation(lines: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The lines before the repository is installed as ``setup``; that line and those after it as ``install``."""
    for position, line in enumerate(lines):
        if _REPOSITORY_INSTALL.search(line):
            return tuple(lines[:position]), " && ".join(lines[position:])
    return tuple(lines), ""


def read_job(
    name: str, job: Table, workflow: Table, file: str, tree: Tree, testpaths: Sequence[str]
) -> tuple[list[Suite], StepReader]:
    """The job as a suite for each kind of machine that runs its tests. ``workflow`` is the one that holds it."""
    suites, shared = _all_suites(name, job, workflow, file, tree, testpaths)
    is_of_others = bool(shared.registered) or shared.detects_changes
    return [suite for suite in suites if suite.tests or is_of_others], shared


def around(job: Table, workflow: Table, file: str, tree: Tree) -> Suite:
    """What is around the tests of a job that runs what another job found: a suite without tests."""
    (first, *_), shared = _all_suites("", job, workflow, file, tree, ())
    # What names a value of that matrix is how the job starts its tests.
    notes = tuple(note for note in shared.notes if "${{ matrix." not in note.text)
    return replace(first, tests=(), notes=notes)


def _all_suites(
    name: str, job: Table, workflow: Table, file: str, tree: Tree, testpaths: Sequence[str]
) -> tuple[list[Suite], StepReader]:
    jobs = workflow.table("jobs")
    before = Context({"needs": outputs_of(job, jobs, tree)})
    rows = combinations(job.table("strategy").get("matrix"), before)
    is_open = not all(row.whole for row in rows)
    shared = StepReader(file, tree, testpaths, patterns_of(job, jobs, tree) if is_open else [])
    machines: dict[tuple[tuple[str, ...], str], list[_Combination]] = defaultdict(list)
    for row in rows:
        one = _combination(job, row, workflow, shared)
        machines[one.runs_on, one.image].append(one)
    if any(one.entries for found in machines.values() for one in found):
        shared.note_forgiven(job)
        shared.notes |= dict.fromkeys(unread_keys(job, _READ | _OF_NO_TEST, file))
    if not any(row_with_file(row) for row in rows) and not shared.detects_changes:
        shared.unread |= dict.fromkeys(shared.unheard())
    if len(rows) > 1:
        shared.unread = dict.fromkeys(_once_a_line(shared.unread))
    suites: list[Suite] = []
    alike = [group for found in machines.values() for group in _prepared_alike(found, shared, job)]
    for found in alike:
        runs_on = found[0].runs_on
        if runs_on and runs_on[0].lower().startswith(("macos-", "windows-")):
            if any(one.entries for one in found):
                text = f"runs on {runs_on[0]}, where trainci does not"
                shared.unread.setdefault(Note(text, Place(file, job.line), left=False))
            continue
        suite = _suite(name, job, file, shared, found)
        if len(alike) > 1:
            suite = replace(suite, name=_named_by(name, found[0].row), job="" if suites else name)
        suites.append(suite)
    return suites, shared


def _once_a_line(notes: Iterable[Note]) -> Iterator[Note]:
    """The notes, with one for what the combinations of a matrix say of the same line in other values."""
    alike: dict[tuple[Place, str], list[Note]] = defaultdict(list)
    for note in notes:
        alike[note.place, note.text.partition(": ")[0]].append(note)
    for first, *others in alike.values():
        more = f" (and {counted(len(others), 'more row')} of its matrix)" if others else ""
        yield replace(first, text=f"{first.text}{more}")


def _combination(job: Table, row: Table, workflow: Table, shared: StepReader) -> _Combination:
    inside = Context({"matrix": row})
    runs_on, open_ = runners(job, inside)
    inside.values["runner"] = Table({"os": Text(_system(runs_on), 0)}, whole=False)
    reader = replace(
        shared, entries=[], registering=[], row=row_with_file(row), kept=Kept(), preparations={}, after={}
    )
    reader.python_versions = {}
    env: dict[str, str] = {}
    for table in (job.table("container").table("env"), workflow.table("env"), job.table("env")):
        env |= reader.environment(table, inside)
        inside.values["env"] = Table({key: Text(value, 0) for key, value in env.items()}, whole=False)
    where, _ = substitute(job.table("defaults").table("run").text("working-directory"), inside)
    reader.steps(job.items_of("steps"), env, "" if where == "." else where or _folder(workflow), inside)
    if reader.row is not None and not reader.entries:
        reader.entries += row_entry(reader.row, Place(shared.file, reader.row.line), shared.tree, reader.note)
    for label in open_:
        shared.note(f"runs-on {label}: known in a run only", job.text("runs-on").line or job.line)
    image, open_image = substitute(container_image(job), inside)
    if open_image:
        shared.note(f"container image {image}: known in a run only", job.line)
    shared.mounts, shared.options = shared.mounts or reader.mounts, shared.options or reader.options
    shared.detects_changes = shared.detects_changes or reader.detects_changes
    visible, env = _visible(env)
    gpus = visible if visible is not None else row_gpus(row)
    reader.entries[:] = [_on_devices(entry, gpus) for entry in reader.entries]
    env |= _shared_env(reader)
    for line, place in reader.after.items():
        text = f"left out, after the last test: {one_line(_without(line, env))}"
        shared.notes.setdefault(Note(text, place, left=False))
    shown = reader.image if open_image or not image else str(image)
    if "${{" in shown:
        shared.note(f"container image {shown}: known in a run only", job.line)
        shown = ""
    shared.preparations |= reader.preparations
    return _Combination(
        row, env, reader.entries, runs_on, shown, tuple(reader.preparations), tuple(reader.python_versions)
    )


def _prepared_alike(found: list[_Combination], shared: StepReader, job: Table) -> list[list[_Combination]]:
    """The combinations of one machine, parted by what prepares their tests: a suite has one set-up.

    Tests that ran before under another set-up are left out, which a note says; what prepares none does not count.
    """
    groups: dict[tuple[str, ...], list[_Combination]] = {}
    for one in (one for one in found if one.entries):
        groups.setdefault(one.preparations, []).append(one)
    if not groups:
        return [found]
    first, *others = groups.values()
    first += [one for one in found if not one.entries]
    known = [(entry, one.env) for one in first for entry in one.entries]
    made = [first]
    again: list[str] = []
    for group in others:
        new = [one for one in group if any((entry, one.env) not in known for entry in one.entries)]
        if len(new) < len(group):
            line = next((line for line in group[0].preparations if line not in first[0].preparations), "")
            again.append(f"with `{one_line(line)}`" if line else "without a part of this set-up")
        if new:
            made.append(new)
            known += [(entry, one.env) for one in new for entry in one.entries]
    if again:
        more = f", and in {counted(len(again) - 1, 'other way')}" if again[1:] else ""
        shared.note(f"the same tests, prepared {again[0]}{more}: a suite has one set-up, here the first", job.line)
    return made


def _shared_env(reader: StepReader) -> dict[str, str]:
    """What the steps give every test of a job; its tests do not have it of their own, then."""
    given = [dict(entry.env) for entry in reader.entries] + reader.registering
    if len(given) < 2:
        return given[0] if reader.registering else {}
    made = {name: value for name, value in given[0].items() if all(env.get(name) == value for env in given)}
    reader.entries[:] = [
        replace(entry, env=tuple(pair for pair in entry.env if pair[0] not in made)) for entry in reader.entries
    ]
    return made


def _without(line: str, env: Mapping[str, str]) -> str:
    """A line of a script without the ``export`` of what its environment has already."""
    for name, value in env.items():
        line = line.replace(f"{exported(name, value)} && ", "")
    return line


def _system(runs_on: Sequence[str]) -> str:
    """What GitHub calls the system of a machine. A label that names none is a machine of one's own."""
    label = "".join(runs_on[:1]).lower()
    return {"macos": "macOS", "windo": "Windows"}.get(label[:5], "Linux")


def _visible(env: dict[str, str]) -> tuple[int | None, dict[str, str]]:
    """The number of devices that an environment leaves visible, and the rest of it: the lease says which."""
    number = None
    for name in _VISIBLE:
        if name in env and re.fullmatch(r"-1|\s*|\d+(?:\s*,\s*\d+)*", env[name]):
            number = len(re.findall(r"(?<!-)\d+", env[name]))
    return number, {name: value for name, value in env.items() if name not in _VISIBLE}


def _on_devices(entry: Entry, gpus: int | None) -> Entry:
    own, env = _visible(dict(entry.env))
    number = entry.num_gpus if entry.num_gpus is not None else own if own is not None else gpus
    return replace(entry, num_gpus=number, env=tuple(env.items()))


@dataclass(frozen=True)
class _Combination:
    """What one combination of the matrix runs, in which environment and where."""

    row: Table
    env: dict[str, str]
    entries: list[Entry]
    runs_on: tuple[str, ...]
    image: str
    preparations: tuple[str, ...]
    python_versions: tuple[str, ...]


def _named_by(name: str, row: Table) -> str:
    """The job's name with the first plain value of its combination, which tells the machines apart."""
    values = (value for value in row.values() if isinstance(value, Text) and value)
    return f"{name}-{next(values, '')}".rstrip("-")


def row_with_file(row: Table) -> Table | None:
    """The table of a combination that names a test file, or None."""
    for table in (row, *row.values()):
        if isinstance(table, Table) and any(
            isinstance(value, Text) and value.endswith((".py", ".sh")) for value in table.values()
        ):
            return table
    return None


def _suite(
    name: str,
    job: Table,
    file: str,
    shared: StepReader,
    found: list[_Combination],
) -> Suite:
    usual = _most_common([one.env for one in found])
    always = {key: value for key, value in usual.items() if all(one.env[key] == value for one in found)}
    listed: dict[Entry, None] = {}
    for one in found:
        own = {key: value for key, value in one.env.items() if usual.get(key) != value}
        for entry in one.entries:
            merged = {**own, **dict(entry.env)}
            made = replace(entry, env=tuple(pair for pair in merged.items() if pair not in always.items()))
            if made in listed and len(found) == 1:
                shared.note("the same test as before, once more", entry.place.line, left=False)
            listed.setdefault(made)
    entries = list(listed)
    setup, install = split_installation([_without(line, always) for line in found[0].preparations])
    testing = [one for one in found if one.entries]
    versions = list(dict.fromkeys(version for one in testing or found for version in one.python_versions))
    if len(versions) > 1:
        shared.note(f"python {', '.join(versions)}: a suite has one python_version, here the first", job.line)
    pythons = {entry.python for entry in entries}
    python = pythons.pop() if len(pythons) == 1 else ""
    if python:
        entries = [replace(entry, python="") for entry in entries]
    container = job.table("container")
    said = " ".join(container.text("options").split())
    options: tuple[str, ...] = (said,) if said else ()
    if "${{" in said:
        shared.note(f"container options {said}: known in a run only", job.line)
        options = ()
    runs_on = found[0].runs_on
    return Suite(
        name=name,
        job=name,
        runs_on=runs_on,
        image=found[0].image,
        num_gpus=gpus_of(runs_on),
        timeout_minutes=minutes(job.text("timeout-minutes")),
        python=python,
        python_version=versions[0] if versions else "",
        setup=setup,
        install=install,
        env=tuple(usual.items()),
        secrets=tuple(shared.secrets),
        tests=sequences(entries, shared.tree),
        place=Place(file, job.line),
        mounts=shared.mounts or tuple(str(mount) for mount in container.texts("volumes")),
        container_options=shared.options or options,
    )


def _folder(workflow: Table) -> str:
    """Where the commands of a workflow run that say nothing else."""
    folder = workflow.table("defaults").table("run").text("working-directory")
    return "" if folder == "." or "${{" in folder else str(folder)


def _most_common(listed: Sequence[dict[str, str]]) -> dict[str, str]:
    """For each variable that all have, the value that most of them give it."""
    names = [name for name in listed[0] if all(name in env for env in listed)]
    return {name: max((values := [env[name] for env in listed]), key=values.count) for name in names}


def container_image(job: Table) -> Text:
    """``container: IMAGE`` or its ``image``."""
    return job.text("container") or job.table("container").text("image")
