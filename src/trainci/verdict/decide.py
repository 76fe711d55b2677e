"""Pure: what the attempts of a test mean, and whose fault it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from trainci.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_MACHINE, EXIT_OK, EXIT_USAGE
from trainci.model.diagnosis import Blame, Diagnosis
from trainci.model.gates import Baseline, Judgement, Standing
from trainci.model.run import Attempt, Outcome, Result, Verdict
from trainci.verdict import gates
from trainci.verdict.rules import diagnosed, engine, exited, hung, items, machine, metrics, time_limit, unheard
from trainci.verdict.rules import interrupted as interruption
from trainci.verdict.ruling import Rule

# The first that has an answer decides.
RULES: Sequence[Rule] = (
    interruption.rule,
    engine.rule,
    machine.rule,
    diagnosed.rule,
    hung.rule,
    time_limit.rule,
    unheard.rule,
    items.rule,
    metrics.rule,
    exited.rule,
)


# What a test is red for by itself; it is tried again as often as its `retries` say, which is not at all by default.
_OWN = frozenset({Outcome.FAILED, Outcome.TIMED_OUT, Outcome.HUNG, Outcome.UNSURE})


NOTHING_KNOWN = Baseline()


def decide(attempts: Sequence[Attempt], retries: int = 1, baseline: Baseline = NOTHING_KNOWN) -> Verdict | None:
    """The verdict after ``attempts`` (at least one), or None for *again*.

    The machine's fault is tried again ``retries`` times, where the test says nothing else. What failed and passed
    then, with nothing changed, is flaky, and not passed. What passed with a value that is suspicious by its
    ``baseline`` is repeated, which makes nothing flaky.
    """
    test = attempts[-1].test
    each = [ruling(attempt) for attempt in attempts]
    last, own = each[-1], [verdict for verdict in each if verdict.outcome in _OWN]
    if last.outcome is Outcome.MACHINE:
        faults = sum(verdict.outcome is Outcome.MACHINE for verdict in each)
        return None if faults <= (retries if test.machine_retries is None else test.machine_retries) else last
    if last.outcome in _OWN:
        if len(own) <= test.retries:
            return None
        tries = f", on attempt {len(each)} of {len(each)}" if test.retries else ""
        return replace(last, sentence=f"{last.sentence}{tries}")
    if last.outcome is not Outcome.PASSED:
        return last
    judged = _judged(attempts, each, baseline)
    if any(one.standing is Standing.SUSPICIOUS for one in judged):
        return None
    if moved := [one.sentence for one in judged if one.standing is Standing.MOVED]:
        sentence = "; ".join(moved)
        diagnosis = Diagnosis(Blame.CODE, "metric-moved", sentence, "fact: recorded metrics")
        return Verdict(Outcome.FAILED, sentence, diagnosis, judgements=judged)
    if own:
        first = f"attempt {each.index(own[0]) + 1}: {own[0].sentence}"
        sentence = f"passed on attempt {len(each)}, with nothing changed; {first}"
        return Verdict(Outcome.FLAKY, sentence, own[0].diagnosis, judgements=judged)
    told = [one.sentence for one in judged if one.standing is not Standing.WITHIN]
    return replace(last, sentence="; ".join([last.sentence, *told]), judgements=judged)


def why_again(attempts: Sequence[Attempt], baseline: Baseline) -> str:
    """The metrics for which an attempt that passed is repeated, in a sentence; empty for none."""
    judged = _judged(attempts, [ruling(attempt) for attempt in attempts], baseline)
    return "; ".join(one.sentence for one in judged if one.standing is Standing.SUSPICIOUS)


def _judged(attempts: Sequence[Attempt], each: Sequence[Verdict], baseline: Baseline) -> tuple[Judgement, ...]:
    passed = [one for one, alone in zip(attempts, each, strict=True) if alone.outcome is Outcome.PASSED]
    return gates.judged(passed, baseline)


def ruling(attempt: Attempt) -> Verdict:
    """What an attempt means by itself."""
    return next(verdict for rule in RULES if (verdict := rule(attempt)) is not None)


def fails(result: Result) -> bool:
    """Whether a run in which ``result`` is has failed by it; what is flaky does so only where its test says so."""
    if result.verdict.excused:
        return False
    if result.verdict.outcome is Outcome.FLAKY:
        return any(attempt.test.fail_on_flaky for attempt in result.attempts)
    return result.verdict.outcome not in (Outcome.PASSED, Outcome.SKIPPED)


def exit_code(results: Iterable[Result], *, interrupted: bool = False, virtual: bool = False) -> int:
    """The exit code of a run: a failed test outweighs a refused one, and that the machine's fault.

    A skipped test changes nothing. Where there was nothing else, nothing ran: that is no failure on ``virtual``
    devices, which somebody chose; a host that was asked for its GPUs may have lost them, which is the machine's.
    """
    results = tuple(results)
    outcomes = {result.verdict.outcome for result in results if fails(result)}
    if interrupted:
        return EXIT_INTERRUPTED
    if outcomes & {*_OWN, Outcome.FLAKY}:
        return EXIT_FAILED
    if Outcome.REFUSED in outcomes:
        return EXIT_USAGE
    if results and all(result.verdict.outcome is Outcome.SKIPPED for result in results):
        return EXIT_OK if virtual else EXIT_MACHINE
    return EXIT_MACHINE if outcomes else EXIT_OK
