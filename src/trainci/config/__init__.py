"""Reads ``trainci.toml``. The one room that knows pydantic.

Every fault is found before any is reported, each as ``file:line: where → in → the file: what is wrong``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainci.catalog.files import find_test_files
from trainci.config.executor_tables import SlurmTable
from trainci.config.faults import Path as FaultPath
from trainci.config.faults import breadcrumb, clash_faults, default_label, shape_faults, syntax_fault
from trainci.config.metric_tables import gates_of
from trainci.config.tables import (
    CONFIG_FILE,
    EntryTable,
    FileTable,
    SettingsTable,
    StepTable,
    SuiteTable,
    VerdictsTable,
    WorkflowTable,
    json_schema,
)
from trainci.config.values import bytes_of, seconds_of
from trainci.errors import PlacedFaults, UsageError
from trainci.globs import is_glob, matches
from trainci.model.diagnosis import Blame, Kind, LogRule
from trainci.model.project import (
    Accepted,
    PathRule,
    Project,
    Quarantined,
    Retention,
    Slurm,
    Suite,
    Verdicts,
    Workflow,
)
from trainci.model.tests import Entry
from trainci.selection.choose import is_named
from trainci.toml_lines import nearest_line, toml_lines

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["CONFIG_FILE", "faults_in", "find_root", "json_schema", "load"]


def find_root(start: Path) -> Path:
    """The nearest directory at or above ``start`` that holds ``trainci.toml``.

    :raises UsageError: there is none.
    """
    for directory in (start, *start.parents):
        if (directory / CONFIG_FILE).is_file():
            return directory
    raise UsageError(
        f"no {CONFIG_FILE} in {start} or above it. `trainci init` writes one; or change to your repository."
    )


# What is larger takes minutes to check, and somebody else may have written it.
_LARGEST = 2**20


def load(root: Path) -> Project:
    """Read and check ``root/trainci.toml``.

    :raises PlacedFaults: with every fault of the file, one a line.
    """
    path = root / CONFIG_FILE
    # Not even read: a fault that is reported would show a line of it.
    if not path.resolve().is_relative_to(root.resolve()):
        raise PlacedFaults(
            f"{CONFIG_FILE}:1: a link that leads outside the repository, so it is not read. Put the file here."
        )
    try:
        if path.stat().st_size > _LARGEST:
            raise PlacedFaults(f"{CONFIG_FILE}:1: larger than 1 MiB. A glob names many tests in one entry.")
        source = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise PlacedFaults(f"{CONFIG_FILE}:{line}: not UTF-8, which TOML must be. Save it as UTF-8.") from None
    except OSError as error:
        raise UsageError(f"{CONFIG_FILE}: {error.strerror}: {path}") from None
    try:
        document = tomllib.loads(source)
        lines = _Lines(source)
    except ValueError as error:  # TOMLDecodeError is one; a number of thousands of digits gives another.
        raise PlacedFaults(syntax_fault(source, str(error))) from None
    except RecursionError:
        raise PlacedFaults(f"{CONFIG_FILE}:1: nested too deeply to be read.") from None
    parsed, faults = _parsed(document, root)
    if parsed is None:
        placed = sorted((lines.line(path), breadcrumb(path), sentence) for path, sentence in faults)
        raise PlacedFaults("\n".join(f"{CONFIG_FILE}:{line}: {where}: {what}" for line, where, what in placed))
    return _project(parsed, lines, root)


def faults_in(source: str, root: Path) -> list[tuple[FaultPath, str]]:
    """What is wrong with the text of a trainci.toml for ``root``: the path of each key at fault, and a sentence.

    :raises ValueError: it is no TOML.
    """
    return _parsed(tomllib.loads(source), root)[1]


def _parsed(document: dict[str, Any], root: Path) -> tuple[FileTable | None, list[tuple[FaultPath, str]]]:
    """The tables, None where there are faults."""
    faults = list(clash_faults(document))
    try:
        parsed = FileTable.model_validate(document, context={"root": root})
    except ValidationError as error:
        faults += [fault for item in error.errors(include_url=False) for fault in shape_faults(item)]
        return None, faults
    return (None if faults else parsed), faults


class _Lines:
    def __init__(self, source: str) -> None:
        self._lines = toml_lines(source)

    def line(self, path: tuple[str | int, ...]) -> int:
        """The line of ``path``, or of the nearest thing around it that the file writes."""
        return nearest_line(self._lines, path)

    def place(self, *path: str | int) -> str:
        """``trainci.toml:14``."""
        return f"{CONFIG_FILE}:{self.line(path)}"


def _project(parsed: FileTable, lines: _Lines, root: Path) -> Project:
    table = parsed.project
    return Project(
        test_globs=tuple(table.tests),
        base=table.base,
        max_gpus=table.max_gpus,
        history=table.history,
        artifacts=table.artifacts,
        image=table.image,
        suites=tuple(_suite(name, suite, parsed.workflow, lines, root) for name, suite in parsed.suites.items()),
        workflow=_workflow(parsed.workflow),
        registers=tuple(parsed.catalog.registers),
        **(_settings(table) | ({} if table.default_gpus is None else {"num_gpus": table.default_gpus})),
        path_rules=tuple(
            PathRule(
                paths=tuple(rule.paths),
                suites=tuple(rule.suites),
                tests=tuple(rule.tests),
                nothing=rule.nothing,
                where=lines.place("affected", index),
            )
            for index, rule in enumerate(parsed.affected)
        ),
        max_changed=table.max_changed,
        verdicts=_verdicts(parsed.verdicts),
        slurm=_slurm(parsed.executors.slurm),
        ray_address=parsed.executors.ray.address,
        state_dir=table.state_dir,
        retention=Retention(seconds_of(table.keep), bytes_of(table.keep_size)),
        quarantine=tuple(
            Quarantined(
                test=one.test,
                owner=one.owner,
                reason=one.reason,
                until=one.until.isoformat(),
                ticket=one.ticket,
                where=lines.place("quarantine", index),
            )
            for index, one in enumerate(parsed.quarantine)
        ),
        accepted=tuple(
            Accepted(one.code, one.path, one.reason, lines.place("check", "accept", index))
            for index, one in enumerate(parsed.check.accept)
        ),
    )


def _settings(table: SettingsTable) -> dict[str, Any]:
    """The fields of Settings."""
    return {
        "env": tuple(table.env.items()),
        "install": table.install,
        "setup": tuple(table.setup),
        "python": tuple(table.python or ()),
        "python_version": table.python_version,
        "secrets": tuple(table.secrets),
        "timeout": None if table.timeout_minutes is None else table.timeout_minutes * 60,
        "stall": None if table.stall_minutes is None else table.stall_minutes * 60,
        "num_gpus": table.num_gpus,
        "num_nodes": table.num_nodes,
        "retries": table.retries.others if table.retries else None,
        "machine_retries": table.retries.machine if table.retries else None,
        "fail_on_flaky": table.fail_on_flaky,
        "executor": table.executor or "",
        "metrics": gates_of(table.metrics),
    }


def _verdicts(table: VerdictsTable) -> Verdicts:
    rules = (
        LogRule(rule.name, (rule.pattern,), rule.meaning, Blame(rule.blame), Kind(rule.kind))
        for rule in table.rules
    )
    return Verdicts(tuple(rules), tuple(table.off), table.retries)


def _slurm(table: SlurmTable) -> Slurm:
    return Slurm(
        partition=table.partition,
        account=table.account,
        qos=table.qos,
        gres=table.gres,
        setup=tuple(table.setup),
        container=tuple(table.container),
        in_flight=table.in_flight,
        queue=table.queue_minutes * 60,
    )


def _workflow(table: WorkflowTable) -> Workflow:
    return Workflow(
        trainci=table.trainci,
        lock_dir=table.lock_dir,
        mounts=tuple(table.mounts),
        container_options=table.container_options,
        queue=table.queue_minutes * 60,
    )


def _suite(name: str, suite: SuiteTable, workflow: WorkflowTable, lines: _Lines, root: Path) -> Suite:
    written = [] if suite.tests == "all" else suite.tests
    written_runs_on = ("suites", name, "runs_on") if suite.runs_on else ("workflow", "runs_on")
    has_runs_on = suite.runs_on or (not suite.always and "runs_on" in workflow.model_fields_set)
    return Suite(
        name=name,
        label=suite.label or default_label(name),
        description=suite.description,
        entries=tuple(
            entry
            for entry in _entries(written, ("suites", name, "tests"), lines, root)
            if not is_named(entry, suite.exclude)
        ),
        all_tests=suite.tests == "all",
        changed=suite.select == "changed",
        always=suite.always,
        image=suite.image,
        where=lines.place("suites", name),
        runs_on=tuple(suite.runs_on or (["ubuntu-latest"] if suite.always else workflow.runs_on)),
        runs_on_where=lines.place(*written_runs_on) if has_runs_on else "",
        schedule=suite.schedule,
        devices=suite.devices,
        job=suite.job,
        include=tuple(suite.include),
        exclude=tuple(suite.exclude),
        paths=tuple(suite.paths),
        paths_ignore=tuple(suite.paths_ignore),
        branches=tuple(suite.branches),
        drafts=suite.drafts,
        comment=suite.comment,
        shards=suite.jobs,
        pack=suite.pack,
        **_settings(suite),
    )


def _entries(written: Sequence[EntryTable], path: tuple[str, ...], lines: _Lines, root: Path) -> Iterator[Entry]:
    """The entries of a suite. What a glob finds and another entry names is that other one's."""
    found = [
        (_entry(table, lines.place(*path, index)), table, _is_glob(table, root))
        for index, table in enumerate(written)
    ]
    named = {entry.id for entry, _, is_pattern in found if not is_pattern}
    for entry, table, is_pattern in found:
        if not is_pattern:
            yield entry
            continue
        for file in find_test_files(root, [entry.file]):
            one = replace(entry, file=file)
            if one.id not in named and not any(matches(file, pattern) for pattern in table.exclude):
                named.add(one.id)
                yield one


def _is_glob(table: EntryTable, root: Path) -> bool:
    path = table.path or ""
    return is_glob(path) and not (root / path.partition("::")[0]).exists()


def _entry(table: EntryTable, where: str) -> Entry:
    return Entry(
        **_started(table),
        **_settings(table),
        steps=tuple(Entry(**_started(step), env=tuple(step.env.items()), where=where) for step in table.steps),
        name=table.name,
        also=tuple(table.also),
        disabled=table.disabled,
        where=where,
    )


def _started(table: StepTable) -> dict[str, Any]:
    file, separator, node = (table.path or "").partition("::")
    return {
        "file": file,
        "node": separator + node,
        "module": table.module or "",
        "command": tuple(table.command or ()),
        "runner": table.runner or "",
        "args": tuple(table.args),
    }
