# expect: process \d+ \(.*\) is stopped by a signal
"""A child was stopped by a signal, and is waited for."""

import os
import signal
import subprocess
import sys
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        stuck()
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        subprocess.run([sys.executable, __file__, "child"], check=True)
