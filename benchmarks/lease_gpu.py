"""The lease on NVIDIA GPUs: discovery, the idle gate, Xid errors, memory that returns before a hand-over.

Of one GPU, and of all that the host has.

Run from the repository's root: ``PYTHONPATH=src python3 -m benchmarks.lease_gpu``. Needs torch and nvidia-ml-py,
nothing else of trainci's, and about two minutes. Prints a record and writes it to benchmarks/results/lease_gpu.md;
exits with 1 when a statement in it is false.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.lease import handover
from benchmarks.lease.tools import Bench, summary
from trainci.host import devices
from trainci.lease.actions import Maintainer
from trainci.lease.store.health import IDLE_BYTES
from trainci.lease.view import status

HOLD_MEMORY = """
import sys, time, torch
block = torch.empty(int(sys.argv[1]), dtype=torch.uint8, device="cuda")
torch.cuda.synchronize()
print("holds", flush=True)
time.sleep(float(sys.argv[2]))
"""
BUSY = """
import torch, time
block = torch.ones(4 << 30, dtype=torch.uint8, device="cuda")
x = torch.randn(4096, 4096, device="cuda")
print("busy", flush=True)
while True:
    x = torch.tanh(x @ x)
    torch.cuda.synchronize()
"""
# Writes far beyond its memory: a page fault of the GPU, and so an Xid.
WILD = """
import torch
block = torch.zeros(1 << 20, dtype=torch.uint8, device="cuda")
class Beyond:
    __cuda_array_interface__ = {
        "shape": (1 << 38,), "typestr": "|u1", "data": (block.data_ptr(), False), "version": 2
    }
torch.as_tensor(Beyond(), device="cuda")[-1:].fill_(1)
torch.cuda.synchronize()
"""
# A lease to which no Xid counts as a program's own fault.
STRICT_LEASE = """
import sys
from trainci.lease import command
from trainci.lease.store import health
health._OF_PROGRAMS = frozenset()
sys.exit(command.main(sys.argv[1:]))
"""
HELD_BYTES = 8 << 30
PATIENCE_S = 60.0
TRIALS = 25
# The gate is asked once for each device; more than this would be a loop that polls.
LONGEST_HAND_OVER_S = 0.25
RECORD = Path(__file__).parent / "results" / "lease_gpu.md"

lines: list[str] = []
failures: list[str] = []


def say(line: str) -> None:
    lines.append(line)
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def record(what: str, holds: bool, seen: str) -> None:
    say(f"{'ok  ' if holds else 'FAIL'} {what}: {seen}")
    if not holds:
        failures.append(what)


def lease(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "trainci.lease", "--lock-dir", str(folder / "locks"), *arguments]


def discovery(uuid: str, folder: Path) -> None:
    show = (
        "echo $CUDA_VISIBLE_DEVICES $TRAINCI_DEVICES; python3 -c 'import torch; print(torch.cuda.device_count())'"
    )
    done = run(lease(folder, "--devices", uuid, "--", "sh", "-c", show.replace("python3", sys.executable)))
    record(
        "the job sees exactly its GPU",
        done.returncode == 0 and done.stdout.split()[1:] == [uuid, "1"],
        repr(done.stdout),
    )
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        run(lease(folder, "--devices", uuid, "--", "true"))
        times.append(time.perf_counter() - begun)
    record("a lease of a GPU, uncontended", True, f"{min(times) * 1e3:.0f} ms with the NVML gate")


def hand_over(uuid: str, folder: Path) -> None:
    """As benchmarks/lease measures it. No CUDA job: its memory takes its own time to return."""
    bench = Bench()
    bench.environment = dict(os.environ)
    prefixes = {"flock(1)": handover.flock(bench, 1), "ours": lease(folder, "--devices", uuid, "--")}
    times = handover.by_turns(bench, prefixes, TRIALS)
    shutil.rmtree(bench.folder)
    (flock, flock_p95), (ours, ours_p95) = summary(times["flock(1)"]), summary(times["ours"])
    record(
        "a hand-over of a GPU",
        ours < LONGEST_HAND_OVER_S,
        f"{ours * 1e3:.0f} ms with the NVML gate, p95 {ours_p95 * 1e3:.0f} ms; flock(1) {flock * 1e3:.1f} ms, "
        f"p95 {flock_p95 * 1e3:.1f} ms; {TRIALS} trials",
    )


def stranger_on(uuid: str, seconds: int) -> subprocess.Popen[str]:
    """A process outside the queue that has memory of the GPU for so long."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_MEMORY, str(HELD_BYTES), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": uuid},
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def clean_gate(uuid: str, folder: Path) -> None:
    """A stranger's process holds memory for a while: the job waits for it, and does not get the GPU before."""
    stranger = stranger_on(uuid, seconds=6)
    used = devices.memory_used(uuid)
    begun = time.monotonic()
    done = run(lease(folder, "--devices", uuid, "--", "true"))
    waited = time.monotonic() - begun
    stranger.wait()
    record("the idle gate sees memory in use", used > IDLE_BYTES, f"{used >> 20} MiB")
    record("the job started once it had returned", done.returncode == 0 and waited > 2, f"after {waited:.1f} s")


def used_outside(uuid: str, folder: Path) -> None:
    """Somebody uses the GPU outside the queue: it is busy, found so at once, and comes back by itself."""
    stranger = stranger_on(uuid, seconds=1000)
    waiter = subprocess.Popen(lease(folder, "--devices", uuid, "--", "true"), stderr=subprocess.PIPE, text=True)
    try:
        assert waiter.stderr is not None
        begun = time.monotonic()
        said = waiter.stderr.readline()
        took = time.monotonic() - begun
        named = f"in use outside the queue by process {stranger.pid}" in said
        record("a GPU that somebody uses is found so before its memory is waited for", named and took < 10, said)
        state = state_of(uuid, folder)
        record("it is busy, and no hardware quarantine", state.startswith("busy outside the queue"), repr(state))
    finally:
        stranger.kill()
        stranger.wait()
    record("it clears by itself", waiter.wait(PATIENCE_S) == 0, f"exit {waiter.returncode}")
    wait_for_memory(uuid)


def xid(uuid: str, folder: Path) -> None:
    """An Xid that a program causes is heard, and takes no GPU away; one that counts does."""
    heard = devices.listen([uuid])
    done = run(lease(folder, "--devices", uuid, "--", sys.executable, "-c", WILD))
    numbers = sorted({number for _, number in heard()})
    record("a job that writes beyond its memory fails", done.returncode == 1, f"exit {done.returncode}")
    record("its Xid is heard", bool(numbers), f"Xid {numbers}")
    state = state_of(uuid, folder)
    record("it is a program's fault, so the GPU stays", state == "free ", repr(state))
    strict = lease(folder, "--devices", uuid, "--", sys.executable, "-c", WILD)
    run([sys.executable, "-c", STRICT_LEASE, *strict[3:]])
    state = state_of(uuid, folder)
    record("an Xid that counts quarantines it", state.startswith("quarantined Xid"), repr(state))
    Maintainer(str(folder / "locks"), os.environ).release(uuid, "")


def state_of(uuid: str, folder: Path) -> str:
    found = [device for device in status(str(folder / "locks")).devices if device.uuid == uuid]
    return f"{found[0].state} {found[0].reason}" if found else "never leased"


def time_limit(uuid: str, folder: Path) -> None:
    """A CUDA job ends at its time limit; the next one finds the memory returned."""
    look = (
        "import sys, time; from trainci.host.devices import memory_used; "
        "print(memory_used(sys.argv[1]) >> 20, time.time())"
    )
    first = subprocess.Popen(
        lease(folder, "--devices", uuid, "--time-limit", "30", "--grace", "2", "--", sys.executable, "-c", BUSY),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert first.stdout is not None
    started = first.stdout.readline() == "busy\n"
    used = devices.memory_used(uuid)
    done = run(lease(folder, "--devices", uuid, "--", sys.executable, "-c", look, uuid))
    first.wait(PATIENCE_S)
    record("a CUDA job ran", started and used > 4 << 30, f"{used >> 20} MiB in use while it ran")
    record("its time limit ended it", first.returncode in (137, 143), f"exit {first.returncode}")
    left = int(done.stdout.split()[0]) if done.returncode == 0 else -1
    record("its memory had returned before the hand-over", 0 <= left <= IDLE_BYTES >> 20, f"{left} MiB in use")


def all_of_them(uuids: list[str], folder: Path) -> None:
    """A lease of every GPU: uncontended, and while somebody uses the last one outside the queue."""
    count = ["--count", str(len(uuids))]
    show = "import os, torch; print(os.environ['CUDA_VISIBLE_DEVICES'], torch.cuda.device_count())"
    done = run(lease(folder, *count, "--", sys.executable, "-c", show))
    record("a job of all GPUs sees all of them", done.stdout.split()[1:] == [str(len(uuids))], repr(done.stdout))
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        run(lease(folder, *count, "--", "true"))
        times.append(time.perf_counter() - begun)
    record(f"a lease of {len(uuids)} GPUs, uncontended", True, f"{min(times) * 1e3:.0f} ms with the NVML gate")
    stranger = stranger_on(uuids[-1], seconds=1000)
    waiter = subprocess.Popen(lease(folder, *count, "--", "true"), stderr=subprocess.PIPE, text=True)
    try:
        assert waiter.stderr is not None
        said = waiter.stderr.readline()
        named = f"in use outside the queue by process {stranger.pid}" in said
        record("it waits while one of them is used by somebody, and says by whom", named, said.strip())
    finally:
        stranger.kill()
        stranger.wait()
    record("it gets all once that one is free", waiter.wait(PATIENCE_S) == 0, f"exit {waiter.returncode}")
    wait_for_memory(uuids[-1])


def wait_for_memory(uuid: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while devices.memory_used(uuid) > IDLE_BYTES and time.monotonic() < until:
        time.sleep(0.1)


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        done = subprocess.CompletedProcess(command, 124, "", f"no end within {PATIENCE_S:g} s")
    for line in done.stderr.splitlines()[-1:]:
        say(f"     {line}")
    return done


def main() -> int:
    missing = [name for name in ("torch", "pynvml") if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write(f"{sys.executable} has no {' and no '.join(missing)}: install torch and nvidia-ml-py.\n")
        return 1
    found = devices.discover()
    if not found:
        sys.stderr.write("NVML shows no GPU here: there is nothing to measure.\n")
        return 1
    gpu = found[0]
    host = f"Linux {platform.release()}, Python {platform.python_version()}, {os.cpu_count()} cores"
    say(f"# The lease on a GPU\n\n{gpu.name}, {gpu.memory_bytes >> 30} GiB; {host}\n\n```")
    begun = time.monotonic()
    record("NVML discovery", True, ", ".join(f"{device.index} {device.name}" for device in found))
    with tempfile.TemporaryDirectory(prefix="trainci-gpu-") as name:
        for check in (discovery, hand_over, clean_gate, used_outside, xid, time_limit):
            check(gpu.uuid, Path(name))
        if len(found) > 1:
            all_of_them([device.uuid for device in found], Path(name))
    say(f"```\n\n{len(failures)} statements failed. It took {time.monotonic() - begun:.0f} s.")
    RECORD.write_text("\n".join(lines) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
