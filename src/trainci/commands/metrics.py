"""``trainci metrics``: what the tests recorded of themselves."""

from __future__ import annotations

import click

from trainci.answers.form import number, text_of
from trainci.answers.values import MetricOfTest, Metrics, MetricsOfTest
from trainci.commands.completion import complete_tests
from trainci.history import existing_store
from trainci.history.store import Recorded, Store
from trainci.repository import open_repository
from trainci.text import columns, nothing_known, printable

_HEADER = ("METRIC", "LAST", "STEP", "BEFORE", "RUN")


@click.command("metrics")
@click.argument("ids", nargs=-1, required=True, metavar="TEST_ID...", shell_complete=complete_tests)
@click.option("--json", "as_json", is_flag=True, help="One JSON object (docs/json.md).")
def command(ids: tuple[str, ...], as_json: bool) -> int:
    """Show the metrics of tests: the last value that each recorded, and that of the run before it.

    A test records with trainci.testing.record_metric; TEST_ID is as `trainci list` shows it.
    """
    repository = open_repository()
    asked = repository.typed_ids(ids)
    with existing_store(repository.state) as history:
        answer = Metrics(tuple(_of_test(history, test_id) for test_id in asked))
        known = history.tests() if history else []
    for test in answer.tests:
        if not test.metrics and test.id not in known:
            click.echo(nothing_known(test.id, [*known, *repository.everything()]), err=True)
    click.echo(text_of(answer) if as_json else "\n".join(_lines(answer)))
    return 0


def _of_test(history: Store | None, test_id: str) -> MetricsOfTest:
    recorded = history.recorded(test_id) if history else []
    return MetricsOfTest(test_id, tuple(map(_metric, recorded)))


def _metric(recorded: Recorded) -> MetricOfTest:
    last, before = recorded.last, recorded.before
    known = None if before is None else number(before)
    return MetricOfTest(last.name, number(last.value), last.step, last.at, recorded.run_id, known)


def _lines(answer: Metrics) -> list[str]:
    lines: list[str] = []
    for test in answer.tests:
        lines.append(printable(test.id))
        rows = columns([_HEADER, *map(_row, test.metrics)]) if test.metrics else ["no metric recorded yet"]
        lines += [f"  {line}" for line in rows]
    return lines


def _row(metric: MetricOfTest) -> tuple[str, ...]:
    before = "-" if metric.before is None else f"{float(metric.before):.6g}"
    step = "-" if metric.step is None else str(metric.step)
    # Whatever a test, or whoever committed a history, wrote there.
    return (printable(metric.name), f"{float(metric.value):.6g}", step, before, printable(metric.run))
