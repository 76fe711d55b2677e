# expect: process \d+ \(.*\) is in `compute` \(.*\.py:\d+\), in
"""A worker of a pool was killed, and its task is lost."""

import multiprocessing
import os
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


def die(_):
    stuck()
    os._exit(9)


def compute(pool):
    return pool.map(die, [1])


if __name__ == "__main__":
    with multiprocessing.Pool(1) as pool:
        compute(pool)
