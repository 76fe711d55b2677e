"""Pure: what the attempts of a test mean, and whose fault it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trainci.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_MACHINE, EXIT_OK, EXIT_USAGE
from trainci.model.run import Attempt, Outcome, Result, Verdict
from trainci.verdict.rules import diagnosed, engine, exited, hung, items, machine, retries, time_limit
from trainci.verdict.rules import interrupted as interruption
from trainci.verdict.ruling import Rule, Ruling

# The first that has an answer decides.
RULES: Sequence[Rule] = (
    interruption.rule,
    engine.rule,
    machine.rule,
    diagnosed.rule,
    hung.rule,
    time_limit.rule,
    retries.rule,
    items.rule,
    exited.rule,
)


def decide(attempts: Sequence[Attempt], retries: int = 1) -> Verdict | None:
    """The verdict after ``attempts`` (at least one), or None for *again*.

    The machine's fault is tried again ``retries`` times; what else is, the rules say.
    """
    ruling = _ruling(attempts)
    if ruling.verdict.outcome is Outcome.MACHINE:
        faults = sum(_ruling([attempt]).verdict.outcome is Outcome.MACHINE for attempt in attempts)
        return None if faults <= retries else ruling.verdict
    return None if ruling.again else ruling.verdict


def _ruling(attempts: Sequence[Attempt]) -> Ruling:
    return next(ruling for rule in RULES if (ruling := rule(attempts)) is not None)


def exit_code(results: Iterable[Result], *, interrupted: bool = False, virtual: bool = False) -> int:
    """The exit code of a run: a failed test outweighs a refused one, and that the machine's fault.

    A skipped test changes nothing. Where there was nothing else, nothing ran: that is no failure on ``virtual``
    devices, which somebody chose; a host that was asked for its GPUs may have lost them, which is the machine's.
    """
    outcomes = {result.verdict.outcome for result in results}
    if interrupted:
        return EXIT_INTERRUPTED
    if outcomes & {Outcome.FAILED, Outcome.TIMED_OUT, Outcome.HUNG, Outcome.UNSURE}:
        return EXIT_FAILED
    if Outcome.REFUSED in outcomes:
        return EXIT_USAGE
    if outcomes == {Outcome.SKIPPED}:
        return EXIT_OK if virtual else EXIT_MACHINE
    return EXIT_OK if outcomes <= {Outcome.PASSED, Outcome.SKIPPED} else EXIT_MACHINE
