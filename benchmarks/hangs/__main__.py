"""``python -m benchmarks.hangs [shapes|healthy]``: a record of who is named, and of false alarms."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.hangs.observe import judged, observe, repository
from benchmarks.measure import record

HERE = Path(__file__).parent
WINDOW_S = 6.0
# So long after the window somebody may be named.
WITHIN_S = 5.0
LIMIT_S = 90.0
PATIENCE_S = 1800.0
GOAL = 19
HEALTHY_EACH = 20


def main(words: Sequence[str]) -> int:
    """Run what is asked for (all); the exit code."""
    asked = set(words) or {"shapes", "healthy"}
    codes = [_shapes(words)] if asked != {"healthy"} else []
    codes += [_healthy()] if "healthy" in asked else []
    return max(codes)


def _shapes(words: Sequence[str]) -> int:
    only = set(words) - {"shapes", "healthy"}
    rows = [["shape", "named", "after the last was stuck", "verdict"]]
    right = 0
    for shape in sorted((HERE / "shapes").iterdir()):
        if shape.suffix not in (".py", ".sh") or (only and shape.stem not in only):
            continue
        with repository(shape, WINDOW_S, LIMIT_S) as root:
            (seen,) = observe(root, "cpu:4", PATIENCE_S)
        one = judged(shape, seen, WINDOW_S + WITHIN_S)
        right += one.named and one.in_time
        rows.append([*one.cells])
        print(*rows[-1], sep=" | ", flush=True)
    notes = (
        f"{right} of {len(rows) - 1} named in time; the stall window is {WINDOW_S:g} s, and {WITHIN_S:g} s more."
    )
    if not only:
        record("hangs", "Who hung", rows, notes)
    return 0 if right >= min(GOAL, len(rows) - 1) else 1


def _healthy() -> int:
    rows = [["slow but healthy", "runs", "passed", "called hung"]]
    alarms = wrong = 0
    for shape in sorted((HERE / "healthy").glob("*.py")):
        with repository(shape, WINDOW_S, LIMIT_S, HEALTHY_EACH) as root:
            seen = observe(root, "cpu:8", PATIENCE_S)
        hung = [each for each in seen if each.outcome == "hung"]
        passed = sum(each.outcome == "passed" for each in seen)
        alarms, wrong = alarms + len(hung), wrong + len(seen) - passed
        rows.append([shape.stem, str(len(seen)), str(passed), str(len(hung))])
        print(*rows[-1], *(each.sentence for each in hung), sep=" | ", flush=True)
    record(
        "hangs_healthy", "Slow, and not hung", rows, f"{alarms} false alarms; the stall window is {WINDOW_S:g} s."
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
