"""The soak: hundreds of leases, while wrappers, supervisors, commands, waiters and watchers are killed and
stopped.

Each job witnesses by itself: for each of its devices it makes a file that must not be there, stays a moment, and
removes it. It knows nothing of locks.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from support import children_of

REQUESTS = 520
AT_ONCE = 20
# Generous: a busy machine of two cores takes a quarter of it.
LONGEST_S = 480.0

# A file for each device, made exclusively. One that is there already is an overlap, unless its maker is dead: a
# job that was killed could not remove it.
WITNESS = """
import os, pathlib, random, sys, time
folder, seconds = pathlib.Path(sys.argv[1]), float(sys.argv[2])
me = str(os.getpid())
def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
mine = [folder / device for device in os.environ["TRAINCI_DEVICES"].split(",")]
for path in mine:
    if path.exists():
        other = path.read_text()
        if other and alive(int(other)):
            (folder / f"overlap-{path.name}-{me}-{other}").touch()
    path.write_text(me)
time.sleep(seconds)
for path in mine:
    if path.read_text() != me:
        (folder / f"overlap-{path.name}-{me}").touch()
    path.unlink()
"""


def victims(wrapper: int) -> list[int]:
    """The wrapper, its supervisor or its candidate for the watcher, and the command."""
    children = children_of(wrapper)
    return [wrapper, *children, *(pid for child in children for pid in children_of(child))]


def hurt(rng: random.Random, wrapper: int, stopped: list[tuple[float, int]]) -> None:
    group = victims(wrapper)
    # All at once now and then, so that only the next in line can clean up.
    chosen = group if rng.random() < 0.25 else [rng.choice(group)]
    number = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
    for pid in chosen:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        if number == signal.SIGSTOP:
            stopped.append((time.monotonic() + rng.uniform(0.05, 2.5), pid))


def resume(stopped: list[tuple[float, int]], everything: bool = False) -> None:
    for at, pid in list(stopped):
        if everything or time.monotonic() >= at:
            stopped.remove((at, pid))
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue


@pytest.mark.slow
@pytest.mark.timeout(580)
def test_no_overlap_and_everybody_is_served_whatever_is_killed(host, tmp_path, until):
    seed = int.from_bytes(os.urandom(4), "big")
    rng = random.Random(seed)
    witnesses = tmp_path / "witnesses"
    witnesses.mkdir()
    running: dict[subprocess.Popen[bytes], bool] = {}
    stopped: list[tuple[float, int]] = []
    started = done = unhurt_failures = hurt_count = 0
    deadline = time.monotonic() + LONGEST_S
    try:
        while done < REQUESTS:
            assert time.monotonic() < deadline, f"seed {seed}: {done} of {REQUESTS} served in {LONGEST_S:g} s"
            while started < REQUESTS and len(running) < AT_ONCE:
                running[request(host, rng, witnesses)] = False
                started += 1
            resume(stopped)
            if rng.random() < 0.35:
                victim = rng.choice(list(running))
                if victim.poll() is None:
                    hurt(rng, victim.pid, stopped)
                    hurt_count += not running[victim]
                    running[victim] = True
            for process in [process for process in running if process.poll() is not None]:
                was_hurt = running.pop(process)
                unhurt_failures += process.returncode != 0 and not was_hurt
                done += 1
            time.sleep(0.03)
    finally:
        resume(stopped, everything=True)
        for process in running:
            process.terminate()
            process.wait(40)
    assert sorted(path.name for path in witnesses.glob("overlap-*")) == [], f"seed {seed}"
    assert unhurt_failures == 0, f"seed {seed}"
    # One more for all devices cleans up after the last that were killed.
    assert host.run("--count", "8", "--", "true").returncode == 0
    assert host.tickets() == [], f"seed {seed}"
    assert list((host.path / "leases").iterdir()) == [], f"seed {seed}"
    sys.stdout.write(f"\nsoak: {done} requests, {hurt_count} of them hurt, 0 overlaps (seed {seed})\n")


def request(host, rng, witnesses):
    count = rng.choice([1, 1, 1, 2, 2, 3, 4, 8])
    flags = ["--count", str(count), "--grace", "0.5"]
    if rng.random() < 0.3:
        flags = ["--devices", ",".join(map(str, rng.sample(range(8), count))), "--grace", "0.5"]
    if rng.random() < 0.5:
        flags += ["--time-limit", "20"]
    command = host.command(*flags, "--", sys.executable, "-I", "-S", "-c", WITNESS, str(witnesses))
    return subprocess.Popen(
        [*command, f"{rng.uniform(0, 0.2):.3f}"],
        env=host.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
