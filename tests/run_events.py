"""What a run tells its listeners, for the tests of whatever listens."""

from __future__ import annotations

from collections.abc import Iterable

from trainci.model import events
from trainci.model.run import Cause, Ending, Outcome, Phase, Verdict

PASSED = Ending(Cause.EXITED, 0)
VERDICT = Verdict(Outcome.PASSED, "in 1.0 s")


def attempt(test_id: str, number: int, at: float, seconds: float, ending: Ending = PASSED) -> list[events.Control]:
    """An attempt in one go, that is granted and started at ``at``."""
    of_attempt = (test_id, number, Phase.BOTH)
    return [
        events.Queued(at, test_id, number, "a.log", 1),
        events.Granted(at, *of_attempt, ("cpu-0",)),
        events.Started(at, *of_attempt, 1),
        events.Ended(at + seconds, *of_attempt, ending),
    ]


def run(run_id: str, seconds: Iterable[float], verdict: Verdict = VERDICT) -> list[events.Control]:
    """A whole run of a.py, with an attempt of each of these durations."""
    told: list[events.Control] = [events.RunStarted(0.0, run_id, "c0ffee", "no GPU", ())]
    number = 0
    for number, duration in enumerate(seconds, start=1):
        told += attempt("a.py", number, 10.0 * number, duration)
    return [*told, events.Concluded(99.0, "a.py", number, verdict), events.RunEnded(100.0, 0)]
