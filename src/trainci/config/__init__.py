"""Reads ``trainci.toml``. The one room that knows pydantic.

Every fault is found before any is reported, each as ``file:line: where → in → the file: what is wrong``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import ValidationError

from trainci.config.faults import breadcrumb, clash_faults, default_label, shape_faults, syntax_fault
from trainci.config.tables import CONFIG_FILE, FileTable, SuiteTable, VerdictsTable, WorkflowTable, json_schema
from trainci.errors import PlacedFaults, UsageError
from trainci.model import Blame, Entry, Kind, LogRule, Project, Suite, Verdicts, Workflow
from trainci.toml_lines import toml_lines

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["CONFIG_FILE", "find_root", "json_schema", "load"]


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
    faults = list(clash_faults(document))
    try:
        parsed = FileTable.model_validate(document, context={"root": root})
    except ValidationError as error:
        faults += [fault for item in error.errors(include_url=False) for fault in shape_faults(item)]
    if faults:
        placed = sorted((lines.line(path), breadcrumb(path), sentence) for path, sentence in faults)
        raise PlacedFaults("\n".join(f"{CONFIG_FILE}:{line}: {where}: {what}" for line, where, what in placed))
    return _project(parsed, lines)


class _Lines:
    def __init__(self, source: str) -> None:
        self._lines = toml_lines(source)

    def line(self, path: tuple[str | int, ...]) -> int:
        """The line of ``path``, or of the nearest thing around it that the file writes."""
        return next((self._lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._lines), 1)

    def place(self, *path: str | int) -> str:
        """``trainci.toml:14``."""
        return f"{CONFIG_FILE}:{self.line(path)}"


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else minutes * 60


def _project(parsed: FileTable, lines: _Lines) -> Project:
    table = parsed.project
    return Project(
        test_globs=tuple(table.tests),
        base=table.base,
        default_gpus=table.default_gpus,
        max_gpus=table.max_gpus,
        timeout=table.timeout_minutes * 60,
        image=table.image,
        install=table.install,
        suites=tuple(_suite(name, suite, parsed.workflow, lines) for name, suite in parsed.suites.items()),
        workflow=_workflow(parsed.workflow),
        verdicts=_verdicts(parsed.verdicts),
    )


def _verdicts(table: VerdictsTable) -> Verdicts:
    rules = (
        LogRule(rule.name, (rule.pattern,), rule.meaning, Blame(rule.blame), Kind(rule.kind))
        for rule in table.rules
    )
    return Verdicts(tuple(rules), tuple(table.off), table.retries)


def _workflow(table: WorkflowTable) -> Workflow:
    return Workflow(
        trainci=table.trainci,
        lock_dir=table.lock_dir,
        mounts=tuple(table.mounts),
        container_options=table.container_options,
        queue=table.queue_minutes * 60,
    )


def _suite(name: str, suite: SuiteTable, workflow: WorkflowTable, lines: _Lines) -> Suite:
    entries = (
        ()
        if suite.tests == "all"
        else tuple(
            Entry(
                file=entry.path,
                args=tuple(entry.args),
                env=tuple(entry.env.items()),
                num_gpus=entry.num_gpus,
                timeout=_seconds(entry.timeout_minutes),
                where=lines.place("suites", name, "tests", index),
            )
            for index, entry in enumerate(suite.tests)
        )
    )
    return Suite(
        name=name,
        label=suite.label or default_label(name),
        description=suite.description,
        entries=entries,
        all_tests=suite.tests == "all",
        changed=suite.select == "changed",
        always=suite.always,
        image=suite.image,
        timeout=_seconds(suite.timeout_minutes),
        where=lines.place("suites", name),
        runs_on=tuple(suite.runs_on or (["ubuntu-latest"] if suite.always else workflow.runs_on)),
        schedule=suite.schedule,
        secrets=tuple(suite.secrets),
        devices=suite.devices,
    )
