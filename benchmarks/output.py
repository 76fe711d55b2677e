"""What a gigabyte of output costs: `python -m benchmarks.output`.

The same program writes it once into `cat > file`, the reference, and once as a test of `trainci run`, whose
standard output is a terminal that is read, a pipe that is read, a file, or nothing. The reference and a test that
prints nothing, which is taken off, take turns with it, and the best of some rounds counts: a machine may be loaded.
"""

from __future__ import annotations

import json
import os
import pty
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import conditions

SIZE = 1 << 30
PROGRAM = """
import os, sys
line = b"step 12345 loss 0.123456 lr 0.0001 tokens/s 12345.6 mfu 0.41 grad norm 1.234\\n"
piece = {"lines": line, "no line ends": line[:-1], "a progress bar": line[:-1] + b"\\r"}[sys.argv[1]]
data = piece * (65536 // len(piece))
def execute():
    for _ in range(int(sys.argv[2]) // len(data)):
        os.write(1, data)
if __name__ == "__main__":
    execute()
"""
KINDS = ("lines", "no line ends", "a progress bar")
ROUNDS = 3
READERS = ("a terminal", "a pipe", "a file", "/dev/null")
TRAINCI = [sys.executable, "-m", "trainci", "run"]


def main() -> None:
    """Print the tables of benchmarks/results/output.md."""
    # A shell has what it starts in the background ignore it, and so would what is interrupted here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        environment = _repository(root)
        print(f"Conditions: {conditions()}. The best of {ROUNDS} rounds.\n")
        heads = (
            "output",
            "standard output",
            "`cat`, of it CPU",
            "`trainci run`, of it CPU",
            "ratio",
            "memory",
            "^C heeded within",
        )
        print(f"| {' | '.join(heads)} |")
        print("|---|---|---|---|---|---|---|")
        for kind in KINDS:
            for reader in READERS:
                references, empty, runs = [], [], []
                for _ in range(ROUNDS):
                    references.append(_cat(root, kind))
                    empty.append(_run(root, environment, kind, 0, reader))
                    runs.append(_run(root, environment, kind, SIZE, reader))
                heeded = max(_interrupted(root, environment, kind, reader) for _ in range(ROUNDS))
                reference, reference_cpu = _best(references)
                took, cpu, memory = (run - nothing for run, nothing in zip(_best(runs), _best(empty), strict=True))
                print(
                    f"| {kind} | {reader} | {reference:.2f} s, {reference_cpu:.2f} s | {took:.2f} s, {cpu:.2f} s "
                    f"| {took / reference:.2f} | {memory / 1024:.0f} MiB | {heeded:.2f} s |",
                    flush=True,
                )


def _best(runs: Sequence[Sequence[float]]) -> list[float]:
    return [min(column) for column in zip(*runs, strict=True)]


def _repository(root: Path) -> dict[str, str]:
    (root / "tests").mkdir()
    (root / "tests/test_a.py").write_text(PROGRAM)
    entries = ", ".join(
        f'{{ path = "tests/test_a.py", args = ["{kind}", "{size}"] }}'
        for kind in KINDS
        for size in (0, SIZE, SIZE << 8)
    )
    (root / "trainci.toml").write_text(f"[project]\n[suites.short]\ntests = [{entries}]\n")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "TRAINCI_"))}
    return {**kept, "TRAINCI_LOCK_DIR": str(root / "locks"), "TERM": "xterm"}


def _cat(root: Path, kind: str) -> tuple[float, float]:
    """Seconds, and seconds of CPU time."""
    program = shlex.join([sys.executable, "tests/test_a.py", kind, str(SIZE)])
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(f"{program} | cat > of_cat", shell=True, cwd=root, check=True)
    took = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    (root / "of_cat").unlink()
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _start(
    root: Path, environment: dict[str, str], kind: str, size: int, reader: str
) -> tuple[subprocess.Popen[bytes], threading.Thread | None]:
    if reader in ("/dev/null", "a file"):
        path = os.devnull if reader == "/dev/null" else root / "of_trainci"
        writing, thread = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), None
    else:
        reading, writing = os.pipe() if reader == "a pipe" else pty.openpty()
        thread = threading.Thread(target=_drain, args=(reading,))
        thread.start()
    test_id = f"tests/test_a.py[{shlex.join([kind, str(size)])}]"
    process = subprocess.Popen(
        [*TRAINCI, "--id", test_id], cwd=root, env=environment, stdout=writing, start_new_session=True
    )
    os.close(writing)
    return process, thread


def _drain(reading: int) -> None:
    try:
        while os.read(reading, 1 << 16):
            continue
    except OSError:  # EIO: nobody holds the terminal any more
        pass
    os.close(reading)


def _run(root: Path, environment: dict[str, str], kind: str, size: int, reader: str) -> tuple[float, float, int]:
    """Seconds since the test was started, seconds of CPU time with its own, and the largest resident set in KiB."""
    process, thread = _start(root, environment, kind, size, reader)
    _, status, usage = os.wait4(process.pid, 0)
    took = time.time() - _started_at(root)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.returncode
    if thread:
        thread.join()
    _remove_logs(root)
    return took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def _started_at(root: Path) -> float:
    """When the newest run started its test: what the runner's own start takes scatters more than all else."""
    newest = max((root / ".trainci/runs").iterdir(), key=lambda run: run.name)
    lines = map(json.loads, (newest / "events.jsonl").read_text().splitlines())
    return float(next(line["at"] for line in lines if line["kind"] == "started"))


def _interrupted(root: Path, environment: dict[str, str], kind: str, reader: str) -> float:
    """Seconds from a ^C in the middle of the output until the run has ended."""
    process, thread = _start(root, environment, kind, SIZE << 8, reader)
    while sum(log.stat().st_size for log in root.glob(".trainci/runs/*/*.log")) < SIZE >> 3:
        time.sleep(0.01)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait()
    took = time.monotonic() - began
    if thread:
        thread.join()
    _remove_logs(root)
    return took


def _remove_logs(root: Path) -> None:
    for log in root.glob(".trainci/runs/*/*.log"):
        log.unlink()


if __name__ == "__main__":
    main()
