"""A dot now and then, and no line."""

import os
import random
import sys
import time

NUM_GPUS = 1
# Long enough for several stall windows.
SECONDS = float(os.environ.get("HEALTHY_SECONDS", "20"))
END = time.monotonic() + SECONDS
PAUSE = random.uniform(0.3, 3.0)


if __name__ == "__main__":
    while time.monotonic() < END:
        sys.stdout.write(".")
        sys.stdout.flush()
        time.sleep(PAUSE)
