"""``train.py``, killed in the middle of a save: its own arguments, then MOMENT and STEP.

At MOMENT of saving STEP all ranks die by SIGKILL, with the processes that write for them. MOMENT is ``data``: half
of a file with weights is written; or ``latest``: all is written, and ``latest`` is about to say so.
"""

import os
import runpy
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    *sys.argv[1:], moment, step = sys.argv[1:]
    directory = f"step_{int(step):06}"
    torchrun = os.getppid()
    fsync, replace = os.fsync, Path.replace

    def kill_all_ranks():
        """The ranks are torchrun's children, and each of them leads a process group."""
        ranks = Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split()
        for rank in sorted(map(int, ranks), key=lambda rank: rank == os.getpgrp()):  # this one last
            os.killpg(rank, signal.SIGKILL)

    def fsync_or_die(file):
        if f"{directory}.writing/policy" in str(Path(f"/proc/self/fd/{file}").readlink()):
            os.ftruncate(file, os.fstat(file).st_size // 2)
            kill_all_ranks()
        fsync(file)

    def replace_or_die(source, target):
        if target.name == "latest" and source.read_text().strip() == directory:
            kill_all_ranks()
        replace(source, target)

    if moment == "data":
        os.fsync = fsync_or_die
    else:
        Path.replace = replace_or_die
    sys.path[0] = str(Path.cwd())
    runpy.run_path("train.py", run_name="__main__")
