"""From the exit of a holder's command to the start of the next one's."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.lease.tools import Bench, summary

FILELOCK = """
import subprocess, sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    subprocess.run(sys.argv[2:])
"""


def rows(bench: Bench, trials: int) -> list[tuple[str, str, str]]:
    """Median and p95 for each tool, with the ratio to flock(1)."""
    found = []
    for devices in (1, 8):
        times = by_turns(bench, tools(bench, devices), trials)
        reference = summary(times["flock(1)"])
        for name, seconds in times.items():
            median, p95 = summary(seconds)
            found.append(
                (
                    f"hand-over, {devices} of {devices}: {name}",
                    f"{median * 1e3:.2f} ms, p95 {p95 * 1e3:.2f} ms",
                    f"{median / reference[0]:.2f}, p95 {p95 / reference[1]:.2f}",
                )
            )
    return found


def by_turns(bench: Bench, prefixes: dict[str, list[str]], trials: int) -> dict[str, list[float]]:
    """Seconds of each hand-over; by turns, so that a busy moment meets all alike."""
    times: dict[str, list[float]] = {name: [] for name in prefixes}
    for number in range(trials):
        for name, prefix in prefixes.items():
            times[name].append(one(bench, prefix, number))
    return times


def tools(bench: Bench, devices: int) -> dict[str, list[str]]:
    """How each tool is told to run a command with every device."""
    found = {
        "flock(1)": flock(bench, devices),
        "trainci lease": bench.lease(devices, "--count", str(devices), "--"),
    }
    if devices == 1 and importlib.util.find_spec("filelock"):
        found["filelock"] = [sys.executable, "-c", FILELOCK, str(bench.folder / "filelock")]
    if devices == 1 and shutil.which("tsp"):
        found["task-spooler"] = ["tsp", "-nf"]
    return found


def flock(bench: Bench, devices: int) -> list[str]:
    """flock(1) takes one lock, so several are taken by several, one within the other."""
    return [part for i in range(devices) for part in ("flock", str(bench.folder / f"flock-{i}"))]


def one(bench: Bench, prefix: list[str], number: int) -> float:
    gate, ended, begun = (bench.folder / f"{name}-{number}" for name in ("gate", "ended", "begun"))
    for path in (ended, begun, gate):
        path.unlink(missing_ok=True)
    os.mkfifo(gate)
    environment = {**bench.environment, "TS_SOCKET": str(bench.folder / "tsp")}
    said = bench.folder / "said"
    said.unlink(missing_ok=True)
    # The next command's clock is read after `date` has started, the holder's before `sh` ends: alike for all.
    holder = start([*prefix, "sh", "-c", f"read line <{gate}; date +%s%N >{ended}"], environment, said)
    with gate.open("w") as opened:
        waiter = start([*prefix, "sh", "-c", f"date +%s%N >{begun}"], environment, said)
        wait_until_idle(waiter)
        opened.write("go\n")
    holder.wait()
    waiter.wait()
    return (read(begun, said) - read(ended, said)) / 1e9


def read(path: Path, said: Path) -> int:
    """The time in a file that its writer may not have written when its parent says that it has ended.

    :raises RuntimeError: it was not written; with what the tool ``said``.
    """
    until = time.monotonic() + 20
    while not (path.exists() and path.read_text().strip()):
        if time.monotonic() > until:
            raise RuntimeError(f"{path.name}: the command did not run; it was said:\n{said.read_text()}")
        time.sleep(0.01)
    return int(path.read_text())


def start(command: list[str], environment: dict[str, str], said: Path) -> subprocess.Popen[bytes]:
    with said.open("ab") as errors:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
        )


def wait_until_idle(process: subprocess.Popen[bytes]) -> None:
    """Until the waiter has used no CPU for a while: it waits now."""
    before = -1.0
    while True:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        used = float(fields[11]) + float(fields[12])
        if used == before and fields[0] == "S":
            return
        before = used
        time.sleep(0.25)
