"""The lease on one NVIDIA GPU: discovery, the idle gate, and memory that returns before a hand-over.

Run from the repository's root, with torch and nvidia-ml-py: ``PYTHONPATH=src python benchmarks/lease_gpu.py``.
Prints a record, and exits with 1 when a statement in it is false. Nothing is left out silently.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from trainci import devices
from trainci.lease import release, status
from trainci.lease.health import IDLE_BYTES, IDLE_WITHIN_S

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
HELD_BYTES = 8 << 30
PATIENCE_S = 120.0

failures: list[str] = []


def record(what: str, holds: bool, seen: str) -> None:
    sys.stdout.write(f"{'ok  ' if holds else 'FAIL'} {what}: {seen}\n")
    sys.stdout.flush()
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


def clean_gate(uuid: str, folder: Path) -> None:
    """A stranger's process holds memory for a while: the job waits for it, and does not get the GPU before."""
    stranger = subprocess.Popen(
        [sys.executable, "-c", HOLD_MEMORY, str(HELD_BYTES), "6"], stdout=subprocess.PIPE, text=True
    )
    assert stranger.stdout is not None
    stranger.stdout.readline()
    used = devices.memory_used(uuid)
    begun = time.monotonic()
    done = run(lease(folder, "--devices", uuid, "--", "date", "+%s%N"))
    waited = time.monotonic() - begun
    stranger.wait()
    record("the idle gate sees memory in use", used > IDLE_BYTES, f"{used >> 20} MiB")
    record("the job started once it had returned", done.returncode == 0 and waited > 2, f"after {waited:.1f} s")


def quarantine(uuid: str, folder: Path) -> None:
    """It does not return: the GPU is quarantined, with reason and time, and comes back when it is released."""
    stranger = subprocess.Popen(
        [sys.executable, "-c", HOLD_MEMORY, str(HELD_BYTES), "1000"], stdout=subprocess.PIPE, text=True
    )
    assert stranger.stdout is not None
    stranger.stdout.readline()
    try:
        done = run(lease(folder, "--devices", uuid, "--timeout", str(IDLE_WITHIN_S + 5), "--", "true"))
        record("a GPU that stays dirty is not handed over", done.returncode == 75, f"exit {done.returncode}")
        bad = [device for device in status(str(folder / "locks")).devices if device.state == "quarantined"]
        record("it is quarantined", len(bad) == 1 and bad[0].uuid == uuid, bad[0].reason if bad else "nothing is")
    finally:
        stranger.kill()
        stranger.wait()
    wait_for_memory(uuid)
    release(uuid, str(folder / "locks"))
    done = run(lease(folder, "--devices", uuid, "--", "true"))
    record("it is handed out again once released", done.returncode == 0, f"exit {done.returncode}")


def time_limit(uuid: str, folder: Path) -> None:
    """A CUDA job ends at its time limit; the next one finds the memory returned."""
    look = (
        "import sys, time; from trainci.devices import memory_used; "
        "print(memory_used(sys.argv[1]) >> 20, time.time())"
    )
    first = subprocess.Popen(
        lease(folder, "--devices", uuid, "--time-limit", "15", "--grace", "2", "--", sys.executable, "-c", BUSY),
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


def wait_for_memory(uuid: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while devices.memory_used(uuid) > IDLE_BYTES and time.monotonic() < until:
        time.sleep(0.1)


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.stderr:
        sys.stdout.write("".join(f"     {line}\n" for line in done.stderr.splitlines()[-3:]))
    return done


def main() -> int:
    found = devices.discover()
    if not found:
        sys.stderr.write("NVML shows no GPU here: there is nothing to measure.\n")
        return 1
    gpu = found[0]
    sys.stdout.write(
        f"# The lease on a GPU\n\n{gpu.name}, {gpu.memory_bytes >> 30} GiB; Linux {platform.release()}, "
    )
    sys.stdout.write(f"Python {platform.python_version()}, {os.cpu_count()} cores\n\n```\n")
    record("NVML discovery", True, ", ".join(f"{device.index} {device.name}" for device in found))
    with tempfile.TemporaryDirectory(prefix="trainci-gpu-") as name:
        for check in (discovery, clean_gate, quarantine, time_limit):
            check(gpu.uuid, Path(name))
    sys.stdout.write(f"```\n\n{len(failures)} statements failed.\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
