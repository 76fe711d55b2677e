"""A failed test is tried again where its ``retries`` say so, and what failed before stays in the sentence."""

from __future__ import annotations

from collections.abc import Sequence

from trainci.model.run import Attempt, Outcome, Verdict
from trainci.verdict.rules import diagnosed, exited, items, machine
from trainci.verdict.ruling import Ruling


def rule(attempts: Sequence[Attempt]) -> Ruling | None:
    """See Rule; silent on a test without retries, and on the only attempt that passed."""
    tries = attempts[-1].test.retries + 1
    rulings = [_one(attempt) for attempt in attempts]
    failed = [number for number, ruling in enumerate(rulings, start=1) if ruling.verdict.outcome is Outcome.FAILED]
    if tries == 1 or not failed:
        return None
    last, number = rulings[-1].verdict, len(attempts)
    if last.outcome is Outcome.FAILED:
        sentence = f"{last.sentence}, on attempt {number} of {tries}"
        return Ruling(Verdict(Outcome.FAILED, sentence), again=len(failed) < tries)
    first = rulings[failed[0] - 1].verdict.sentence
    sentence = f"{last.sentence}; flaky: {last.outcome.value} on attempt {number} of {tries}, after {first}"
    return Ruling(Verdict(last.outcome, sentence))


def _one(attempt: Attempt) -> Ruling:
    one = [attempt]
    return machine.rule(one) or diagnosed.rule(one) or items.rule(one) or exited.rule(one)
