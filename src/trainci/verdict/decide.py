"""Pure: what the attempts of a test mean, and whose fault it was."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence

from trainci.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_MACHINE, EXIT_OK, EXIT_USAGE
from trainci.model import Attempt, Outcome, Result, Verdict

MACHINE_TRIES = 2


def decide(attempts: Sequence[Attempt]) -> Verdict | None:
    """The verdict after ``attempts`` (at least one), or None for *again*.

    Only the machine's fault is tried again: a red test is red.
    """
    last = attempts[-1]
    phase = "in its prepare phase: " if last.in_prepare else ""
    if last.interrupted:
        return Verdict(Outcome.INTERRUPTED, "interrupted before it ended")
    if last.timed_out:
        return Verdict(Outcome.TIMED_OUT, f"{phase}ended by its time limit of {last.test.timeout:g} s")
    if fault := _machine_fault(last):
        return None if len(attempts) < MACHINE_TRIES else Verdict(Outcome.MACHINE, phase + fault)
    if last.exit_code == 0:
        return Verdict(Outcome.PASSED, f"in {last.duration:.1f} s")
    return Verdict(Outcome.FAILED, phase + _ending(last.exit_code))


def exit_code(results: Iterable[Result], *, interrupted: bool = False, virtual: bool = False) -> int:
    """The exit code of a run: a failed test outweighs a refused one, and that the machine's fault.

    A skipped test changes nothing. Where there was nothing else, nothing ran: that is no failure on ``virtual``
    devices, which somebody chose; a host that was asked for its GPUs may have lost them, which is the machine's.
    """
    outcomes = {result.verdict.outcome for result in results}
    if interrupted:
        return EXIT_INTERRUPTED
    if outcomes & {Outcome.FAILED, Outcome.TIMED_OUT}:
        return EXIT_FAILED
    if Outcome.REFUSED in outcomes:
        return EXIT_USAGE
    if outcomes == {Outcome.SKIPPED}:
        return EXIT_OK if virtual else EXIT_MACHINE
    return EXIT_OK if outcomes <= {Outcome.PASSED, Outcome.SKIPPED} else EXIT_MACHINE


def _machine_fault(attempt: Attempt) -> str:
    if attempt.lost:
        return attempt.lost
    # The code's meaning is that of `trainci.testing.main`; to another file 3 is a number like any other.
    told = attempt.test.phased and attempt.exit_code == EXIT_MACHINE
    return f"the test found the machine at fault (exit code {EXIT_MACHINE})" if told else ""


def _ending(code: int | None) -> str:
    if code is None:
        return "never started"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name} (signal {-code})"
    except ValueError:
        return f"killed by signal {-code}"
