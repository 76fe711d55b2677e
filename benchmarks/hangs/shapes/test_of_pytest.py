# expect: process \d+ \(.*\) is in `test_that_waits` \(.*\.py:\d+\), in wait
"""A test that pytest runs waits for a thread."""

import threading
import time

NUM_GPUS = 1


def test_that_passes():
    assert True


def test_that_waits():
    with open(1, "w", closefd=False) as out:
        out.write(f"stuck {time.time()}\n")
    threading.Event().wait()
