# expect: process \d+ \(.*\) is in `wait_for_batch` \(.*\.py:\d+\), in wait
"""A program waits for an event that no thread will set."""

import threading
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


def wait_for_batch(ready):
    stuck()
    ready.wait()


if __name__ == "__main__":
    wait_for_batch(threading.Event())
