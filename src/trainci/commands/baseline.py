"""``trainci baseline``: what metrics are held to, and who said so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing

import click
from click.shell_completion import CompletionItem

from trainci.answers.baseline import (
    BaselineBand,
    BaselineDecision,
    BaselinePoint,
    Baselines,
    BaselineSeries,
    BaselinesOfTest,
)
from trainci.answers.form import text_of
from trainci.commands.completion import complete_tests
from trainci.errors import EXIT_OK, UsageError
from trainci.history import existing_store, open_store
from trainci.history.baselines import every_gate, series_of
from trainci.history.store import Store
from trainci.host.clock import steady_time
from trainci.host.users import user_name
from trainci.model.gates import Band, Decision, Gate
from trainci.model.tests import Test
from trainci.reports.words import utc_time
from trainci.repository import Repository, Request, open_repository
from trainci.text import columns, guess, printable
from trainci.verdict.baselines import LEAST, Series
from trainci.verdict.gates import series_name

_HEADER = ("METRIC", "STEP", "ON", "TRUSTED", "BAND", "WIDE BAND", "NEWEST VALUES")
_SHOWN = 8


class _Command(click.Group):
    """A group whose first word may be left out: ``show`` is meant then."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = args and (args[0] in self.commands or args[0] in ("-h", "--help"))
        # No test is called so, and what follows would be told as wrong.
        if args and not known and args[0].isalpha() and (close := guess(args[0], self.commands)):
            raise UsageError(f"baseline: there is no test {printable(args[0])}.{close}")
        return super().parse_args(ctx, args if known else ["show", *args])


@click.group("baseline", cls=_Command)
def command() -> None:
    """Show what metrics are held to that their history gates, accept a value, or reset it (docs/metrics.md).

    `trainci baseline [TEST_ID]...` is short for `trainci baseline show`.
    """


def _complete_show(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    others = [] if context.params.get("ids") else command.list_commands(context)
    words = [CompletionItem(name) for name in others if name.startswith(begun)]
    return [*words, *complete_tests(context, parameter, begun)]


@command.command("show")
@click.argument("ids", nargs=-1, metavar="[TEST_ID]...", shell_complete=_complete_show)
@click.option("--json", "as_json", is_flag=True, help="One JSON object (docs/json.md).")
def show(ids: tuple[str, ...], as_json: bool) -> int:
    """Show the band, the trusted runs and the newest values of each gated metric.

    Of tests that are named every metric is shown that they recorded.
    """
    repository = open_repository()
    tests = _tests(repository, repository.typed_ids(ids))
    with existing_store(repository.state) as store:
        answer = Baselines(tuple(_of_test(store, test, every=bool(ids)) for test in tests if store))
    click.echo(text_of(answer) if as_json else "\n".join(_lines(answer)))
    return EXIT_OK


def _about_a_metric(function: Callable[..., int]) -> Callable[..., int]:
    for decorate in (
        click.option("--reason", required=True, help="Why; it is kept."),
        click.argument("metric", metavar="METRIC"),
        click.argument("test_id", metavar="TEST_ID", shell_complete=complete_tests),
    ):
        function = decorate(function)
    return function


@command.command("accept")
@_about_a_metric
@click.option("--run", "run_id", default="", metavar="RUN", help="Its run; the newest that recorded it otherwise.")
def accept(test_id: str, metric: str, reason: str, run_id: str) -> int:
    """Say that a value is meant: from its run on, a metric is held to what it is now."""
    repository = open_repository()
    (test_id,) = repository.typed_ids([test_id])
    with closing(open_store(repository.state)) as store:
        known = _known(repository, store, test_id, metric)
        runs = [one for one in known.points if run_id in ("", one.run)]
        if not runs:
            raise UsageError(f"run {printable(run_id)} recorded no {printable(metric)} of {printable(test_id)}.")
        chosen = runs[0]
        store.keep_decision(_decision(test_id, metric, chosen.run, reason))
    click.echo(
        f"{printable(metric)} of {printable(test_id)} is held to {chosen.value:.6g} of run {chosen.run} from now"
    )
    click.echo(f"on: it gates again once {LEAST} trusted values are there.")
    return EXIT_OK


@command.command("reset")
@_about_a_metric
def reset(test_id: str, metric: str, reason: str) -> int:
    """Start the baseline of a metric again: no earlier value counts, on no kind of device."""
    repository = open_repository()
    (test_id,) = repository.typed_ids([test_id])
    with closing(open_store(repository.state)) as store:
        _known(repository, store, test_id, metric)
        store.keep_decision(_decision(test_id, metric, "", reason))
    click.echo(
        f"The baseline of {printable(metric)} of {printable(test_id)} is reset: it gates again after {LEAST}"
    )
    click.echo("trusted runs.")
    return EXIT_OK


def _decision(test_id: str, metric: str, run: str, reason: str) -> Decision:
    if not reason.strip():
        raise UsageError("--reason is empty: say why, for whoever reads it next year.")
    who = os.environ.get("GITHUB_ACTOR") or user_name(os.getuid())
    return Decision(test_id, metric, run, who, reason.strip(), steady_time())


def _known(repository: Repository, store: Store, test_id: str, metric: str) -> Series:
    """The series of the newest run that recorded it.

    :raises UsageError: none did.
    """
    declared = [gate for test in _tests(repository, (test_id,)) for gate in test.metrics]
    gate = next((gate for gate in declared if gate.metric == metric), Gate(metric))
    found = [one for one in series_of(store, test_id, [gate]) if one.points]
    if not found:
        raise UsageError(
            f"{printable(test_id)} has recorded no {printable(metric)}; `trainci metrics` shows what it has."
        )
    return max(found, key=lambda one: one.points[0].at)


def _tests(repository: Repository, ids: tuple[str, ...]) -> list[Test]:
    selected = repository.select(Request(ids=ids or repository.everything()))
    tests = [item.test for item in selected.tests]
    return tests if ids else [test for test in tests if any(gate.by_history for gate in test.metrics)]


def _of_test(store: Store, test: Test, *, every: bool) -> BaselinesOfTest:
    gated = {gate.metric: gate for gate in test.metrics if gate.by_history}
    gates = every_gate(test.metrics, store.recorded(test.id)) if every else list(gated.values())
    steps = {gate.metric: gate.step for gate in gates}
    return BaselinesOfTest(
        test.id,
        tuple(_answer(one, steps[one.metric], one.metric in gated) for one in series_of(store, test.id, gates)),
        tuple(
            BaselineDecision(one.metric, one.run, one.who, one.reason, one.at) for one in store.decisions(test.id)
        ),
    )


def _answer(one: Series, step: int | None, gated: bool) -> BaselineSeries:
    known = one.trusted
    points = tuple(BaselinePoint(p.run, p.commit, p.at, p.value, p.trusted) for p in one.points)
    return BaselineSeries(
        one.metric,
        step,
        one.kind,
        one.image,
        gated,
        len(known.values),
        _band(known.band),
        _band(known.wide),
        points,
    )


def _band(band: Band | None) -> BaselineBand | None:
    return None if band is None else BaselineBand(band.low, band.high)


def _lines(answer: Baselines) -> Iterator[str]:
    if not answer.tests:
        yield "no test has a metric that its history gates; docs/metrics.md tells how to say so"
    for test in answer.tests:
        yield printable(test.id)
        rows = columns([_HEADER, *map(_row, test.series)]) if test.series else ["no value recorded yet"]
        yield from (f"  {line}" for line in rows)
        for one in test.decisions:
            what = f"accepted that of run {one.run}" if one.run else "reset it"
            said = f"{one.metric}: {one.who} {what}, {utc_time(one.at)}: {one.reason}"
            yield f"  {printable(said)}"


def _row(one: BaselineSeries) -> tuple[str, ...]:
    bands = [f"{band.low:.4g} to {band.high:.4g}" if band else "-" for band in (one.band, one.wide)]
    values = " ".join(f"{point.value:.4g}{'' if point.trusted else '?'}" for point in one.points[:_SHOWN])
    trusted = f"{one.trusted}" if one.band else f"{one.trusted} of {LEAST}"
    step = "last" if one.step is None else str(one.step)
    return (printable(one.metric), step, series_name(one.kind, one.image), trusted, *bands, values)
