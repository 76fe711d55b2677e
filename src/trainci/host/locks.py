"""Who holds a lock, as the kernel lists it (proc_locks(5))."""

from __future__ import annotations

import os
from pathlib import Path

from trainci.host.files import read_text


def lock_holder(path: str) -> int | None:
    """The process that took the flock of a file, by its number here; None where none did, or none that we see."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    wanted = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in (read_text("/proc/locks") or "").splitlines():
        # 12: FLOCK  ADVISORY  WRITE 4242 00:2d:1234 0 EOF; one that waits has an arrow before FLOCK.
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == wanted:
            return int(fields[4]) if int(fields[4]) > 0 else None
    return None
