"""Times and counts in words, the same in every report."""

from __future__ import annotations

import shlex
import time
from datetime import datetime, timedelta, timezone

from trainci.model.gates import Standing
from trainci.model.run import Outcome, Result, Run
from trainci.verdict.quarantine import entry

_QUARANTINABLE = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.HUNG, Outcome.UNSURE, Outcome.FLAKY)
_QUARANTINE = timedelta(days=14)
_REPEATED = (Standing.ODD, Standing.MOVED)


def totals(run: Run) -> str:
    """The last line of a run: how many tests ended how, in what time, on what."""
    skipped = sum(result.verdict.outcome is Outcome.SKIPPED for result in run.results)
    nothing_ran = "nothing ran: " if skipped == len(run.results) > 0 else ""
    return f"{nothing_ran}{counts_of(run)} in {duration(run.ended_at - run.started_at)} · {run.devices}"


def counts_of(run: Run) -> str:
    """``3 passed, 1 failed``."""
    counts = dict.fromkeys(Outcome, 0)
    for result in run.results:
        counts[result.verdict.outcome] += 1
    parts = [f"{count} {outcome.value}" for outcome, count in counts.items() if count] or ["no tests"]
    excused = sum(bool(result.verdict.excused) for result in run.results)
    parts += [f"{excused} of them in quarantine"] if excused else []
    repeated = sum(any(one.standing in _REPEATED for one in result.verdict.judgements) for result in run.results)
    parts += [f"{repeated} of them repeated for a metric"] if repeated else []
    return ", ".join(parts)


def clock_time(at: float) -> str:
    """A Unix time as people read it on a clock, in the local zone."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def utc_time(at: float) -> str:
    """A Unix time with its day, the same wherever it is read; ``unknown`` where no calendar has it."""
    try:
        return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "unknown"


def duration(seconds: float) -> str:
    """``5.4 s``, ``1 min 34 s``, ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"


def known_duration(seconds: float | None) -> str:
    """As ``duration``, and ``-`` where it is not known."""
    return "-" if seconds is None else duration(seconds)


def accept_commands(result: Result, run: Run) -> list[str]:
    """What says that a metric which moved is meant to be so from now on."""
    return [
        shlex.join(["trainci", "baseline", "accept", result.test_id, one.metric, "--run", run.id, "--reason", "…"])
        for one in result.verdict.judgements
        if one.standing is Standing.MOVED
    ]


def quarantine_entry(result: Result, run: Run) -> str:
    """What would put a test that is red by itself into quarantine; empty for others, and for what is in it."""
    if result.verdict.outcome not in _QUARANTINABLE or result.verdict.excused:
        return ""
    until = datetime.fromtimestamp(run.ended_at, timezone.utc).date() + _QUARANTINE
    return entry(result.test_id, result.verdict, until.isoformat())
