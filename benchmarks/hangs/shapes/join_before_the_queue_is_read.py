# expect: process \d+ \(.*\) is in `wait_first` \(.*\.py:\d+\), in
"""A worker cannot end before its queue is read, and it is waited for first."""

import multiprocessing
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


def work(results):
    results.put(b"x" * (1 << 20))
    stuck()


def wait_first(worker):
    worker.join()


if __name__ == "__main__":
    results = multiprocessing.Queue()
    worker = multiprocessing.Process(target=work, args=(results,))
    worker.start()
    wait_first(worker)
    results.get()
