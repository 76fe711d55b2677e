"""What `trainci serve` costs over a large history: `python -m benchmarks.serve`."""

from __future__ import annotations

import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.measure import record

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import served
from browser.runs import made

from trainci.history import open_store
from trainci.history.event_log import EventLog
from trainci.model.events import Concluded
from trainci.model.run import Cause, Outcome
from trainci.paths import RunPaths, StatePaths

_RUNS, _TESTS = 1000, 100
_ASKED = 60
_NEWEST = "20260101-000000-newest"
_GOING, _GOING_TESTS = "20260102-000000-going", 2000
_LOG_BYTES = 100 << 20
_FILE = "/style.css"


def main() -> None:
    """Write benchmarks/results/serve.md."""
    asked = ["p95 ms", "of a file", "CPU ms"]
    rows = [
        ["page", "first ms", *(f"{name}, as it was" for name in asked), *(f"{name}, renewed" for name in asked)]
    ]
    rows[0].append("size")
    with tempfile.TemporaryDirectory() as folder:
        state = served.repository(Path(folder) / "repository")
        tests = [f"tests/test_{number:03d}.py" for number in range(_TESTS)]
        _fill(state, tests)
        served.add_run(state, _NEWEST, tests, at=1e7)
        with (state.runs / _NEWEST / "00000.log").open("ab") as log:
            for _ in range(_LOG_BYTES // 100):
                log.write(b"\x1b[32mstep 1\x1b[0m loss 0.1234 " + b"x" * 70 + b"\n")
        with closing(_Going(state)) as going, served.running(state.root) as server:
            for name, path in _pages(tests[7]).items():
                first, size = _timed(server, path)
                as_it_was = _asked(server, path, lambda: None)
                renewed = _asked(server, path, going.goes_on)
                rows.append([name, f"{first * 1e3:.0f}", *as_it_was, *renewed, f"{size:,} B"])
            status = Path(f"/proc/{server.pid}/status").read_text()
    peak = int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) >> 10
    record(
        "serve",
        f"What `trainci serve` costs over a history of {_RUNS * _TESTS:,} attempts",
        rows,
        f"{_RUNS:,} runs of {_TESTS} tests. After the first time each page is asked for {_ASKED} times in turn as "
        f"it was, then {_ASKED} times with a verdict more each time, in the history and in the run that goes on. "
        "Between two a file of the server's own is asked for, which takes no work: its p95 is what the host's load "
        "makes of nothing. CPU is what the server computed for one, on the mean, whatever else the host does. "
        f"The server had at most {peak} MiB resident. The log has {_LOG_BYTES >> 20} MiB and is that of a "
        "red test of the run with its files: its end is searched for what tells why when it is first shown.",
    )


def _pages(test: str) -> dict[str, str]:
    log = f"/log?run={_NEWEST}&name=00000.log"
    return {
        "now": "/",
        "runs": "/runs",
        "one run, with its files": f"/run?id={_NEWEST}",
        "one run, from the history": "/run?id=run-00500",
        f"one run that goes on, {_GOING_TESTS:,} tests": f"/run?id={_GOING}",
        "one test": f"/test?id={test}",
        "slowest and flakiest": "/tests",
        "suites by commits": "/grid",
        "tests by commits": "/grid?suite=in+no+suite",
        "health": "/health",
        "the end of a log": log,
        "the middle of a log": f"{log}&from={_LOG_BYTES // 2}",
    }


class _Going:
    """A run whose runner lives: this process, until it is closed."""

    def __init__(self, state: StatePaths) -> None:
        self._log = EventLog(RunPaths(state, _GOING), print)
        self._store = open_store(state)
        told = made(RunPaths(state, _GOING).directory, _GOING_TESTS, 8)
        self._store.begin_run(_GOING, "c0ffee", "8 GPUs", told[0].at)
        half = len(told) // 2
        self._left = iter(told[half:-1])
        for event in told[:half]:
            self._log(event)

    def goes_on(self) -> None:
        """Tell of events up to the next verdict, and keep that."""
        for event in self._left:
            self._log(event)
            if isinstance(event, Concluded):
                self._store.keep_verdict(_GOING, event.test_id, event.verdict, event.at)
                return
        raise AssertionError("more was asked for than the run has tests")

    def close(self) -> None:
        """The runner is gone."""
        self._store.close()
        self._log.close()


def _asked(server: served.Server, path: str, between: Callable[[], object]) -> list[str]:
    """p95 of many times, that of a file beside it, and the server's CPU for one, in milliseconds.

    ``between`` two something happens.
    """
    seconds, of_file, computed = [], [], 0.0
    for _ in range(_ASKED):
        between()
        of_file.append(_timed(server, _FILE)[0])
        before = _cpu_seconds(server.pid)
        seconds.append(_timed(server, path)[0])
        computed += _cpu_seconds(server.pid) - before
    quick, slow = (statistics.quantiles(times, n=20)[-1] for times in (of_file, seconds))
    return [f"{number * 1e3:.0f}" for number in (slow, quick, computed / _ASKED)]


def _timed(server: served.Server, path: str) -> tuple[float, int]:
    began = time.perf_counter()
    answer = server.get(path)
    took = time.perf_counter() - began
    assert answer.code == 200, path
    return took, len(answer.body)


def _cpu_seconds(pid: int) -> float:
    """What the process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _fill(state: StatePaths, tests: list[str]) -> None:
    began = 1.7e9
    runs, attempts, verdicts, metrics = [], [], [], []
    for number in range(_RUNS):
        run, at = f"run-{number:05d}", began + 3600 * number
        runs.append(
            {"id": run, "commit_id": f"{number // 3:040x}", "devices": "8 × NVIDIA H100", "host": "gpu-1"}
            | {"started": at, "ended": at + 900, "exit_code": 0, "cut_off": 0}
        )
        for place, test in enumerate(tests):
            red, flaky = (number + place) % 17 == 0, (number + place) % 23 == 0
            key = {"run_id": run, "test_id": test}
            attempts.append(
                {**key, "number": 1, "gpus": 1, "log": "a.log", "devices": f'["GPU-{place % 8}"]', "queued": at}
                | {"started": at + 1, "ended": at + 60 + place, "exit_code": int(red), "phase": "both"}
                | {"cause": Cause.EXITED.value, "detail": ""}
            )
            outcome = Outcome.FAILED if red else Outcome.FLAKY if flaky else Outcome.PASSED
            verdicts.append({**key, "outcome": outcome.value, "sentence": "in 60.0 s", "at": at + 60 + place})
            metrics.append({**key, "number": 1, "name": "train/loss", "value": 0.5, "step": 9, "at": at + 50})
    with closing(open_store(state)) as store:
        for table, rows in (("runs", runs), ("attempts", attempts), ("verdicts", verdicts), ("metrics", metrics)):
            store.add_rows(table, rows)


if __name__ == "__main__":
    main()
