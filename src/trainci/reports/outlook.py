"""Pure: what is known beside the runs of a change: the branch that it is for, and what another label would cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trainci.model.run import Outcome
from trainci.model.tests import Test
from trainci.reports.words import duration
from trainci.text import counted

_FINE = (Outcome.PASSED.value, Outcome.FLAKY.value)


@dataclass(frozen=True)
class Base:
    """The branch that a change is for, called ``name``, with what became last of each test that ran on it.

    ``unknown`` says why nothing is known, empty where something may be.
    """

    name: str
    outcomes: Mapping[str, str] = field(default_factory=dict)
    unknown: str = ""

    def is_new(self, test_id: str) -> bool | None:
        """Whether a test that is red was not red there; None where nobody knows."""
        outcome = self.outcomes.get(test_id)
        return None if outcome is None else outcome in _FINE


@dataclass(frozen=True)
class Cost:
    """What a label would cost, by the median durations of its suite's tests; of ``unknown`` tests nothing is known.

    ``why`` says why nothing at all is. ``gpu_seconds`` are of all devices together; it takes ``longest`` with all
    tests at once, and ``one_by_one`` with one after another.
    """

    label: str
    tests: int = 0
    unknown: int = 0
    gpu_seconds: float = 0.0
    longest: float = 0.0
    one_by_one: float = 0.0
    why: str = ""


def cost(label: str, tests: Sequence[Test], medians: Mapping[str, float | None]) -> Cost:
    """The cost of the suite of ``label``, which has ``tests``; ``medians`` are what they took, in seconds."""
    will_run = [test for test in tests if not test.disabled]
    known = [(test, took) for test in will_run if (took := medians.get(test.id)) is not None]
    return Cost(
        label,
        len(will_run),
        len(will_run) - len(known),
        sum(took * test.all_gpus for test, took in known),
        max((took for _, took in known), default=0.0),
        sum(took for _, took in known),
    )


def cost_in_words(one: Cost) -> tuple[str, str]:
    """The GPU-hours and the time; what is not known is said."""
    if one.why or one.tests == one.unknown:
        return "not known", one.why or f"none of its {counted(one.tests, 'test')} has a past"
    hours, time = f"{one.gpu_seconds / 3600:.2f}", duration(one.one_by_one)
    if one.tests - one.unknown > 1:
        time = f"{duration(one.longest)} all at once, {time} one after another"
    if one.unknown:
        time += f"; {one.unknown} of {counted(one.tests, 'test')} not counted, without a past"
    return f"at least {hours}" if one.unknown else hours, time
