"""From the tables of ``trainci.toml``, once they are checked, to the project that they describe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainci.catalog.files import find_test_files
from trainci.config.executor_tables import SlurmTable
from trainci.config.faults import default_label
from trainci.config.metric_tables import gates_of
from trainci.config.tables import (
    CONFIG_FILE,
    EntryTable,
    FileTable,
    SettingsTable,
    StepTable,
    SuiteTable,
    WorkflowTable,
)
from trainci.config.values import bytes_of, seconds_of
from trainci.config.verdict_tables import VerdictsTable
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


class Lines:
    """Where each key stands in the text of the file.

    :raises ValueError: it is no TOML.
    """

    def __init__(self, source: str) -> None:
        self._lines = toml_lines(source)

    def line(self, path: tuple[str | int, ...]) -> int:
        """The line of ``path``, or of the nearest thing around it that the file writes."""
        return nearest_line(self._lines, path)

    def place(self, *path: str | int) -> str:
        """``trainci.toml:14``."""
        return f"{CONFIG_FILE}:{self.line(path)}"


def project_of(parsed: FileTable, lines: Lines, root: Path) -> Project:
    """The project of the repository at ``root``: globs find the files that it has now."""
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


def _suite(name: str, suite: SuiteTable, workflow: WorkflowTable, lines: Lines, root: Path) -> Suite:
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
        globs=tuple(
            (table.path or "", lines.place("suites", name, "tests", index))
            for index, table in enumerate(written)
            if _is_glob(table, root)
        ),
        **_settings(suite),
    )


def _entries(written: Sequence[EntryTable], path: tuple[str, ...], lines: Lines, root: Path) -> Iterator[Entry]:
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
