"""A line now and then."""

import os
import random
import time

NUM_GPUS = 1
# Long enough for several stall windows.
SECONDS = float(os.environ.get("HEALTHY_SECONDS", "20"))
END = time.monotonic() + SECONDS
PAUSE = random.uniform(0.3, 3.0)


if __name__ == "__main__":
    step = 0
    while time.monotonic() < END:
        time.sleep(PAUSE)
        step += 1
        print(f"step {step} loss {random.random():.3f}", flush=True)
