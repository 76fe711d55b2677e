# expect: process \d+ \(.*\) is in `test_that_waits` \(.*\.py:\d+\), in wait
"""A test that pytest runs waits for a thread."""

import threading
import time

NUM_GPUS = 1


def test_that_passes():
    assert True


def test_that_waits(capfd):
    with capfd.disabled():
        print(f"stuck {time.time()}", flush=True)
    threading.Event().wait()
