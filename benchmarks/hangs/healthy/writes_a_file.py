"""Silent, but for the checkpoint that grows."""

import os
import random
import time

NUM_GPUS = 1
# Long enough for several stall windows.
SECONDS = float(os.environ.get("HEALTHY_SECONDS", "20"))
END = time.monotonic() + SECONDS
PAUSE = random.uniform(0.3, 3.0)


if __name__ == "__main__":
    with open(f"checkpoint-{os.getpid()}", "wb") as file:
        while time.monotonic() < END:
            file.write(os.urandom(1 << 12))
            file.flush()
            time.sleep(PAUSE)
