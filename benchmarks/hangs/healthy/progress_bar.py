"""A bar that is drawn again on the same line, and goes on."""

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
    done = 0
    while time.monotonic() < END:
        for wheel in "|/-\\":
            sys.stdout.write(f"\r{wheel} {done}/100 [00:{int(END - time.monotonic()):02d}]")
            sys.stdout.flush()
            time.sleep(PAUSE / 4)
        done += 1
