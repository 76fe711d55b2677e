"""A test that ended by itself passed with exit code 0, and failed otherwise."""

from __future__ import annotations

import signal

from trainci.items import counts
from trainci.model.run import Attempt, Ending, Outcome, Verdict
from trainci.verdict.ruling import placed

_MOST_NOTES = 2


def rule(attempt: Attempt) -> Verdict:
    """See Rule; this one has an answer to everything."""
    found = counts(attempt.results.items) if attempt.results else {}
    items = f": {', '.join(f'{count} {outcome}' for outcome, count in found.items())}" if found else ""
    if attempt.ending.passed:
        notes = "".join(f"; {failure.sentence}" for failure in attempt.failures[:_MOST_NOTES])
        return Verdict(Outcome.PASSED, f"in {attempt.duration:.1f} s{items}{notes}")
    return Verdict(Outcome.FAILED, placed(attempt, f"{_words(attempt.ending)}{items}"), attempt.diagnosis)


def _words(ending: Ending) -> str:
    if signal.SIGKILL in (ending.signal, (ending.exit_code or 0) - 128):
        why = ending.detail or "often the kernel's out-of-memory killer; see `dmesg`"
        said = (
            "exit code 137, as a shell tells SIGKILL" if ending.signal is None else "killed by SIGKILL (signal 9)"
        )
        return f"{said}: {why}"
    if ending.signal is None:
        return f"exit code {ending.exit_code}"
    try:
        return f"killed by {signal.Signals(ending.signal).name} (signal {ending.signal})"
    except ValueError:
        return f"killed by signal {ending.signal}"
