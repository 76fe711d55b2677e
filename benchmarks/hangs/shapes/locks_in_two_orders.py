# expect: in `second_first` \(.*\.py:\d+\).*in `first_second` \(.*\.py:\d+\)|in `first_second` .*in `second_first`
"""Two threads take two locks, each the other one first."""

import threading
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


first, second = threading.Lock(), threading.Lock()
both = threading.Barrier(2)


def first_second():
    with first:
        both.wait()
        stuck()
        with second:
            pass


def second_first():
    with second:
        both.wait()
        stuck()
        with first:
            pass


if __name__ == "__main__":
    threads = [threading.Thread(target=each) for each in (first_second, second_first)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
