"""A program that is no Python writes a file, and prints nothing."""

import os
import random
import time

NUM_GPUS = 1
# Long enough for several stall windows.
SECONDS = float(os.environ.get("HEALTHY_SECONDS", "20"))
END = time.monotonic() + SECONDS
PAUSE = random.uniform(0.3, 3.0)


import subprocess

if __name__ == "__main__":
    script = f"i=0; while [ $i -lt {int(SECONDS)} ]; do sleep 1; echo $i; i=$((i+1)); done > out-{os.getpid()}"
    subprocess.run(["sh", "-c", script], check=True)
