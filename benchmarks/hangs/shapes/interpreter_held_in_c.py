# expect: process \d+ \(.*\) is in `compress` \(.*\.py:\d+\)
"""A call into C does not end and lets no other thread run."""

import ctypes
import threading
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


def compress():
    stuck()
    ctypes.PyDLL(None).sleep(3600)


if __name__ == "__main__":
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
    compress()
