"""Silent, but for the metrics that it records."""

import os
import random
import time

NUM_GPUS = 1
# Long enough for several stall windows.
SECONDS = float(os.environ.get("HEALTHY_SECONDS", "20"))
END = time.monotonic() + SECONDS
PAUSE = random.uniform(0.3, 3.0)


if __name__ == "__main__":
    from trainci.testing import record_metric

    step = 0
    while time.monotonic() < END:
        record_metric("loss", random.random(), step)
        step += 1
        time.sleep(PAUSE)
