"""One job of a GitHub workflow as a suite: its tests in each combination of its matrix, and what is around them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trainci.adopt.expressions import Context, Unknown, evaluate, substitute
from trainci.adopt.matrix import combinations
from trainci.adopt.placed import Items, Table, Text, Value
from trainci.adopt.proposal import Entry, Place, Suite
from trainci.adopt.rows import row_entry
from trainci.adopt.sequences import sequences
from trainci.adopt.steps import StepReader
from trainci.adopt.tree import Tree

_REPOSITORY_INSTALL = re.compile(
    r"\binstall\b.*(?:\s-e\s|\s['\"]?\.(?:\[|['\"\s]|$))|\b(?:uv|poetry|pdm)\s+(?:sync|install)\b"
)
_DEVICES = re.compile(r"(?<!\d)(\d{1,2})[-_ ]?gpus?\b|gpus?[-_ ]?(\d{1,2})(?!\d)|x(\d{1,2})$", re.IGNORECASE)


def split_installation(lines: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The lines before the repository is installed as ``setup``; that line and those after it as ``install``."""
    for position, line in enumerate(lines):
        if _REPOSITORY_INSTALL.search(line):
            return tuple(lines[:position]), " && ".join(lines[position:])
    return tuple(lines), ""


def gpus_of(runs_on: Sequence[str]) -> int | None:
    """The devices that a runner's labels speak of: ``8-gpu-h100``, ``8gpu``, ``L20x8``, ``gpu-4``."""
    for label in runs_on:
        if match := _DEVICES.search(label):
            return int(next(group for group in match.groups() if group))
    return None


def runners(job: Table, context: Context) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels of ``runs-on``, and those of them that only a run knows."""
    value: Value | Unknown = job.get("runs-on", Text("", job.line))
    if isinstance(value, Text) and value.strip().startswith("${{"):
        value = evaluate(value.strip()[3:-2], context)
    if isinstance(value, Unknown):
        return (), (str(job.text("runs-on")),)
    if isinstance(value, Table):  # `group:` and `labels:`
        value = Items([*value.items_of("labels"), *value.items_of("group")], value.line)
    if isinstance(value, Text):
        value = Items([value], value.line)
    known, unknown = [""][:0], [""][:0]
    for label in value:
        if isinstance(label, Text):
            text, open_ = substitute(label, context)
            (unknown if open_ else known).append(str(text))
    return tuple(known), tuple(unknown)


def read_job(
    name: str, job: Table, outer: dict[str, Table], file: str, tree: Tree, testpaths: Sequence[str], folder: str
) -> tuple[Suite, StepReader] | None:
    """The job as a suite; None when it runs no tests. ``outer`` has the workflow's ``env`` and inputs."""
    context = Context({key: value for key, value in outer.items() if key != "env"})
    rows = combinations(job.table("strategy").get("matrix"), context)
    shared = StepReader(file, tree, testpaths)
    found: list[_Combination] = []
    for row in rows if rows is not None else [None]:
        values = {**context.values, **({"matrix": row} if row is not None else {})}
        inside = Context(values)
        reader = replace(shared, entries=[], row=row_with_file(row))
        env = reader.environment(outer.get("env", Table()), inside)
        inside.values["env"] = Table({key: Text(value, 0) for key, value in env.items()})
        env |= reader.environment(job.table("env"), inside)
        inside.values["env"] = Table({key: Text(value, 0) for key, value in env.items()})
        where, _ = substitute(job.table("defaults").table("run").text("working-directory"), inside)
        reader.steps(job.items_of("steps"), env, "" if where in ("", ".") else where or folder, inside)
        if reader.row is not None and not reader.entries:
            reader.entries += row_entry(reader.row, Place(file, reader.row.line), tree, reader.note)
        runs_on, open_ = runners(job, inside)
        for label in open_:
            shared.note(f"runs-on {label}: known in a run only", job.text("runs-on").line or job.line)
        image, open_image = substitute(container_image(job), inside)
        if open_image:
            shared.note(f"container image {image}: known in a run only", job.line)
        elif image:
            reader.image = str(image)
        for one in ("image", "mounts", "options", "detects_changes"):
            setattr(shared, one, getattr(shared, one) or getattr(reader, one))
        found.append(_Combination(env, reader.entries, runs_on))
    if not any(one.entries for one in found) and not shared.registered and not shared.detects_changes:
        return None
    return _suite(name, job, file, shared, found), shared


@dataclass(frozen=True)
class _Combination:
    """What one combination of the matrix runs, in which environment and where."""

    env: dict[str, str]
    entries: list[Entry]
    runs_on: tuple[str, ...]


def row_with_file(row: Table | None) -> Table | None:
    """The table of a combination that names a test file, or None."""
    for table in (row, *(row or {}).values()):
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
    entries: list[Entry] = []
    for one in found:
        own = {key: value for key, value in one.env.items() if usual.get(key) != value}
        for entry in one.entries:
            if entry.disabled == "?":
                shared.notes += [note for note in entry.notes if note not in shared.notes]
                continue
            merged = {**own, **dict(entry.env)}
            made = replace(entry, env=tuple(pair for pair in merged.items() if pair not in always.items()))
            if made not in entries:
                entries.append(made)
            elif len(found) == 1:
                shared.note("the same test as before, once more", entry.place.line, left=False)
    setup, install = split_installation(shared.preparations)
    versions = list(shared.python_versions)
    if len(versions) > 1:
        shared.note(f"python {', '.join(versions)}: a suite has one python_version, here the first", job.line)
    pythons = {entry.python for entry in entries}
    python = pythons.pop() if len(pythons) == 1 else ""
    if python:
        entries = [replace(entry, python="") for entry in entries]
    container = job.table("container")
    options = (" ".join(container.text("options").split()),) if container.text("options") else ()
    runs_on = next((one.runs_on for one in found if one.runs_on and "macos" not in one.runs_on[0]), ())
    timeout = job.text("timeout-minutes")
    return Suite(
        name=name,
        job=name,
        runs_on=runs_on,
        image=shared.image,
        num_gpus=gpus_of(runs_on),
        timeout_minutes=float(timeout) if re.fullmatch(r"\d{1,5}(\.\d+)?", timeout) and float(timeout) else None,
        python=python,
        python_version=versions[0] if versions else "",
        setup=setup,
        install=install,
        env=tuple(usual.items()),
        secrets=tuple(shared.secrets),
        tests=sequences(entries, shared.tree),
        place=Place(file, job.line),
        notes=tuple(shared.notes),
        mounts=shared.mounts or tuple(str(mount) for mount in container.texts("volumes")),
        container_options=shared.options or options,
    )


def _most_common(listed: Sequence[dict[str, str]]) -> dict[str, str]:
    """For each variable that all have, the value that most of them give it."""
    names = [name for name in (listed[0] if listed else {}) if all(name in env for env in listed)]
    return {name: max((values := [env[name] for env in listed]), key=values.count) for name in names}


def container_image(job: Table) -> Text:
    """``container: IMAGE`` or its ``image``."""
    return job.text("container") or job.table("container").text("image")
