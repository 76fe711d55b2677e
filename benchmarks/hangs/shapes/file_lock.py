# expect: process \d+ \(.*\) is in `take` \(.*\.py:\d+\)
"""A child waits for a file's lock that its parent holds, and is waited for."""

import fcntl
import subprocess
import sys
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


def take():
    with open("lock", "a") as file:
        stuck()
        fcntl.flock(file, fcntl.LOCK_EX)


if __name__ == "__main__":
    if sys.argv[1:]:
        take()
    else:
        with open("lock", "a") as mine:
            fcntl.flock(mine, fcntl.LOCK_EX)
            subprocess.run([sys.executable, __file__, "child"], check=True)
