# expect: process \d+ \(.*\) is in `collect` \(.*\.py:\d+\), in
"""A program waits for a result of a worker that has ended without one."""

import multiprocessing
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


def work(results):
    pass


def collect(results):
    stuck()
    return results.get()


if __name__ == "__main__":
    results = multiprocessing.Queue()
    worker = multiprocessing.Process(target=work, args=(results,))
    worker.start()
    worker.join()
    collect(results)
