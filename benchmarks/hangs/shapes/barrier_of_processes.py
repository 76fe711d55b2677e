# expect: in `meet` \(.*\.py:\d+\)
"""Two of three processes meet, and the third never comes."""

import multiprocessing
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


def meet(barrier):
    stuck()
    barrier.wait()


if __name__ == "__main__":
    barrier = multiprocessing.Barrier(3)
    children = [multiprocessing.Process(target=meet, args=(barrier,)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
