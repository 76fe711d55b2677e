"""What a cgroup says of its processes, from ones with a limit that are made for it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import unavailable

_FILES = {"memory.oom_control": "memory.limit_in_bytes", "memory.events": "memory.max"}
_GREEDY = "x = bytearray(1 << 28)\nfor place in range(0, len(x), 4096): x[place] = 1"
_COUNTS = f"""
import subprocess, sys
from trainci.host.cgroup import oom_kills
print(oom_kills())
print(subprocess.run([sys.executable, "-c", {_GREEDY!r}]).returncode)
print(oom_kills())
"""


@pytest.fixture
def limited() -> Iterator[Path]:
    """A cgroup of 96 MiB, with version 1 or 2."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    mounts = {"memory": "/sys/fs/cgroup/memory", "": "/sys/fs/cgroup"}
    for mount, own in [(mounts[names], own) for _, names, own in lines if names in mounts]:
        folder = Path(f"{mount}{own.rstrip('/')}/trainci-test-{os.getpid()}")
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (limit,) = (folder / limit for limit in _FILES.values() if (folder / limit).exists())
            limit.write_text(str(96 << 20))
            # Or nothing is ever too much.
            with contextlib.suppress(OSError):
                (folder / "memory.swap.max").write_text("0")
        except (OSError, ValueError):
            folder.rmdir()
            continue
        yield folder
        folder.rmdir()
        return
    unavailable("no cgroup with a limit of memory can be made (as root, with cgroups of version 1 or 2)")


def test_what_the_kernel_ended_for_want_of_memory_is_counted_with_either_version(limited: Path) -> None:
    enter = f"open({str(limited / 'cgroup.procs')!r}, 'w').write(str(__import__('os').getpid()))\n"
    done = subprocess.run([sys.executable, "-c", enter + _COUNTS], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["0", "-9", "1"], done.stderr
