"""A finished Run as Markdown, for the page of a job of GitHub Actions."""

from __future__ import annotations

import html

from trainci.model import Outcome, Result, Run
from trainci.reports import why
from trainci.text import printable

_SIGNS = {Outcome.PASSED: "✅", Outcome.SKIPPED: "⏭️"}


def markdown(run: Run) -> str:
    """Verdict, duration and devices of each test, and of each that did not pass why, and how to replay it."""
    rows = "\n".join(_row(result) for result in run.results)
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
