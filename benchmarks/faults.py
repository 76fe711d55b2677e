"""What tests do to a runner at their worst: `python -m benchmarks.faults`.

200 tests, as many of them at once as there can be virtual devices; ten million lines; a line of 100 MB; 100 MB of
anything. What was printed is in the logs to the last byte, the verdicts are right, and the runner stays small.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure
from trainci.model.device import MOST_DEVICES

TESTS = 200
LINES = 10_000_000
BYTES = 100_000_000
PRINTERS = {
    "ten million lines": "for start in range(0, {lines}, 10_000): put(line * 10_000)",
    "a line of 100 MB": "for _ in range({size} // 1_000_000): put(b'x' * 1_000_000)",
    "100 MB of random bytes": "for _ in range({size} // 1_000_000): put(chance.randbytes(1_000_000))",
}
# The sum of what it printed goes into a file of its own, and its end is one that a verdict must find.
PROGRAM = """
import hashlib, os, random
chance, line, said = random.Random(7), b"step 12345 loss 0.123456\\n", hashlib.sha256()
def put(data):
    said.update(data)
    while data:
        data = data[os.write(1, data):]
{printer}
put(b"\\n")
open("said", "w").write(said.hexdigest())
raise ValueError("the end")
"""


@dataclass(frozen=True)
class Measured:
    """One run: its exit code and output, the seconds that it took, the runner's largest resident set in MiB."""

    code: int
    out: str
    seconds: float
    memory: float


def main() -> None:
    rows = [["what", "exit code", "seconds", "the runner's largest resident set", "lost", "verdict"], _many()]
    for name, printer in PRINTERS.items():
        rows.append(_printer(name, printer.format(lines=LINES, size=BYTES)))
    notes = (
        "Lost: what tests printed and is not in their logs, by SHA-256 of the bytes for those of one test, by the "
        "lines of each for the many. The program of one test ends with a ValueError, which is the code's.\n"
        f"No more than {MOST_DEVICES} of the many run at one time: there are no more virtual devices."
    )
    measure.record("faults", "What tests do to a runner at their worst", rows, notes)


def _many() -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "tests").mkdir()
        for number in range(TESTS):
            script = f"# NUM_GPUS = 1\necho begin {number}\nsleep 1\necho end {number}\nexit $(({number} % 2))\n"
            (root / f"tests/t{number}.sh").write_text(script)
        paths = ", ".join(f'"tests/t{number}.sh"' for number in range(TESTS))
        (root / "trainci.toml").write_text(f"[suites.short]\ntests = [{paths}]\n")
        run = _run(root, MOST_DEVICES)
        logs = {log.read_text() for log in (root / ".trainci").glob("runs/*/*.log")}
        lost = sum(f"begin {number}\nend {number}\n" not in logs for number in range(TESTS))
        counts = re.findall(r"^(\d+ passed, \d+ failed)", run.out, re.MULTILINE)
        return [
            f"{TESTS} tests",
            str(run.code),
            f"{run.seconds:.0f}",
            f"{run.memory:.0f} MiB",
            str(lost),
            counts[-1],
        ]


def _printer(name: str, printer: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "print.py").write_text(PROGRAM.format(printer=printer))
        command = f'{{ name = "prints", command = ["{sys.executable}", "print.py"], num_gpus = 0 }}'
        (root / "trainci.toml").write_text(f"[suites.short]\ntests = [{command}]\n")
        run = _run(root, 1)
        (log,) = (root / ".trainci").glob("runs/*/*.log")
        size = log.stat().st_size
        found = _digest(log, size - _traceback_bytes(log, size))
        lost = "nothing" if found == (root / "said").read_text() else "something"
        why = re.findall(r"why: +(.+?): ", run.out)
        verdict = why[-1] if why else run.out[-200:]
        return [name, str(run.code), f"{run.seconds:.0f}", f"{run.memory:.0f} MiB", lost, verdict]


def _traceback_bytes(log: Path, size: int) -> int:
    """The length of the traceback at the log's end, which the program has not counted."""
    with log.open("rb") as file:
        file.seek(max(0, size - 4096))
        end = file.read()
    return len(end) - end.rindex(b"Traceback (most recent call last):")


def _digest(log: Path, count: int) -> str:
    said = hashlib.sha256()
    with log.open("rb") as file:
        while count and (data := file.read(min(count, 1 << 20))):
            said.update(data)
            count -= len(data)
    return said.hexdigest()


def _run(root: Path, devices: int) -> Measured:
    environment = {**measure.environment(), "TRAINCI_LOCK_DIR": str(root / "locks")}
    command = [sys.executable, "-m", "trainci", "run", "short", "--devices", f"cpu:{devices}"]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    peaks = [0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peaks))
    watcher.start()
    assert process.stdout is not None
    end = b""
    # As a job's log takes it, and no more of it kept than is looked at.
    while data := process.stdout.read1(1 << 20):
        end = (end + data)[-(1 << 20) :]
    code = process.wait()
    watcher.join()
    return Measured(code, end.decode("utf-8", "replace"), time.monotonic() - began, max(peaks) / 1024)


def _watch(pid: int, peaks: list[int]) -> None:
    """The high-water mark of a process, in KiB, until it has ended."""
    status = Path(f"/proc/{pid}/status")
    while True:
        try:
            found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        except OSError:
            return
        if found is None:
            return
        peaks.append(int(found[1]))
        time.sleep(0.05)


if __name__ == "__main__":
    main()
