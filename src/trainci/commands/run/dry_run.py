"""``trainci run --dry-run``: what would run, why, and by which command."""

from __future__ import annotations

from collections.abc import Sequence

import click

from trainci.answers.form import text_of
from trainci.answers.values import DryRun, DryTest, RefusedTest
from trainci.errors import EXIT_OK, EXIT_USAGE
from trainci.executors.base import Executor
from trainci.model.selection import Selection
from trainci.output.redaction import redact
from trainci.schedule import Fitting
from trainci.text import counted, printable


def print_plan(
    selected: Selection, feasible: Fitting, executor: Executor, as_json: bool, secrets: Sequence[str]
) -> int:
    """Print it, ``secrets`` masked; the exit code."""
    answer = _answer(selected, feasible, executor)
    click.echo(redact(text_of(answer) if as_json else "\n".join(_lines(answer)), secrets))
    return EXIT_USAGE if answer.refused else EXIT_OK


def _answer(selected: Selection, feasible: Fitting, executor: Executor) -> DryRun:
    held_back = {item.test_id: f"not on this host: it {item.sentence}" for item in feasible.too_large}
    held_back |= {item.test_id: f"skipped on this host: it {item.sentence}" for item in feasible.skipped}
    held_back |= {item.test_id: f"skipped, {printable(item.sentence)}" for item in feasible.disabled}
    tests = tuple(
        DryTest(
            item.test.id,
            item.reason,
            item.test.num_gpus,
            item.test.timeout,
            executor.command(item.test),
            executor.submission(item.test),
            held_back.get(item.test.id, ""),
        )
        for item in selected.tests
    )
    refused = tuple(RefusedTest(refused.test_id, refused.sentence) for refused in selected.refused)
    return DryRun(tests, refused, selected.note)


def _lines(answer: DryRun) -> list[str]:
    lines: list[str] = []
    submitted: dict[str, str] = {}
    for test in answer.tests:
        lines += [test.id, f"    because: {test.reason}"]
        lines += [f"    devices: {test.num_gpus}, time limit {test.timeout:g} s", f"    command: {test.command}"]
        first = submitted.setdefault(test.submission, test.id)
        if first == test.id:
            lines += [f"    | {printable(line)}" for line in test.submission.splitlines()]
        elif test.submission:
            lines += [f"    in the same job as {first}"]
        lines += [f"    {test.held_back}"] if test.held_back else []
    for refused in answer.refused:
        lines += [refused.id, f"    refused: {refused.sentence}"]
    return [*lines, answer.note or f"{counted(len(answer.tests), 'test')} selected. Nothing was started."]
