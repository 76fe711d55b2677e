"""A finished Run as Markdown, for the page of a job of GitHub Actions."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from trainci.github.actions import LARGEST_SUMMARY
from trainci.model.run import Outcome, Result, Run
from trainci.reports import items_of
from trainci.reports.reason import is_red, particulars, reason, red
from trainci.reports.words import accept_commands, duration, quarantine_entry, totals
from trainci.text import counted, printable
from trainci.verdict.gates import announced

_SIGNS = {Outcome.PASSED: "✅", Outcome.FLAKY: "⚠️", Outcome.SKIPPED: "⏭️"}
_ITEM_SIGNS = {outcome.value: sign for outcome, sign in _SIGNS.items()}
_MOST_ITEMS = 100
TABLE_HEAD = "| verdict | test | duration | devices |\n|---|---|---|---|\n"
"""Stands above the lines of ``row``."""
# Where GitHub links by itself: @name, #1, owner/name#1, GH-1, addresses.
_LINKED = re.compile(r"(?i)[@#]|\bgh-(?=\d)|:(?=//)|www(?=\.)")


def markdown(run: Run, room: int = LARGEST_SUMMARY) -> str:
    """The counts, of each red test why and how to replay it, and the verdict, duration and devices of each test.

    The most important stands first: what is cut off at ``room`` bytes, or by GitHub, are tests that passed, which
    are counted.
    """
    whole = _markdown(run, [result for result in run.results if not is_red(result)])
    if len(whole.encode("utf-8", "backslashreplace")) <= room:
        return whole
    return _markdown(run, [result for result in run.results if result.verdict.outcome is Outcome.SKIPPED])


def _markdown(run: Run, fine: Sequence[Result]) -> str:
    """``fine`` are the tests to show beside the red ones."""
    found = red(run)
    skipped = [result for result in run.results if result.verdict.outcome is Outcome.SKIPPED]
    rows = "\n".join(line for result in (*found, *fine) for line in (row(result), *_item_rows(result)))
    left = len(run.results) - len(found) - len(fine)
    more = (
        f"\n… and {counted(left, 'test')} that passed: GitHub shows no more of a step than 1 MiB.\n" if left else ""
    )
    new = "".join(f"\n{escaped(sentence)}\n" for sentence in (*announced(run.results), *_notes(run.results)))
    return (
        f"### trainci · {escaped(run.devices)} · {escaped(run.commit[:12]) or 'no commit'}\n\n"
        f"**{escaped(totals(run))}**\n\n{''.join(details(run, result) for result in (*found, *skipped))}"
        f"{TABLE_HEAD}{rows}\n{more}{new}"
    )


def _notes(results: Sequence[Result]) -> Iterator[str]:
    """What failed in a test that passed, and was no reason to be red."""
    for result in results:
        if result.verdict.outcome is Outcome.PASSED and result.attempts[-1].failures:
            yield f"{result.test_id} passed {result.verdict.sentence}"


def row(result: Result) -> str:
    """A line of the table: verdict, test, duration, devices."""
    outcome = result.verdict.outcome
    seconds = sum(attempt.duration for attempt in result.attempts)
    devices = ", ".join(result.attempts[-1].devices) if result.attempts else ""
    cells = (
        f"{_SIGNS.get(outcome, '❌')} {outcome.value}",
        code(result.test_id),
        duration(seconds),
        escaped(devices),
    )
    return f"| {' | '.join(cells)} |"


def _item_rows(result: Result) -> Iterator[str]:
    """Each item below its test."""
    items, more = items_of(result, _MOST_ITEMS)
    for item in items:
        sign = _ITEM_SIGNS.get(item.outcome, "❌")
        yield f"| {sign} {item.outcome} | ↳ {code(item.name)} | {item.seconds:.1f} s | |"
    if more:
        yield f"| | ↳ and {more} more | | |"


def details(run: Run, result: Result, note: str = "") -> str:
    """Why a test is not passed, whatever ``note`` adds, and how to replay it."""
    replay = run.replay.get(result.test_id)
    command = f"<pre>{_verbatim(replay)}</pre>\n" if replay else ""
    told = [*particulars(result.verdict), *([("base", note)] if note else [])]
    said = "".join(f"<br>{label}: {escaped(words)}" for label, words in told)
    command += "".join(f"meant? <pre>{_verbatim(accept)}</pre>\n" for accept in accept_commands(result, run))
    if known_bad := quarantine_entry(result, run):
        lines = "\n".join(map(_verbatim, known_bad.splitlines()))
        command += f"<details><summary>known to be bad? In trainci.toml:</summary><pre>{lines}</pre></details>\n"
    return f"{code(result.test_id)}: **{escaped(reason(result.verdict))}**{said}\n{command}\n"


def code(text: str) -> str:
    """``text`` as code, on one line."""
    return f"<code>{_verbatim(text)}</code>"


def escaped(text: str) -> str:
    """``text`` on one line with nothing left in it that Markdown, HTML or GitHub would take for its own.

    GitHub looks for names, issues and addresses once characters are no longer escaped: a zero-width space, which
    nobody sees, keeps it from telling people of a comment, or linking to where a stranger wants them to go.
    """
    return _inert(_LINKED.sub("\\g<0>\u200b", printable(text)))


def _verbatim(text: str) -> str:
    """The same to be copied, inside ``code`` or ``pre``, where GitHub looks for nothing."""
    return _inert(printable(text))


def _inert(text: str) -> str:
    plain = html.escape(text)
    return "".join(f"&#{ord(character)};" if character in "|`*_[]~\\@:" else character for character in plain)
