"""What a terminal costs the host while tests train: `python -m benchmarks.terminal`.

The painter and the console of a run on a terminal get what four tests print in five seconds, 5,040 colored lines;
what is measured is the CPU time of this process.
"""

from __future__ import annotations

import os
import pty
import sys
import threading
import time

from benchmarks.measure import record
from trainci.console.live import LiveConsole
from trainci.console.painter import Painter
from trainci.model import events
from trainci.model.device import Device, Pool
from trainci.model.run import Phase
from trainci.model.selection import Selected, Selection
from trainci.model.tests import Test

LINES = 5040
TESTS = [Test(f"tests/test_{name}.py", num_gpus=2) for name in "abcd"]
LINE = "\x1b[36m(Trainer pid=7)\x1b[0m step {} loss 0.123456 lr 0.0001 tokens/s 12345.6 mfu 0.41 grad norm 1.2\n"
_PIECE = 20


def main() -> None:
    """Write benchmarks/results/terminal.md."""
    rows = [["what is shown", "CPU time", "bytes that reach the terminal"]]
    for name, verbose in (("the last lines of what runs", False), ("all output (--verbose)", True)):
        runs = sorted(_run(verbose) for _ in range(5))
        seconds, size = runs[len(runs) // 2]
        rows.append([name, f"{seconds:.2f} s", f"{size:,}"])
    notes = f"The median of 5 runs of {LINES:,} lines, in pieces of {_PIECE} lines as a pipe brings them."
    record("terminal", "What a terminal costs", rows, notes)


def _run(verbose: bool) -> tuple[float, int]:
    master, terminal = pty.openpty()
    size = [0]
    reader = threading.Thread(target=_drain, args=(master, size))
    reader.start()
    with os.fdopen(terminal, "w") as stream:
        pool = Pool(tuple(Device(n, f"cpu-{n}", virtual=True) for n in range(8)), virtual=True)
        selection = Selection(tuple(Selected(test, "") for test in TESTS))
        console = LiveConsole(stream, time.time, selection, pool, {})
        console.skips = not verbose
        began = time.process_time()
        with Painter(console) as painter:
            for test in TESTS:
                painter(events.Queued(0.0, test.id, 1, "log", 2))
                painter(events.Started(0.0, test.id, 1, Phase.BOTH, 1))
            for first in range(0, LINES, _PIECE):
                data = "".join(LINE.format(number) for number in range(first, first + _PIECE)).encode()
                painter(events.Output(0.0, TESTS[first // _PIECE % len(TESTS)].id, 1, Phase.BOTH, data))
                # As tests print it; all at once would be skipped.
                time.sleep(_PIECE / 1000)
        took = time.process_time() - began
    reader.join()
    os.close(master)
    return took, size[0]


def _drain(master: int, size: list[int]) -> None:
    try:
        while data := os.read(master, 65536):
            size[0] += len(data)
    except OSError:  # EIO: nobody holds the terminal any more
        return


if __name__ == "__main__":
    sys.exit(main())
