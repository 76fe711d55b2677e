"""A finished Run as Markdown, for the page of a job of GitHub Actions."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from trainci.github.actions import LARGEST_SUMMARY
from trainci.model.run import Outcome, Result, Run
from trainci.reports import items_of, why
from trainci.text import counted, printable

_SIGNS = {Outcome.PASSED: "✅", Outcome.SKIPPED: "⏭️"}
_ITEM_SIGNS = {outcome.value: sign for outcome, sign in _SIGNS.items()}
_MOST_ITEMS = 100


def markdown(run: Run, room: int = LARGEST_SUMMARY) -> str:
    """Verdict, duration and devices of each test, and of each that did not pass why, and how to replay it.

    Beyond ``room`` bytes the tests that passed are only counted.
    """
    whole = _markdown(run, run.results)
    if len(whole.encode("utf-8", "backslashreplace")) <= room:
        return whole
    shown = tuple(result for result in run.results if result.verdict.outcome is not Outcome.PASSED)
    return f"{_markdown(run, shown)}… and {counted(len(run.results) - len(shown), 'test')} that passed.\n"


def _markdown(run: Run, results: Sequence[Result]) -> str:
    rows = "\n".join(row for result in results for row in (_row(result), *_item_rows(result)))
    not_passed = [result for result in run.results if result.verdict.outcome is not Outcome.PASSED]
    details = "".join(_details(run, result) for result in not_passed)
    skipped = [result for result in not_passed if result.verdict.outcome is Outcome.SKIPPED]
    nothing_ran = "**Nothing ran.**\n\n" if len(skipped) == len(run.results) else ""
    return (
        f"### trainci · {_text(run.devices)} · {_text(run.commit[:12]) or 'no commit'}\n\n"
        f"| verdict | test | duration | devices |\n|---|---|---|---|\n{rows}\n\n{nothing_ran}{details}"
    )


def _row(result: Result) -> str:
    outcome = result.verdict.outcome
    seconds = sum(attempt.duration for attempt in result.attempts)
    devices = ", ".join(result.attempts[-1].devices) if result.attempts else ""
    cells = (
        f"{_SIGNS.get(outcome, '❌')} {outcome.value}",
        _code(result.test_id),
        f"{seconds:.1f} s",
        _text(devices),
    )
    return f"| {' | '.join(cells)} |"


def _item_rows(result: Result) -> Iterator[str]:
    """Each item below its test."""
    items, more = items_of(result, _MOST_ITEMS)
    for item in items:
        sign = _ITEM_SIGNS.get(item.outcome, "❌")
        yield f"| {sign} {item.outcome} | ↳ {_code(item.name)} | {item.seconds:.1f} s | |"
    if more:
        yield f"| | ↳ and {more} more | | |"


def _details(run: Run, result: Result) -> str:
    replay = run.replay.get(result.test_id)
    command = f"<pre>{_text(replay)}</pre>\n" if replay else ""
    said = why(result.verdict)
    reason = f"<br>{_text(said)}" if said else ""
    return f"{_code(result.test_id)}: {_text(result.verdict.sentence)}{reason}\n{command}\n"


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"


def _text(text: str) -> str:
    """``text`` on one line with nothing left in it that Markdown or HTML would take for its own."""
    escaped = html.escape(printable(text))
    return "".join(f"&#{ord(character)};" if character in "|`*_[]~\\@:" else character for character in escaped)
