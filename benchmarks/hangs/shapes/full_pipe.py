# expect: process \d+ \(.*\) is in `talk` \(.*\.py:\d+\)
"""A child writes more than its pipe holds, and nobody reads."""

import subprocess
import sys
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


def talk():
    stuck_on = sys.stderr
    stuck_on.write(f"stuck {time.time()}\n")
    sys.stdout.write("x" * (1 << 20))
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:]:
        talk()
    else:
        subprocess.Popen([sys.executable, __file__, "child"], stdout=subprocess.PIPE).wait()
