# expect: in `in_child` \(.*\.py:\d+\)
"""A child inherits a lock that another thread held when it was forked."""

import os
import threading
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


lock = threading.Lock()


def hold():
    with lock:
        time.sleep(3600)


def in_child():
    stuck()
    with lock:
        pass


if __name__ == "__main__":
    threading.Thread(target=hold, daemon=True).start()
    while not lock.locked():
        time.sleep(0.01)
    child = os.fork()
    if child == 0:
        in_child()
        os._exit(0)
    os.waitpid(child, 0)
