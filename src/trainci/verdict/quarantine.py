"""Pure: tests that are known to be bad. They run and are reported, and fail no run until their time is over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from trainci.model.project import Quarantined
from trainci.model.run import Outcome, Verdict
from trainci.text import printable
from trainci.toml_lines import quoted

# What there is to excuse: a test that was not started is no test that failed.
_EXCUSABLE = frozenset(
    {Outcome.FAILED, Outcome.TIMED_OUT, Outcome.HUNG, Outcome.UNSURE, Outcome.FLAKY, Outcome.MACHINE}
)


def excuses(known_bad: Sequence[Quarantined], test_ids: Iterable[str], today: str) -> dict[str, str]:
    """Why each of ``test_ids`` that is in quarantine fails no run ``today`` (2026-12-31)."""
    live = [one for one in known_bad if one.until >= today]
    found = {test_id: next((one for one in live if one.covers(test_id)), None) for test_id in test_ids}
    return {test_id: _sentence(one) for test_id, one in found.items() if one is not None}


def excused(verdict: Verdict, excuse: str) -> Verdict:
    """``verdict`` with its excuse, if it needs one."""
    return replace(verdict, excused=excuse) if excuse and verdict.outcome in _EXCUSABLE else verdict


def entry(test_id: str, verdict: Verdict, until: str) -> str:
    """The lines for trainci.toml that put a test into quarantine, to be pasted and completed."""
    return "\n".join(
        [
            "[[quarantine]]",
            f"test = {quoted(printable(test_id))}",
            'owner = ""',
            f"reason = {quoted(printable(verdict.reason))}",
            'ticket = ""',
            f"until = {until}",
        ]
    )


def _sentence(one: Quarantined) -> str:
    ticket = f", {one.ticket}" if one.ticket else ""
    return printable(f"in quarantine until {one.until} ({one.owner}{ticket}): {one.reason}")
