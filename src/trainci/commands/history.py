"""``trainci history``: what became of tests, run by run."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import click

from trainci.answers.form import text_of
from trainci.answers.values import History, PastResult, TestSummary
from trainci.commands.completion import complete_tests
from trainci.errors import EXIT_OK, MachineError, UsageError
from trainci.history import existing_store, open_store, store, transfer
from trainci.history.summary import summary
from trainci.reports.words import known_duration
from trainci.repository import open_repository
from trainci.text import columns, nothing_known, printable

# A test's flakes are counted among so many of its last runs.
_REMEMBERED = 100
# A sentence of a verdict may be long; what never ends is no line.
_LONGEST_LINE = 1 << 24
_SUMMARY = ("TEST", "RUNS", "PASSED", "FLAKY", "MEDIAN", "LAST")
_RESULTS = ("WHEN", "VERDICT", "TOOK", "TRIES", "COMMIT", "HOST", "DEVICES", "WHY")


@click.command("history")
@click.argument("ids", nargs=-1, metavar="[TEST_ID]...", shell_complete=complete_tests)
@click.option(
    "--last", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="So many runs."
)
@click.option(
    "--export",
    "to",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Write all of it as lines of JSON.",
)
@click.option(
    "--import",
    "source",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Add what --export wrote elsewhere.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object (docs/json.md).")
def command(ids: tuple[str, ...], last: int, as_json: bool, to: Path | None, source: Path | None) -> int:
    """Show the past of every test in a line, or of these tests run by run: verdict, duration, commit, devices.

    A flake is a test that failed and then passed with nothing changed. TEST_ID is as `trainci list` shows it.
    """
    repository = open_repository()
    if to or source:
        with closing(open_store(repository.state)) as opened_store:
            _transfer(opened_store, to, source)
        return EXIT_OK
    ids = repository.typed_ids(ids)
    with existing_store(repository.state) as opened:
        answer = _answer(opened, ids, last) if opened else History((), ())
        found = {test.id for test in answer.tests}
        unknown = [test_id for test_id in dict.fromkeys(ids) if test_id not in found]
        known = [*(opened.tests() if opened else ()), *repository.everything()] if unknown else []
    for test_id in unknown:
        click.echo(nothing_known(test_id, known), err=True)
    if answer.tests or as_json or not ids:
        click.echo(text_of(answer) if as_json else "\n".join(_lines(answer, ids)))
    return EXIT_OK


def _transfer(opened: store.Store, to: Path | None, source: Path | None) -> None:
    if source is not None:
        try:
            with click.open_file(str(source), "rb") as file:
                transfer.enter(opened, iter(lambda: file.readline(_LONGEST_LINE), b""))
        except OSError as error:
            raise UsageError(f"{printable(str(source))}: it cannot be read: {error.strerror}.") from None
        except transfer.NotExported as error:
            raise UsageError(
                f"{printable(str(source))}: {printable(str(error))}. Nothing after that is entered."
            ) from None
    if to is not None:
        lines = (f"{line}\n" for line in transfer.export(opened))
        try:
            with click.open_file(str(to), "w") as file:
                file.writelines(lines)
        except OSError as error:
            raise MachineError(f"{printable(str(to))}: it cannot be written: {error.strerror}.") from None


def _answer(opened: store.Store, ids: tuple[str, ...], last: int) -> History:
    wanted = dict.fromkeys(ids) if ids else opened.tests()
    found = {test_id: opened.results(test_id, _REMEMBERED) for test_id in wanted}
    summaries = tuple(summary(test_id, results) for test_id, results in found.items() if results)
    shown = [result for results in found.values() for result in results[:last]] if ids else []
    return History(summaries, tuple(shown))


def _lines(answer: History, ids: tuple[str, ...]) -> list[str]:
    if not answer.tests:
        return ["nothing is known yet; `trainci import` enters a past"]
    if not ids:
        return columns([_SUMMARY, *map(_summary_row, answer.tests)])
    lines: list[str] = []
    for test in answer.tests:
        lines.append(printable(test.id))
        rows = [_result_row(result) for result in answer.results if result.id == test.id]
        lines += [f"  {line}" for line in columns([_RESULTS, *rows])]
    return lines


def _summary_row(test: TestSummary) -> tuple[str, ...]:
    flaky = f"{test.flaky:.0%}" if test.flaky else "-"
    return (
        printable(test.id),
        str(test.runs),
        str(test.passed),
        flaky,
        known_duration(test.median),
        printable(test.last),
    )


def _result_row(result: PastResult) -> tuple[str, ...]:
    return (
        _when(result.at),
        printable(result.outcome),
        known_duration(result.duration),
        str(result.attempts),
        printable(result.commit[:10]) or "-",
        printable(result.host) or "-",
        printable(",".join(result.devices)) or "-",
        printable(result.sentence),
    )


def _when(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        # Of a history that others write, too.
        return "-"
