"""Silent: processes of a pool work on tasks of different length."""

import os
import random
import time

NUM_GPUS = 1
# Long enough for several stall windows.
SECONDS = float(os.environ.get("HEALTHY_SECONDS", "20"))
END = time.monotonic() + SECONDS
PAUSE = random.uniform(0.3, 3.0)


import multiprocessing


def read(number):
    time.sleep(random.uniform(0.05, 0.4))
    return number


def tokenize(number):
    time.sleep(random.uniform(0.05, 0.4))
    return number


def task(number):
    return tokenize(read(number))


if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        while time.monotonic() < END:
            pool.map(task, range(8))
