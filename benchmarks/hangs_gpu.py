"""Who hung, on NVIDIA GPUs: ranks of NCCL that wait, a stream that waits for ever, a kernel that does not end.

Run from the repository's root: ``PYTHONPATH=src python3 -m benchmarks.hangs_gpu [SHAPE…]``. Needs torch, two GPUs
(four for two of the shapes), and what trainci needs, all of it on the ``PYTHONPATH``; half a minute a shape. Prints
a table, and writes that of all shapes to benchmarks/results/hangs_gpu.md.
"""

from __future__ import annotations

import platform
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.hangs.observe import Judged, Seen, judged, observe, repository
from trainci.host import devices

WINDOW_S = 15.0
# So long after the window it may be named.
WITHIN_S = 5.0
LIMIT_S = 150.0
PATIENCE_S = 240.0
SHAPES = Path(__file__).parent / "hangs" / "gpu"
RECORD = Path(__file__).parent / "results" / "hangs_gpu.md"


def main(only: Sequence[str]) -> int:
    """Run the shapes that are named (all); the exit code."""
    found = devices.discover()
    if len(found) < 2:
        sys.stderr.write("this needs two NVIDIA GPUs.\n")
        return 1
    lines = [f"{found[0].name}, {platform.release()}, Python {platform.python_version()}, torch {_torch()}", ""]
    lines += [f"Stall window {WINDOW_S:g} s; {time.strftime('%Y-%m-%d')}.", ""]
    lines += ["| shape | named | after the last was stuck | verdict | GPUs over the window |"]
    lines += ["|---|---|---|---|---|"]
    failed = 0
    for shape in sorted(SHAPES.glob("*.py")):
        if only and shape.stem not in only:
            continue
        if _needed(shape) > len(found):
            lines.append(f"| {shape.stem} | not run: this host has {len(found)} GPUs | | | |")
            continue
        with repository(shape, WINDOW_S, LIMIT_S) as root:
            (seen,) = observe(root, "auto", PATIENCE_S)
        one = judged(shape, seen, WINDOW_S + WITHIN_S)
        failed += not (one.named and one.in_time)
        lines.append(_row(one, seen))
        print(lines[-1], flush=True)
        if not one.named:
            print(seen.output[-6000:], flush=True)
    lines += ["", f"{failed} shapes were not named, or not in time."]
    if not only:
        RECORD.write_text("# Who hung, on GPUs\n\n" + "\n".join(lines) + "\n")
    print("\n".join(lines))
    return 1 if failed else 0


def _needed(shape: Path) -> int:
    found = re.search(r"^NUM_GPUS = (\d+)$", shape.read_text(), re.MULTILINE)
    assert found, f"{shape.name} does not say how many GPUs it needs"
    return int(found[1])


def _row(one: Judged, seen: Seen) -> str:
    usage = "; ".join(dict.fromkeys(re.findall(r"trainci: (device .*)", seen.output)))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (*one.cells, usage)) + " |"


def _torch() -> str:
    import torch

    return str(torch.__version__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
