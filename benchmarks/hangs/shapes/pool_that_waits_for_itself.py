# expect: process \d+ \(.*\) is in `outer` \(.*\.py:\d+\), in|in `outer`
"""A task of a pool of one thread waits for another task of the same pool."""

import concurrent.futures
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


pool = concurrent.futures.ThreadPoolExecutor(1)


def inner():
    return 1


def outer():
    stuck()
    return pool.submit(inner).result()


if __name__ == "__main__":
    pool.submit(outer).result()
