"""Runs of any size, made by hand, for tests and benchmarks of what shows them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trainci.model import events
from trainci.model.diagnosis import Blame, Diagnosis, Frame
from trainci.model.run import Cause, Ending, Outcome, Phase, Verdict

RED_EVERY = 10
_LINES = "".join(f"step {n} loss {0.7 / (n + 1):.6f} lr 0.0001 tokens/s 12345.6 mfu 0.41\n" for n in range(60))
_TRACEBACK = """\
Traceback (most recent call last):
  File "/repo/tests/test_x.py", line 12, in <module>
    main(prepare=prepare, execute=execute)
  File "/repo/posttrain/loss.py", line 41, in policy_loss
    raise ValueError(f"the loss is {loss} at step {step}")
ValueError: the loss is nan at step 59
"""


def made(root: Path, tests: int, devices: int, names: Sequence[str] = ()) -> list[events.Control]:
    """The events of a run of so many tests, each tenth of them red, with their logs below ``root``."""
    ids = [*names, *(f"tests/test_{n:05d}_short.py[--family qwen3-moe]" for n in range(tests - len(names)))]
    told: list[events.Control] = [
        events.RunStarted(
            1.8e9,
            "20260101-000000-abcdef",
            "0123456789abcdef",
            f"{devices} × NVIDIA H100",
            tuple(events.Planned(i, 1 + n % 2, "label", f"trainci run --id '{i}'") for n, i in enumerate(ids)),
        )
    ]
    free = [1.8e9 + 1] * devices
    for number, test_id in enumerate(ids):
        held = sorted(range(devices), key=lambda d: free[d])[: 1 + number % 2]
        start = max(free[device] for device in held)
        end = start + 20 + number * 7 % 40
        for device in held:
            free[device] = end
        told += _attempt(root, number, test_id, start, end, tuple(f"GPU-{device}" for device in sorted(held)))
    told.append(events.RunEnded(max(free), 1))
    return sorted(told, key=lambda event: event.at)


def _attempt(
    root: Path, number: int, test_id: str, start: float, end: float, devices: tuple[str, ...]
) -> list[events.Control]:
    red = number % RED_EVERY == 0
    log = f"{number:05d}.log"
    if red:
        (root / log).write_text(_LINES + _TRACEBACK)
    both = (test_id, 1, Phase.BOTH)
    evidence = "ValueError: the loss is nan at step 59"
    why = Diagnosis(Blame.CODE, "nan", "a number is none", evidence, 66, Frame("posttrain/loss.py", 41))
    verdict = (
        Verdict(Outcome.FAILED, "exit code 1", why) if red else Verdict(Outcome.PASSED, f"in {end - start:.1f} s")
    )
    ending = Ending(Cause.EXITED, int(red))
    return [
        events.Queued(start - 0.5, test_id, 1, log, len(devices)),
        events.Granted(start, *both, devices),
        events.Started(start + 0.2, *both, 1),
        events.Ended(end, *both, ending, None, why if red else None),
        events.Concluded(end, test_id, 1, verdict),
    ]
