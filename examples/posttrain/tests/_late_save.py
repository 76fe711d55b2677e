"""``train.py``, whose first save takes long: its writer waits until the step after it is reported.

So a save that holds up training never ends; after LIMIT seconds it fails.
"""

import os
import runpy
import sys
import time
from pathlib import Path

LIMIT = 120.0
SLOW = "step_000001.writing/policy"

if __name__ == "__main__":
    metrics = Path(sys.argv[sys.argv.index("--metrics-path") + 1])
    fsync = os.fsync

    def late_fsync(file):
        ends = time.monotonic() + LIMIT
        if SLOW in str(Path(f"/proc/self/fd/{file}").readlink()):
            while '"step": 2,' not in metrics.read_text():
                if time.monotonic() > ends:
                    raise TimeoutError("training did not go on while a checkpoint was being written")
                time.sleep(0.05)
        fsync(file)

    os.fsync = late_fsync
    sys.path[0] = str(Path.cwd())
    runpy.run_path("train.py", run_name="__main__")
